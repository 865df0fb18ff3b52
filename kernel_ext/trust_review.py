"""What `%durable trust` shows and asks: the code that a store from elsewhere would run."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from IPython.core.error import StdinNotImplementedError

from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.definitions import Definition
from ipydurable.runtime.requests import Untrusted

from .command import Desk, OptionParser
from .display import FONT, Line, current_shell, is_notebook, show
from .offers import Offer

__all__ = ["TrustReview", "trust"]

_VALUE_CHARS = 400


class TrustReview:
    """The code of a store from elsewhere, as it would be executed; nothing of it has run.

    Args:
        store: Path of the store.
        found: What would have to be trusted.
    """

    def __init__(self, store: str, found: Untrusted) -> None:
        self._store = store
        self._found = found

    def __repr__(self) -> str:
        parts = [self._heading]
        for definition in self._found.definitions:
            parts.append(f"\n{_title(definition)}")
            parts += [f"    {line}" for line in _code_of(definition).splitlines()]
            parts += [f"  ⚠ {note}" for note in _notes(definition)]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        code = (
            "font-family:var(--jp-code-font-family,monospace);white-space:pre-wrap;"
            "margin:2px 0 8px;border-left:2px solid var(--jp-border-color2,#bbb);padding-left:8px"
        )
        blocks = [f"<b>{escape(self._heading)}</b>"]
        for definition in self._found.definitions:
            notes = "".join(f"<div>⚠ {escape(note)}</div>" for note in _notes(definition))
            blocks.append(
                f'<details open style="margin-top:6px"><summary>{escape(_title(definition))}'
                f'</summary><div style="{code}">{escape(_code_of(definition))}</div>{notes}'
                "</details>"
            )
        return f'<div style="{FONT}">{"".join(blocks)}</div>'

    @property
    def _heading(self) -> str:
        found = self._found
        parts = [_count(len(found.definitions), "definition")]
        if found.values:
            parts.append(_count(found.values, "pickled value"))
        heading = f"{self._store} holds {' and '.join(parts)} not signed with your key"
        if found.live:
            heading += f"; {_count(found.live, 'instance')} would go on at once"
        return heading


def trust(desk: Desk, rest: str) -> Any:
    """Show what a store would run, and let it run once its user says so."""
    parser = OptionParser()
    parser.add_argument("--yes", action="store_true")
    given = parser.parse(rest)
    client, store = desk.session.client, desk.session.store
    found = client.untrusted()
    if not found.definitions and not found.values:
        return Line("store", store, "holds only code of yours, or code that you trust")
    review = TrustReview(store, found)
    show(review)

    def take() -> Line:
        count = desk.session.trust(found)
        what = _count(count, "definition") if count else _count(found.values, "value")
        live = f" · {_count(found.live, 'instance')} in flight" if found.live else ""
        return Line("store", store, f"is trusted ({what}){live}")

    if given["yes"]:
        return take()
    if is_notebook(current_shell()):
        offer = Offer("Trust this code", "runs the code above", "%durable trust --yes", take)
        desk.session.keep(offer)
        offer.show()
        return None
    return take() if _is_confirmed() else Line(detail="Nothing was trusted, and nothing runs.")


def _is_confirmed() -> bool:
    try:
        return input("Trust this code, and run it? [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, StdinNotImplementedError):
        return False


def _title(definition: Definition) -> str:
    parts = [f"{definition.kind} {definition.name} v{definition.number}"]
    if definition.notebook:
        parts.append(definition.notebook)
    if definition.cell:
        parts.append(f"cell [{definition.cell}]")
    if definition.created_at is not None:
        parts.append(f"{definition.created_at:%Y-%m-%d %H:%M} UTC")
    return " · ".join(parts)


def _code_of(definition: Definition) -> str:
    """Return all that is executed, rather than what the definition says its source is."""
    package = definition.package
    parts = list(package.imports)
    for name, value in package.values.items():
        if isinstance(value, str) and name != "__name__":
            shown = value if len(value) <= _VALUE_CHARS else f"{value[:_VALUE_CHARS]}…"
            parts.append(f"{name} = {shown}")
    parts += [chunk.source.rstrip() for chunk in package.chunks]
    return "\n".join(parts)


def _notes(definition: Definition) -> Iterator[str]:
    package = definition.package
    for path in package.paths:
        yield f"imports modules from {path}"
    for name, value in package.values.items():
        if isinstance(value, Blob) and value.codec != "arrow":
            yield f"loads the pickled variable {name!r} ({value.summary or 'a value'})"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
