"""Which metrics share a chart, and what they are called there."""

from intrinsic_clip.reports.page.families import families


def test_both_sides_share_a_chart_and_the_main_ones_come_first() -> None:
    found = families(
        [
            "in_sample/id/mle/x", "norm/x", "norm/y", "temperature", "matching/top_0.5pct/x_to_y", "somebody/elses",
            "id_standard_error/mle/x", "in_sample/id_standard_error/mle/x", "id/DANCo/x", "id/twonn/y", "id/mle/y",
            "id/mle/x", "matching/label_fine/x_to_y", "matching/top_1/y_to_x", "spectrum/components_95pct/x", "loss",
        ]
    )  # fmt: skip
    assert [(family["id"], family["title"]) for family in found] == [
        ("id/mle", "Intrinsic dimension, MLE"),
        ("id/twonn", "Intrinsic dimension, TwoNN"),
        ("id/DANCo", "Intrinsic dimension, DANCo (scikit-dimension)"),
        ("matching/top_1", "Partner is the nearest (top 1)"),
        ("matching/label_fine", "Label of the best match, fine"),
        ("matching/top_0.5pct", "Partner in the top 0.5 %"),
        ("temperature", "Temperature τ"),
        ("loss", "InfoNCE loss on training batches"),
        ("spectrum/components_95pct", "Components for 95 % of variance"),
        ("norm", "Mean norm of encoder outputs"),
        ("somebody/elses", "Somebody: elses"),
        ("in_sample/id/mle", "Intrinsic dimension, MLE, training rows"),
    ]
    assert found[0]["lines"] == [
        {"metric": "id/mle/x", "label": "f(X)"}, {"metric": "id/mle/y", "label": "g(Y)"}
    ]  # fmt: skip
    assert [family["id"] for family in found if family["main"]] == [
        "id/mle", "id/twonn", "id/DANCo", "matching/top_1", "matching/label_fine", "matching/top_0.5pct", "temperature"
    ]  # fmt: skip
    assert [family["id"] for family in found if family["truth"]] == [
        "id/mle", "id/twonn", "id/DANCo", "in_sample/id/mle"
    ]  # fmt: skip
    assert found[0]["zero"]
    assert found[0]["unit"] == "dimensions"
    assert [family["id"] for family in found if family["log"]] == ["temperature"]
