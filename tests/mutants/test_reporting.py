"""The report on mutants: what is counted, what is shown, and which part of it a run rewrites."""

from __future__ import annotations

from tests.mutants.making import Mutant
from tests.mutants.reporting import Tally, interval, joined, section, verdict_on
from tests.mutants.suites import Suite

MUTANT = Mutant("a.py", "f", 7, range(7, 8), "return x > 0", "return x >= 0", "", "")


def test_a_share_of_few_is_known_less_well_than_one_of_many() -> None:
    low, high = interval(95, 100)
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)
    low, high = interval(950, 1000)
    assert (round(low, 3), round(high, 3)) == (0.935, 0.962)
    assert interval(0, 0) == (0.0, 1.0)


def test_a_verdict_holds_for_that_change_of_that_function_only() -> None:
    judged = {
        "a.py": [{"function": "f", "code": MUTANT.removed, "mutant": MUTANT.added, "why": "so"}]
    }
    assert verdict_on(MUTANT, judged) == "so"
    assert verdict_on(MUTANT._replace(line=70), judged) == "so"
    for other in ({"path": "b.py"}, {"function": "g"}, {"removed": "x"}, {"added": "x"}):
        assert verdict_on(MUTANT._replace(**other), judged) == ""


def test_equivalent_mutants_are_shown_after_the_others_and_left_out_of_the_score() -> None:
    tally = Tally("a.py", made=9, tried=5)
    for noticed_by in ("test_a", "timeout", "death"):
        tally.add(MUTANT, noticed_by, "")
    tally.add(MUTANT, "", "x is never 0")
    tally.add(MUTANT._replace(line=8, added="return True"), "", "")
    text = section(Suite("A", (), ()), "Yesterday.", [tally])
    assert "3 of 4 that are not equivalent were noticed: 75.0%" in text
    assert "| a.py | 9 | 5 | 3 | 1 | 1 | 1 | 75.0% |" in text
    assert "| all | 9 | 5 | 3 | 1 | 1 | 1 | 75.0% |" in text
    assert text.index("`a.py:8` `f`: **unnoticed**") < text.index("+ return True")
    assert text.index("+ return True") < text.index("`a.py:7` `f`: equivalent: x is never 0")


def test_a_run_rewrites_the_section_of_its_suite_and_no_other() -> None:
    first, second = (
        section(Suite(name, (), ()), "Before.", [Tally("a.py", 1, 1)]) for name in "AB"
    )
    report = joined(joined("", second), first)
    assert report.index("## A\n") < report.index("## B\n")
    again = joined(report, section(Suite("A", (), ()), "After.", [Tally("a.py", 1, 1)]))
    assert again == report.replace("Before.", "After.", 1)
