"""How things look in a notebook and in a terminal: lines and small tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ipydurable.runtime.requests import Defined

    from .functions import DurableFunction

__all__ = [
    "FONT",
    "MUTED",
    "TONES",
    "Facts",
    "Line",
    "current_shell",
    "defined_line",
    "is_notebook",
    "show",
    "show_replaceable",
    "take_away",
]

FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);line-height:1.6"
)
MUTED = "opacity:.65"
TONES = {
    "": "",
    "warning": "color:var(--jp-warn-color0,#b07a00)",
    "error": "color:var(--jp-error-color0,#d64545)",
}


def current_shell() -> InteractiveShell | None:
    """Return the IPython shell this code runs in; None in a plain Python process."""
    # A shell that runs has imported IPython; where nobody has, importing it would only cost time.
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def is_notebook(shell: InteractiveShell | None) -> bool:
    """Whether the shell belongs to a Jupyter kernel, so that its outputs can be live."""
    return getattr(shell, "kernel", None) is not None


def show(what: Any) -> None:
    """Show something below the cell that runs now."""
    from IPython.display import display

    display(what)  # type: ignore[no-untyped-call]


def show_replaceable(what: Any) -> Any:
    """Show something, and return the handle by whose `update` it is replaced in place."""
    from IPython.display import display

    return display(what, display_id=True)  # type: ignore[no-untyped-call]


def take_away(handle: Any) -> None:
    """Take away what a handle of `show_replaceable` shows: no empty place is left."""
    handle.update(_Gone())


class _Gone:
    """An output that cannot be removed, and hides itself: even an empty one has a line's height."""

    _HTML = (
        "<style>.jp-OutputArea-child:has(.ipd-gone){display:none}</style>"
        '<div class="ipd-gone"></div>'
    )

    def __repr__(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        return self._HTML


class Line:
    """One line for people, with notes below it.

    Args:
        label: What it is about, e.g. `"activity"`.
        name: The name that stands out.
        detail: The rest of the line.
        notes: One line each, shown as warnings.
        tone: What the line itself is.
        is_muted: Whether it stands back.
    """

    def __init__(
        self,
        label: str = "",
        name: str = "",
        detail: str = "",
        notes: Sequence[str] = (),
        tone: Literal["", "warning", "error"] = "",
        *,
        is_muted: bool = False,
    ) -> None:
        self.label = label
        self.name = name
        self.detail = detail
        self.notes = tuple(notes)
        self.tone = tone
        self.is_muted = is_muted

    def __repr__(self) -> str:
        head = " ".join(part for part in (self.label, self.name, self.detail) if part)
        return "\n".join([head, *(f"  ⚠ {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        parts = [
            f'<span style="{MUTED}">{escape(self.label)}</span>' if self.label else "",
            f"<b>{escape(self.name)}</b>" if self.name else "",
            escape(self.detail),
        ]
        mark = f'<span style="{TONES["warning"]}">⚠</span>'
        notes = "".join(
            f'<div style="padding-left:1.2em;white-space:pre-wrap">{mark} {escape(note)}</div>'
            for note in self.notes
        )
        head = " ".join(part for part in parts if part)
        style = f"{FONT};white-space:pre-wrap;{MUTED if self.is_muted else TONES[self.tone]}"
        return f'<div style="{style}">{head}</div>' + (
            f'<div style="{FONT}">{notes}</div>' if notes else ""
        )


class Facts:
    """A heading with a small table of two columns.

    Args:
        heading: Stands above it.
        rows: What, and its value.
    """

    def __init__(self, heading: str, rows: Iterable[tuple[str, str]]) -> None:
        self.heading = heading
        self.rows = [(label, value) for label, value in rows if value]

    def __repr__(self) -> str:
        width = max((len(label) for label, _ in self.rows), default=0)
        return "\n".join([self.heading, *(f"  {one:<{width}}  {two}" for one, two in self.rows)])

    def _repr_html_(self) -> str:
        cell = "text-align:left;padding:1px 16px 1px 0;border:0;vertical-align:top"
        rows = "".join(
            f'<tr style="background:none"><td style="{cell};{MUTED}">{escape(label)}</td>'
            f'<td style="{cell};white-space:pre-wrap">{escape(value)}</td></tr>'
            for label, value in self.rows
        )
        return (
            f'<div style="{FONT}"><b>{escape(self.heading)}</b>'
            f'<table style="border-collapse:collapse;margin:2px 0 0;{FONT}">{rows}</table></div>'
        )


def defined_line(
    function: DurableFunction, defined: Defined, before: DurableFunction | None = None
) -> Line:
    """Return what a cell that defines something says.

    Args:
        function: What it defined.
        defined: What became of it.
        before: What this notebook had sent under that name before; None for nothing.
    """
    previous = 0 if before is None else before.number
    notes = [*function.warnings, *_changed_modules(function, before)]
    detail = f"v{defined.number}"
    stay = [
        f"{count} instance{'s' if count != 1 else ''} in flight "
        f"stay{'s' if count == 1 else ''} on v{number}"
        for number, count in sorted(defined.in_flight.items())
    ]
    if not defined.is_new:
        detail += " · same content, same version"
    elif stay:
        detail += f" · {', '.join(stay)}"
    elif defined.number == previous:
        detail += " · other options, new runs take them"
    elif defined.number < previous:
        detail += " again · new runs take it"
    elif defined.number > 1:
        detail += " · new runs take it"
    is_quiet = not defined.is_new and not notes
    return Line(function.kind.value, function.name, detail, notes, is_muted=is_quiet)


def _changed_modules(function: DurableFunction, before: DurableFunction | None) -> Iterator[str]:
    """Yield which modules beside the notebook make the difference to the version before."""
    if before is not None and before is not function:
        old = before.definition.package.module_hashes
        for name, content in function.definition.package.module_hashes.items():
            if old.get(name, content) != content:
                yield f"the module {name} has changed since v{before.number}"
