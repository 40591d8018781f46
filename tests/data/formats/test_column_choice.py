"""Notes on the columns that settings leave out of tables."""

from intrinsic_clip.data.formats.column_choice import ColumnChoice


def test_each_setting_is_named_for_the_columns_that_it_leaves_out() -> None:
    names = ["scene", "kind", "note", "d0", "d1"]
    choice = ColumnChoice.of(None, ["note", "d1", "scene", "kind"], prefix="data.")
    assert choice.left_out(names) == ["4 of 5 columns are left out, as data.drop=… says"]
    choice = ColumnChoice((), ["note", "scene", "kind"], ids={"scene": "groups", "kind": "labels"})
    assert choice.left_out(names) == [
        "1 of 5 columns are left out, as groups=… says",
        "1 of 5 columns are left out, as labels=… says",
        "1 of 5 columns are left out, as drop=… says",
    ]
    assert ColumnChoice(drop=["scene", "s*"], ids={"scene": "groups"}).left_out(names[:1]) == [
        "1 of 1 columns are left out, as groups=… says"
    ]
