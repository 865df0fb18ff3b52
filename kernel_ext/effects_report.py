"""How the check of an orchestrator is shown: a small table in a notebook, lines in a terminal."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from .display import FONT, MUTED, TONES, Line, show

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .effects_check import Finding
    from .functions import OrchestratorFunction

__all__ = [
    "EffectsReport",
    "listing",
    "report_of",
    "show_effects",
    "tell_effects",
]

_log = logging.getLogger(__name__)

_SILENCE: Final = "# durable: ok"
_MAX_ROWS: Final = 20


class EffectsReport:
    """What an orchestrator does that replay would not repeat.

    Args:
        findings: What was found.
        home: The file or cell that needs no naming.
    """

    def __init__(self, findings: Sequence[Finding], home: str = "") -> None:
        self._home = home
        self.findings = tuple(sorted(findings, key=lambda one: one.filename != home))

    def __repr__(self) -> str:
        rows = [
            (
                "·" if one.is_hint else "⚠",
                self._place(one),
                one.code,
                one.reason,
                one.remedy,
            )
            for one in self.findings[:_MAX_ROWS]
        ]
        places = max((len(row[1]) for row in rows), default=0)
        codes = max((len(row[2]) for row in rows), default=0)
        lines = [
            f"  {mark} {place:<{places}}  {code:<{codes}}  {reason} → {remedy}"
            for mark, place, code, reason, remedy in rows
        ]
        return "\n".join([self._head(), *lines, *self._more(), f"  {self._foot()}"])

    def _repr_html_(self) -> str:
        cell = (
            "text-align:left;padding:1px 16px 1px 0;border:0;vertical-align:top;"
            "white-space:normal;max-width:36em"
        )
        code = "font-family:var(--jp-code-font-family,monospace);font-size:.95em"
        rows = "".join(
            f'<tr style="background:none">'
            f'<td style="{cell};white-space:nowrap">{_mark(one)} '
            f'<span style="{MUTED}">{escape(self._place(one))}</span></td>'
            f'<td style="{cell};{code}">{escape(one.code)}</td>'
            f'<td style="{cell}">{escape(one.reason)}</td>'
            f'<td style="{cell};{code}">{escape(one.remedy)}</td></tr>'
            for one in self.findings[:_MAX_ROWS]
        )
        head = "".join(
            f'<th style="{cell};{MUTED};font-weight:normal">{title}</th>'
            for title in ("where", "this", "why not", "instead")
        )
        more = "".join(f"<div>{escape(line)}</div>" for line in self._more())
        return (
            f'<div style="{FONT};border-left:2px solid var(--jp-warn-color1,#d09000);'
            f'padding-left:.8em;margin:2px 0"><div>{escape(self._head())}</div>'
            f'<table style="border-collapse:collapse;margin:2px 0;{FONT}">'
            f'<thead><tr style="background:none">{head}</tr></thead><tbody>{rows}</tbody></table>'
            f'{more}<div style="{MUTED}">{escape(self._foot())}</div></div>'
        )

    def _head(self) -> str:
        hints = sum(one.is_hint for one in self.findings)
        count = len(self.findings) - hints
        if not count:
            return "Worth a look, since an orchestrator is replayed:"
        things = "One thing does" if count == 1 else f"{count} things do"
        return f"{things} not belong in an orchestrator, since it is replayed:"

    def _foot(self) -> str:
        return f"A line that is meant so ends with the comment {_SILENCE}"

    def _more(self) -> list[str]:
        left = len(self.findings) - _MAX_ROWS
        return [f"  … and {left} more"] if left > 0 else []

    def _place(self, one: Finding) -> str:
        line = f"line {one.line}"
        return line if one.filename == self._home else f"{one.filename}, {line}"


def show_effects(function: OrchestratorFunction) -> None:
    """Show what was found in an orchestrator, if anything."""
    if function.effects:
        show(report_of(function))


def tell_effects(function: OrchestratorFunction, shell: InteractiveShell | None) -> None:
    """Tell what was found in an orchestrator that no cell defines; hints are not worth it there.

    Args:
        function: What a decorator made.
        shell: Where to show it; None in a script, which finds it in its log.
    """
    found = [one for one in function.effects if not one.is_hint]
    if found and shell is not None:
        show(Line("orchestrator", function.name, "of a module"))
        show(EffectsReport(found))
    elif found:
        _log.warning("orchestrator %s: %r", function.name, EffectsReport(found))


def report_of(function: OrchestratorFunction) -> EffectsReport:
    """Return what was found in an orchestrator, its own cell needing no naming."""
    chunks = function.definition.package.chunks
    home = [one.filename for one in chunks if one.name == function.__name__]
    return EffectsReport(function.effects, home[0] if home else "")


def listing(findings: Sequence[Finding]) -> str:
    """Return findings with their lines, as IPython shows the line of an error."""
    lines = []
    for one in findings:
        arrow = f"{'-' * max(2, 6 - len(str(one.line)))}> {one.line}"
        lines += [
            f"{one.filename}, line {one.line}",
            f"{arrow} {one.text}",
            f"{' ' * len(arrow)} {one.reason} → {one.remedy}",
        ]
    return "\n".join([*lines, f"A line that is meant so ends with the comment {_SILENCE}"])


def _mark(one: Finding) -> str:
    if one.is_hint:
        return f'<span style="{MUTED}">·</span>'
    return f'<span style="{TONES["warning"]}">⚠</span>'
