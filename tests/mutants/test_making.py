"""Mutants: one change each, in functions only, with the place that it is found by."""

from __future__ import annotations

from pathlib import Path

from tests.mutants.making import make_mutants

SOURCE = '''\
"""Says how much."""

LIMIT = 3


class Counter:
    """Counts."""

    @property
    def is_full(self) -> bool:
        return self.count >= LIMIT

    def add(self, by: int = 1) -> None:
        def change():
            self.count = (
                self.count
                + by
            )

        change()
'''


def test_each_changes_one_place_in_a_function_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(SOURCE)
    made, count = make_mutants(tmp_path, "counter.py")
    assert count == 4
    assert [(one.function, one.line, one.lines, one.removed, one.added) for one in made] == [
        (
            "Counter.is_full",
            *(11, range(11, 12)),
            *("return self.count >= LIMIT", "return self.count > LIMIT"),
        ),
        (
            "Counter.add",
            *(13, range(13, 21)),
            *("def add(self, by: int = 1) -> None:", "def add(self, by: int = 2) -> None:"),
        ),
        (
            "Counter.add",
            *(15, range(15, 19)),
            *("self.count = ( self.count + by )", "self.count = None"),
        ),
        ("Counter.add", *(16, range(15, 19)), *("self.count + by", "self.count - by")),
    ]
    assert made[0].text == "    def is_full(self) -> bool:\n        return self.count > LIMIT"
    assert made[3].text.startswith("    def add(self, by: int = 1)")
    assert made[3].text.endswith("        change()")
    assert made[0].source == SOURCE.replace(made[0].removed, made[0].added)


def test_a_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(SOURCE)
    whole, _ = make_mutants(tmp_path, "counter.py")
    some, count = make_mutants(tmp_path, "counter.py", 2, 7)
    assert (len(some), count) == (2, 4)
    assert make_mutants(tmp_path, "counter.py", 2, 7)[0] == some
    assert [one for one in whole if one in some] == some
    assert make_mutants(tmp_path, "counter.py", 9, 7)[0] == whole
