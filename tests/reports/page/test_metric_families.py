"""Metrics share charts, whose titles come from the vocabulary."""

from intrinsic_clip.reports.page.metric_families import metric_families


def test_both_sides_share_a_chart_and_the_main_ones_come_first() -> None:
    families = metric_families(
        [
            "in_sample/id/mle/x", "norm/x", "norm/y", "temperature", "matching/top_0.5pct/x_to_y", "somebody/elses",
            "id_standard_error/mle/x", "in_sample/id_standard_error/mle/x", "id/DANCo/x", "id/twonn/y", "id/mle/y",
            "id/mle/x", "matching/label_fine/x_to_y", "matching/top_1/y_to_x", "spectrum/components_95pct/x", "loss",
        ]
    )  # fmt: skip
    assert [(family["id"], family["title"]) for family in families] == [
        ("id/mle", "Intrinsic dimension, MLE"),
        ("id/twonn", "Intrinsic dimension, TwoNN"),
        ("id/DANCo", "Intrinsic dimension, DANCo (scikit-dimension)"),
        ("matching/top_1", "Matching accuracy, top 1"),
        ("matching/top_0.5pct", "Matching accuracy, top 0.5 %"),
        ("matching/label_fine", "Label matching accuracy, fine"),
        ("temperature", "Temperature τ"),
        ("loss", "Loss on training batches"),
        ("spectrum/components_95pct", "Principal components needed, 95 % of the variance"),
        ("norm", "Mean norm of encoder outputs"),
        ("somebody/elses", "Somebody: elses"),
        ("in_sample/id/mle", "Intrinsic dimension, MLE, training rows"),
    ]
    assert families[0]["lines"] == [
        {"metric": "id/mle/x", "label": "f(X)"}, {"metric": "id/mle/y", "label": "g(Y)"}
    ]  # fmt: skip
    assert [family["id"] for family in families if family["main"]] == [
        "id/mle", "id/twonn", "id/DANCo", "matching/top_1", "matching/top_0.5pct", "matching/label_fine", "temperature"
    ]  # fmt: skip
    assert [family["id"] for family in families if family["truth"]] == [
        "id/mle", "id/twonn", "id/DANCo", "in_sample/id/mle"
    ]  # fmt: skip
    assert families[0]["zero"]
    assert families[0]["unit"] == "dimensions"
    assert [family["id"] for family in families if family["log"]] == ["temperature"]
