"""What runs found is known to later ones, until the code changes."""

from __future__ import annotations

from pathlib import Path

from tests.mutants.making import Mutant
from tests.mutants.outcomes import Outcomes

CHANGED = "def f(x):\n    return x >= 0"
MUTANT = Mutant("a.py", "f", 7, range(7, 8), "return x > 0", "return x >= 0", CHANGED, CHANGED)


def test_what_was_noticed_is_known_to_later_runs_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "build/outcomes.jsonl"
    first = Outcomes(path)
    assert first.noticed_by(MUTANT) == ""
    first.add(MUTANT, "test_a")
    assert first.noticed_by(MUTANT) == Outcomes(path).noticed_by(MUTANT) == "test_a"
    Outcomes(path).add(MUTANT, "")
    assert Outcomes(path).noticed_by(MUTANT) == ""


def test_nothing_is_known_of_a_function_that_has_changed(tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path / "outcomes.jsonl")
    outcomes.add(MUTANT, "test_a")
    assert outcomes.noticed_by(MUTANT._replace(line=70, source="elsewhere")) == "test_a"
    for other in ({"text": "def f(x, y):"}, {"path": "b.py"}, {"function": "g"}):
        assert outcomes.noticed_by(MUTANT._replace(**other)) == ""
