"""The report of `make mutants`: a section for each suite, with all that no test noticed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .making import Mutant
from .suites import Suite

__all__ = ["Survivor", "Tally", "interval", "joined", "section", "verdict_on"]

_HEAD = """\
# Report of `make mutants`

Each mutant is one small change in one place of the code: another comparison, another constant, an
argument left out. The tests that run the changed line are run with it; where one fails, the mutant
is noticed. Of those that are not, some do what the code does: they count as equivalent where
`tests/mutants/judged.toml` says why. The score leaves them out.
"""


class Survivor(NamedTuple):
    """A mutant that no test noticed, and why that is right; empty where it is not."""

    mutant: Mutant
    verdict: str


class Tally:
    """What became of the mutants of one file."""

    def __init__(self, path: str, made: int, tried: int) -> None:
        self.path = path
        self.made = made
        self.tried = tried
        self.noticed = 0
        self.timeouts = 0
        self.known = 0
        self.survivors: list[Survivor] = []

    def add(self, mutant: Mutant, noticed_by: str, verdict: str) -> None:
        """Count what became of a mutant.

        Args:
            mutant: The mutant.
            noticed_by: What noticed it; empty where nothing did.
            verdict: Why that is right; empty where it is not.
        """
        self.noticed += bool(noticed_by)
        self.timeouts += noticed_by == "timeout"
        if not noticed_by:
            self.survivors.append(Survivor(mutant, verdict))

    @property
    def equivalent(self) -> int:
        """How many survivors do what the code does."""
        return sum(bool(one.verdict) for one in self.survivors)

    @property
    def unnoticed(self) -> int:
        """How many survivors should have been noticed."""
        return len(self.survivors) - self.equivalent

    def counts(self) -> tuple[int, ...]:
        """Return the counts of the file's row."""
        found = self.noticed, self.timeouts, self.equivalent, self.unnoticed
        return self.made, self.tried, *found


def verdict_on(mutant: Mutant, judged: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """Return why a mutant does what the code does; empty where nobody has judged so."""
    change = mutant.function, mutant.removed, mutant.added
    for one in judged.get(mutant.path, []):
        if (one["function"], one["code"], one["mutant"]) == change:
            return one["why"]
    return ""


def interval(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson)."""
    if not whole:
        return 0.0, 1.0
    z, share = 1.96, part / whole
    middle = share + z * z / (2 * whole)
    reach = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return (middle - reach) / (1 + z * z / whole), (middle + reach) / (1 + z * z / whole)


def section(suite: Suite, how: str, tallies: Sequence[Tally]) -> str:
    """Return a suite's section, as Markdown.

    Args:
        suite: The suite.
        how: When and how it was run.
        tallies: What came of its files.
    """
    totals = [sum(column) for column in zip(*(one.counts() for one in tallies), strict=True)]
    *_, noticed, _timeouts, _equivalent, unnoticed = totals
    counted = noticed + unnoticed
    low, high = interval(noticed, counted)
    score = f"{noticed} of {counted} that are not equivalent were noticed: "
    survivors = [survivor for one in tallies for survivor in one.survivors]
    survivors.sort(key=lambda one: (bool(one.verdict), one.mutant))
    lines = [
        f"## {suite.title}",
        "",
        how,
        "",
        f"**{score}{_percent(noticed, counted)}** (95 % confidence: {low:.1%} to {high:.1%})",
        "",
        "| file | mutants | tried | noticed | of these timeouts | equivalent | unnoticed | score |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(one.path, *one.counts()) for one in tallies if one.tried),
        _row("all", *totals),
        "",
        f"### Survivors: {suite.title}",
    ]
    for mutant, verdict in survivors:
        place = f"`{mutant.path}:{mutant.line}` `{mutant.function}`"
        said = f"equivalent: {verdict}" if verdict else "**unnoticed**"
        diff = ["```diff", f"- {mutant.removed}", f"+ {mutant.added}", "```"]
        lines += ["", f"{place}: {said}", "", *diff]
    if not survivors:
        lines += ["", "None."]
    return "\n".join([*lines, ""])


def joined(report: str, new: str) -> str:
    """Return a report with a section in place of the one of the same suite, or added to it."""
    found = {_title(text): text.rstrip() + "\n" for text in _sections(report)}
    found[_title(new)] = new
    return "\n".join([_HEAD, *(found[title] for title in sorted(found))])


def _sections(report: str) -> list[str]:
    return re.split(r"^(?=## )", report, flags=re.MULTILINE)[1:]


def _title(text: str) -> str:
    return text.partition("\n")[0]


def _row(what: str, *counts: int) -> str:
    *_, noticed, _timeouts, _equivalent, unnoticed = counts
    cells = (what, *counts, _percent(noticed, noticed + unnoticed))
    return "| " + " | ".join(map(str, cells)) + " |"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
