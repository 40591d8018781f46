"""Tables that were damaged at random: read, or refused in one line."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import read_array
from intrinsic_clip.data.formats.class_labels import read_labels
from intrinsic_clip.data.formats.tables import read_table
from intrinsic_clip.errors import ConfigError

X = np.random.default_rng(0).normal(size=(12, 3))
WHOLE = [
    pd.DataFrame(X, columns=list("abc")).to_csv(),
    pd.DataFrame(X).to_csv(sep=";", decimal=",", index=False),
    pd.DataFrame({"id": range(12), "v": [str(list(row)) for row in X]}).to_csv(),
    "image,caption\n" + "".join(f"{i}.png,a {i}\n" for i in range(12)),
]
PIECES = [
    *",;\t '#-=[]()|{\0",
    '"',
    '""',
    "\n",
    "\r",
    "\r\n",
    "NA",
    "é",
    "1e400",
    "...",
    "1,234.5",
    "\ufeff",
    "9" * 25,
]


def damaged(generator: random.Random) -> bytes:
    text = list(generator.choice(WHOLE))
    for _ in range(generator.choice([1, 2, 3, 8])):
        place = generator.randrange(len(text) + 1)
        way = generator.randrange(4)
        if way == 0:
            text.insert(place, generator.choice(PIECES))
        elif way == 1:
            text[place : place + 1] = [generator.choice(PIECES)]
        elif way == 2:
            del text[place : place + 2]
        else:
            text = text[:place] if generator.random() < 0.3 else text[:place] + text[place // 2 :]
    return "".join(text).encode()


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_table_is_read_or_refused_in_one_line(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(25):
        path = Path(generator.choice(["x.csv", "x.tsv", "x.txt"]))
        path.write_bytes(damaged(generator))
        for read in (read_array, read_table, lambda path: read_labels(path, Key(), 12)):
            message = ""
            try:
                read(path)
            except ConfigError as error:
                message = str(error)
            assert "\n" not in message
