"""`%durable check NAME`: what in an orchestrator replay would not repeat."""

from __future__ import annotations

from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.definitions import Kind

from .arguments import near
from .command import Desk, Subcommand, take_word
from .display import Line
from .effects_check import check_effects
from .effects_report import EffectsReport, report_of
from .functions import OrchestratorFunction

__all__ = ["CHECK"]


def _check(desk: Desk, rest: str) -> Line | EffectsReport:
    name, _ = take_word(rest)
    report = _report(desk, name)
    if report is None:
        return Line("", name, "may do anything: only orchestrators are replayed")
    if not report.findings:
        return Line("orchestrator", name, "· replay repeats all it does, as far as can be seen")
    return report


def _report(desk: Desk, name: str) -> EffectsReport | None:
    """Return the report of an orchestrator; None for an activity or entity."""
    known = desk.session.sent(Kind.ORCHESTRATOR, name)
    if isinstance(known, OrchestratorFunction):
        return report_of(known)
    found = desk.session.client.versions(Kind.ORCHESTRATOR, name)
    if found:
        return EffectsReport(check_effects(found[-1].package))
    definitions = desk.session.client.definitions()
    if name in {one.name for one in definitions}:
        return None
    names = [one.name for one in definitions if one.kind is Kind.ORCHESTRATOR]
    raise DurableError(
        f"No orchestrator {name!r} is defined in {desk.session.store}{near(name, names)}. "
        "%durable definitions lists what is."
    )


CHECK = Subcommand(
    _check, "check NAME", "what in an orchestrator replay would not repeat", 1, "orchestrator"
)
"""The subcommand."""
