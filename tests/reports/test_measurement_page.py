"""The page of a measurement."""

import base64
import re

import numpy as np
import pytest

from helpers.shared_latent import QUICK, shared_latent


@pytest.mark.slow
def test_page_is_whole_in_itself(command_line, tmp_path) -> None:
    x, y = shared_latent(600, 0.1, 0.1)
    np.save("<b>&.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=<b>&.npy", "y=y.npy", *QUICK) == 0
    (folder,) = tmp_path.glob("outputs/measure/*")
    html = (folder / "measure.html").read_text()
    picture = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert picture is not None
    assert base64.b64decode(picture[1]) == (folder / "measure.png").read_bytes()
    assert not re.search(r"https?://|<script|<link (?!rel=\"icon\" href=\"data:,\")", html)
    assert "&lt;b&gt;&amp;.npy" in html
    assert "dimensions keep 99 % of retrieval" in html
