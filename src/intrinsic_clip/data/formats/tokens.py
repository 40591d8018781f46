"""Decode token ids of open_clip's tokenizer into text."""

from torch import Tensor


def captions_of(tokens: Tensor) -> list[str]:
    """Return the texts of token ids `(n, length)`: lower case and evenly spaced, as the tokenizer normalises them.

    Ids after the end mark are padding. Padding is not recognised by its id, 0, which is also an exclamation mark.
    """
    from open_clip import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
    captions = []
    for row in tokens.tolist():
        ids = row[: row.index(end)] if end in row else row
        captions.append(tokenizer.decode([token for token in ids if token != start]).strip())
    return captions
