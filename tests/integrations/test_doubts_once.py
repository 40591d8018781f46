"""What a training is told of its numbers at the first evaluation is not told again at every other."""

from intrinsic_clip.integrations.doubts_once import DoubtsOnce


def test_a_note_is_told_once_whatever_its_figures() -> None:
    warn_once, told = DoubtsOnce(), []
    notes = [
        "matching/top_1/x_to_y is NaN: 5 of 10 rows hold NaN",
        "matching/top_5/x_to_y is NaN: 5 of 10 rows hold NaN",
        "a sample of 10 of 1,000 rows, drawn at random",
    ]
    for _ in range(2):
        warn_once(notes, told.append)
    warn_once(["matching/top_1/x_to_y is NaN: 7 of 1,012 rows hold NaN"], told.append)
    assert told == notes[:2]
    warn_once(["matching/top_1/x_to_y is NaN: all rows are equal"], told.append)
    assert len(told) == 3
