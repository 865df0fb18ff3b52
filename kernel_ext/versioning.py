"""Versions of a definition as their user sees them: a list, and what changed between two."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.errors import (
    QueryError,
    UnknownDefinitionError,
    UnknownVersionError,
)
from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.definitions import CodePackage, Definition, Kind

from .content_hash import dump_code
from .frames import versions_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Change", "VersionDiff", "diff", "version_of", "versions"]

_VALUE_CHARS = 400
_DIGEST_CHARS = 8
_CONTEXT_LINES = 3
_DEFAULTS = "__defaults"
_FINISHED = {
    Kind.ORCHESTRATOR: "SELECT version, count(*) AS n FROM instances "
    "WHERE name = $name AND completed_at IS NOT NULL GROUP BY 1",
    Kind.ACTIVITY: "SELECT a.version, count(DISTINCT a.iid) AS n FROM attempts a "
    "JOIN instances i USING (iid) WHERE a.name = $name AND a.status IN ('completed', 'failed') "
    "AND i.completed_at IS NOT NULL GROUP BY 1",
    Kind.ENTITY: "SELECT version, count(*) AS n FROM entities WHERE name = lower($name) GROUP BY 1",
}


def versions(client: DurableClient, kind: Kind, name: str) -> pd.DataFrame:
    """Return all versions of a definition as a DataFrame, oldest first.

    Returns:
        The columns are `kind, name, number, version` (content hash)`, in_flight, finished` (how
        many instances run it, or ran it and have ended; missing where the store cannot count)`,
        notebook, cell, created_at` (UTC) and `source`. Of an entity, `in_flight` counts the
        entities whose last operation ran it, as all run the newest code.

    Raises:
        UnknownDefinitionError: Nothing of that kind has that name.
    """
    found = _known(client, kind, name)
    in_flight = client.in_flight(kind, name)
    finished = _finished(client, kind, name)
    if kind is Kind.ENTITY:
        counted = finished or {}
        in_flight = {one.number: counted.get(one.version, 0) for one in found}
        finished = {}
    return versions_frame(found, in_flight, finished)


def version_of(client: DurableClient, kind: Kind, name: str, wanted: int | str) -> Definition:
    """Return one version of a definition.

    Args:
        client: Asked for it.
        kind: What it defines.
        name: Its name.
        wanted: Its number, or the beginning of its content hash.

    Raises:
        UnknownDefinitionError: Nothing of that kind has that name.
        UnknownVersionError: It has no such version; lists those it has.
    """
    known = _known(client, kind, name)
    text = str(wanted).removeprefix("v")
    for one in known:
        if one.number == wanted or str(one.number) == text:
            return one
    found = [one for one in known if isinstance(wanted, str) and one.version.startswith(wanted)]
    if len(found) != 1:
        raise UnknownVersionError(name, str(wanted), tuple(one.number for one in known))
    return found[0]


def diff(
    client: DurableClient,
    kind: Kind,
    name: str,
    old: int | str | None = None,
    new: int | str | None = None,
) -> VersionDiff:
    """Return what changed between two versions of a definition.

    Args:
        client: Asked for them.
        kind: What it defines.
        name: Its name.
        old: Number or beginning of the content hash; by default the one before `new`.
        new: The same; by default the newest.

    Raises:
        UnknownDefinitionError: Nothing of that kind has that name.
        UnknownVersionError: It has no such version; lists those it has.
    """
    known = _known(client, kind, name)
    after = known[-1] if new is None else version_of(client, kind, name, new)
    if old is None:
        earlier = [one for one in known if one.number < after.number]
        before = earlier[-1] if earlier else after
    else:
        before = version_of(client, kind, name, old)
    return VersionDiff(before, after)


class Change(NamedTuple):
    """One thing that differs.

    Attributes:
        what: Which: `"fetch"`, `"constant LIMIT"`, `"options"`.
        old: Its text before; empty where it was not there.
        new: Its text since; empty where it has gone.
    """

    what: str
    old: str
    new: str

    def lines(self) -> Iterator[str]:
        """Yield the lines of a unified diff, without its heading."""
        old, new = self.old.splitlines(), self.new.splitlines()
        for line in difflib.unified_diff(old, new, n=_CONTEXT_LINES, lineterm=""):
            if not line.startswith(("---", "+++", "@@")):
                yield line


class VersionDiff:
    """What changed between two versions, in the code itself and in all it reaches.

    Attributes:
        old: The earlier version.
        new: The later one.
        changes: What differs; empty where the content is the same.
    """

    def __init__(self, old: Definition, new: Definition) -> None:
        self.old = old
        self.new = new
        self.changes = tuple(_changes(old, new))

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __repr__(self) -> str:
        parts = [self._heading]
        for change in self.changes:
            parts += [f"\n{change.what}", *(f"  {line}" for line in change.lines())]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        from .display import FONT

        code = "font:inherit;font-family:var(--jp-code-font-family,monospace);white-space:pre-wrap"
        blocks = [f"<b>{escape(self._heading)}</b>"]
        for change in self.changes:
            # In `pre`, lines and indents outlive pages that take styles away.
            rows = "\n".join(_html_line(line) for line in change.lines())
            blocks.append(
                f'<div style="margin:6px 0 2px">{escape(change.what)}</div>'
                f'<pre style="{code};border-left:2px solid var(--jp-border-color2,#bbb);'
                f'margin:0;padding:0 0 0 8px">{rows}</pre>'
            )
        return f'<div style="{FONT}">{"".join(blocks)}</div>'

    @property
    def _heading(self) -> str:
        name = f"{self.new.kind} {self.new.name}"
        if not self.changes:
            return f"{name} v{self.new.number}: the same content as v{self.old.number}"
        what = ", ".join(change.what for change in self.changes)
        return f"{name} v{self.old.number} → v{self.new.number}: {what}"


def _known(client: DurableClient, kind: Kind, name: str) -> list[Definition]:
    """Return the versions of a name, each once, by number."""
    found = client.versions(kind, name)
    if not found:
        raise UnknownDefinitionError(kind.value, name)
    by_number = {one.number: one for one in found}
    return [by_number[number] for number in sorted(by_number)]


def _finished(client: DurableClient, kind: Kind, name: str) -> dict[str, int] | None:
    """Count the instances that have ended, by content hash; None where the store cannot."""
    try:
        rows = client.sql(_FINISHED[kind], {"name": name}).to_pylist()
    except QueryError:
        return None
    return {row["version"]: row["n"] for row in rows}


def _changes(old: Definition, new: Definition) -> Iterator[Change]:
    before, after = _sources(old.package), _sources(new.package)
    names = [*after, *(name for name in before if name not in after)]
    # The definition itself first, then what it reaches.
    names.sort(key=lambda name: name != new.package.entry.removesuffix("__code"))
    kept = _unchanged(old.package, new.package)
    for name in names:
        one, other = before.get(name, ""), after.get(name, "")
        if name not in kept and _meaning(one) != _meaning(other):
            yield Change(name, one, other)
    values = _values(old.package, kept), _values(new.package, kept)
    yield from _differing("constant", *values)
    yield from _differing("module", old.package.module_hashes, new.package.module_hashes)
    yield from _differing("", _stubs(old.package), _stubs(new.package))
    imports = "\n".join(old.package.imports), "\n".join(new.package.imports)
    if imports[0] != imports[1]:
        yield Change("imports", *imports)
    options = _options(old), _options(new)
    if options[0] != options[1]:
        yield Change("options", *options)


def _differing(label: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            what = f"{label} {name}".strip()
            if name.endswith(_DEFAULTS):
                what = f"defaults of {name.removesuffix(_DEFAULTS)}"
            yield Change(what, old.get(name, ""), new.get(name, ""))


def _sources(package: CodePackage) -> dict[str, str]:
    """Return the code that users wrote, by name; not what we have added to put it together."""
    found: dict[str, str] = {}
    for chunk in package.chunks:
        if chunk.filename not in (f"<{chunk.name}>", f"<defaults of {chunk.name}>"):
            found[chunk.name] = f"{found.get(chunk.name, '')}\n{chunk.source}".strip()
    return found


def _meaning(source: str) -> str:
    try:
        return dump_code(ast.parse(source))
    except SyntaxError:
        return source


def _values(package: CodePackage, kept: set[str]) -> dict[str, str]:
    # `__name__` says where the code is at home, which is not content.
    values = package.values.items()
    return {name: _text(one) for name, one in values if name != "__name__" and name not in kept}


def _unchanged(old: CodePackage, new: CodePackage) -> set[str]:
    """Return the names bound to the same content; the bytes of pickles may differ all the same."""
    return {name for name, content in new.content.items() if old.content.get(name) == content}


def _text(payload: Payload) -> str:
    if isinstance(payload, str):
        shown = payload[:_VALUE_CHARS]
        return shown if len(shown) == len(payload) else f"{shown}… ({len(payload)} characters)"
    import hashlib

    digest = hashlib.sha256(payload.data).hexdigest()[:_DIGEST_CHARS]
    return f"{payload.summary or 'a value'} ({len(payload.data)} bytes, {digest})"


def _stubs(package: CodePackage) -> dict[str, str]:
    return {
        name: f"{kind} {defined}"
        for name, (kind, defined) in package.stubs.items()
        if not name.endswith("__stub")
    }


def _options(definition: Definition) -> str:
    options: dict[str, Any] = msgspec.to_builtins(definition.options)
    return "\n".join(f"{name} = {value}" for name, value in sorted(options.items()))


def _html_line(line: str) -> str:
    color = {
        "+": "color:var(--jp-success-color0,#2e7d32)",
        "-": "color:var(--jp-error-color0,#c62828)",
    }.get(line[:1], "opacity:.65")
    return f'<span style="{color}">{escape(line)}</span>'
