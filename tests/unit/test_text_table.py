"""Tables as text: aligned, and never wider than the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ipydurable.widgets.text_table import text_table

_CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60)


def test_columns_are_aligned() -> None:
    lines = text_table(["name", ">count"], [["apples", "5"], ["kiwis", "1,200"]])
    assert lines == ["name    count", "──────  ─────", "apples      5", "kiwis   1,200"]


def test_the_widest_gives_way() -> None:
    lines = text_table(["id", "note"], [["one", "x" * 200]], 40)
    assert lines[2] == "one  " + "x" * 34 + "…"


def test_line_ends_stay_inside_their_cell_and_wide_letters_take_two_columns() -> None:
    lines = text_table(["a", "b"], [["x\ny", "1"], ["図書", "2"]])
    assert lines[2:] == ["x y   1", "図書  2"]


@given(
    rows=st.lists(st.lists(_CELLS, min_size=3, max_size=3), max_size=5),
    width=st.integers(30, 90),
)
def test_no_line_is_wider_than_the_terminal(rows: list[list[str]], width: int) -> None:
    lines = text_table(["one", ">two", "three"], rows, width)
    assert len(lines) == len(rows) + 2
    assert max(len(line) for line in lines) <= width
