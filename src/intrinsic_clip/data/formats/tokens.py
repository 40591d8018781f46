"""Token ids of open_clip's tokenizer back into text."""

from torch import Tensor


def captions_of(tokens: Tensor) -> list[str]:
    """The text of token ids `(n, length)`: lower case and evenly spaced, as the tokenizer reads it.

    What follows the end mark is padding. It cannot be told by its id, 0, which is an exclamation mark as well.
    """
    from open_clip import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
    captions = []
    for row in tokens.tolist():
        ids = row[: row.index(end)] if end in row else row
        captions.append(tokenizer.decode([token for token in ids if token != start]).strip())
    return captions
