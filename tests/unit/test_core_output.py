"""Output within bounds: beginning and end are kept in order, what is left out is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.output import AttemptOutput, OutputBuffer, OutputItem

KEPT = 64 * 1024
PLOT = {"image/png": "x" * 1024 * 1024}


def taken(*items: OutputItem) -> AttemptOutput:
    buffer = OutputBuffer()
    for item in items:
        buffer.add(item)
    return buffer.take()


def test_nothing_is_nothing() -> None:
    assert taken() == AttemptOutput()
    assert AttemptOutput().text == ""


def test_neighbours_of_a_kind_are_one_piece() -> None:
    found = taken(
        OutputItem("stdout", "a"),
        OutputItem("stdout", "b"),
        OutputItem("stderr", "c"),
        OutputItem("stdout", "d"),
        OutputItem("display", "figure"),
        OutputItem("display", "figure"),
    )
    assert [(item.kind, item.text) for item in found.items] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
        ("display", "figure"),
        ("display", "figure"),
    ]
    assert found.text == "abcdfigure\nfigure\n"


def test_a_display_that_ends_a_line_gets_no_empty_one() -> None:
    assert taken(OutputItem("display", "table\n"), OutputItem("log", "x")).text == "table\nx"


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        ("10 %\r50 %\r100 %\n", "100 %\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("no return", "no return"),
        ("left\r", "left"),
        ("a\r\r\nb\r\n", "a\nb\n"),
        ("1 %\r2 %\nfirst\rsecond\r\n", "2 %\nsecond\n"),
    ],
)
def test_a_line_that_was_written_over_shows_its_last_form(printed: str, seen: str) -> None:
    assert taken(OutputItem("stdout", printed)).text == seen


def test_one_long_piece_keeps_its_beginning_and_its_end() -> None:
    text = "a" * KEPT + "b" * 1_000 + "c" * KEPT
    found = taken(OutputItem("stdout", text))
    assert found == AttemptOutput(
        items=(
            OutputItem("stdout", "a" * KEPT),
            OutputItem("stdout", "c" * KEPT, dropped=1_000),
        ),
        dropped=1_000,
    )
    assert found.text == f"{'a' * KEPT}\n[... 1,000 characters left out ...]\n{'c' * KEPT}"


def test_many_lines_lose_those_of_the_middle() -> None:
    lines = [f"{n:07}\n" for n in range(100_000)]
    whole = "".join(lines)
    missing = len(whole) - 2 * KEPT
    assert taken(*(OutputItem("stdout", line) for line in lines)) == AttemptOutput(
        items=(
            OutputItem("stdout", whole[:KEPT]),
            OutputItem("stdout", whole[-KEPT:], dropped=missing),
        ),
        dropped=missing,
    )


def test_what_a_long_piece_pushes_out_is_counted_where_it_was() -> None:
    """Also what had been left out before it, by whoever printed it."""
    found = taken(
        OutputItem("stdout", "a" * KEPT),
        OutputItem("stderr", "b" * 10),
        OutputItem("log", "c" * 20, dropped=3),
        OutputItem("stderr", "d" * 30),
        OutputItem("stdout", "e" * (KEPT - 40)),
    )
    assert found == AttemptOutput(
        items=(
            OutputItem("stdout", "a" * KEPT),
            OutputItem("stderr", "d" * 30, dropped=33),
            OutputItem("stdout", "e" * (KEPT - 40)),
        ),
        dropped=33,
    )


def test_a_piece_without_text_takes_the_room_of_one_character() -> None:
    """Else there might be any number of them."""
    found = taken(*(OutputItem("display") for _ in range(2 * KEPT + 10)))
    assert len(found.items) == 2 * KEPT
    assert found.dropped == 0


def test_a_display_that_no_longer_fits_in_at_the_beginning_is_kept_whole_at_the_end() -> None:
    found = taken(
        OutputItem("stdout", "x" * (KEPT - 1)), OutputItem("display", "fig", {"text/html": "<b>"})
    )
    assert found.items[-1] == OutputItem("display", "fig", {"text/html": "<b>"})
    assert found.dropped == 0


def test_of_displays_too_many_or_too_big_only_the_text_is_kept() -> None:
    found = taken(*(OutputItem("display", f"plot {n}", PLOT) for n in range(6)))
    assert [bool(item.data) for item in found.items] == [True] * 4 + [False] * 2
    assert found.items[-1] == OutputItem("display", "plot 5", dropped=1024 * 1024)
    assert found.dropped == 2 * 1024 * 1024
    small = taken(*(OutputItem("display", "p", {"text/html": "", "n": 1}) for _ in range(60)))
    assert sum(bool(item.data) for item in small.items) == 50


@given(
    st.lists(
        st.builds(
            lambda kind, n, dropped: OutputItem(kind, "x" * n, dropped=dropped),
            st.sampled_from(["stdout", "stderr", "log"]),
            st.sampled_from([0, 1, 7, KEPT // 3, KEPT, 3 * KEPT]),
            st.sampled_from([0, 0, 5]),
        ),
        max_size=12,
    )
)
def test_no_character_is_forgotten_and_none_is_counted_twice(items: list[OutputItem]) -> None:
    found = taken(*items)
    kept = sum(len(item.text) for item in found.items)
    assert kept + found.dropped == sum(len(item.text) + item.dropped for item in items)
    assert kept <= 2 * KEPT


def test_it_is_shown_as_what_was_printed() -> None:
    assert repr(taken(OutputItem("stdout", "one\ntwo\n"))) == "one\ntwo\n"
    assert repr(taken()) == "(no output)"
