"""Values as trees that open: well formed, bounded, whatever they hold."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.widgets.state_tree import state_tree, words_of

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


class _Tags(HTMLParser):
    """Checks that tags are closed in order, and remembers which there were and what they hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@given(_VALUES)
def test_every_value_is_well_formed(value):
    """Whatever text a state holds, it opens no tag of its own."""
    tags = _Tags(state_tree(value))

    assert set(tags.seen) <= {"details", "summary", "div", "span"}


def test_text_stays_text():
    """Markup in names and values is shown, not carried out."""
    tags = _Tags(state_tree({"<script>": "<img src=x>"}))

    assert "<script> '<img src=x>'" in tags.text
    assert not {"script", "img"} & set(tags.seen)


def test_parts_open():
    """What holds others says how much; small states are open at once, inner parts closed."""
    html = state_tree({"owner": "ann", "limits": [1, 2]})

    assert html.startswith("<details open")
    assert html.count("<details") == 2
    assert html.count("<details open") == 1
    assert "dict, 2 items" in html
    assert "list, 2 items" in html


def test_long_states_start_closed():
    """A long list does not push the notebook's cells away, and says how many are left out."""
    html = state_tree(list(range(1_000)))

    assert "<details open" not in html
    assert "list, 1,000 items" in html
    assert "… 950 more" in html


def test_cyclic_states_end():
    """A list that holds itself is cut at a depth."""
    cyclic: list[object] = []
    cyclic.append(cyclic)

    assert "1 item, not shown" in state_tree(cyclic)


@pytest.mark.parametrize("value", [[[[0] * 50] * 50] * 50, "x" * 1_000_000, ["y" * 400] * 50])
def test_big_states_stay_small(value):
    """A saved notebook holds less than 100 KB of it."""
    assert len(state_tree(value)) < 100_000


def test_a_class_whose_repr_fails_does_not_keep_the_rest_from_being_shown():
    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    assert words_of(Broken()) == "<Broken, whose repr raises RuntimeError>"
    assert "fine" in state_tree({"a": Broken(), "b": "fine"})
