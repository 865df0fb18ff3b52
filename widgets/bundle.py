"""Puts a view's ES modules together into the one module that anywidget loads, without a build.

Sources are small modules under `static/`, which import each other by relative path and by name;
editors, `tsc` and a browser read them as they are. Linked, each becomes a scope of its own, in
the order in which they need each other.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["BundleError", "module", "style_sheet"]

_STATIC = Path(__file__).parent / "static"
_SHARED = "shared"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.\.?/[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) ([\w$]+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import\b|export\b(?! default )).*", re.MULTILINE)
_COMMENT = re.compile(
    r"^[ \t]*(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)[ \t]*\n", re.MULTILINE | re.DOTALL
)


class BundleError(Exception):
    """The modules of a view cannot be put together: a mistake in their source."""


@cache
def module(view: str) -> str:
    """Return the ES module of a view: `static/VIEW/main.js` with all it imports.

    Raises:
        BundleError: A module uses a form of import or export that is not supported, imports what
            the other does not export, or they import each other in a circle.
    """
    return link(_STATIC / view / "main.js", _STATIC)


@cache
def style_sheet(view: str) -> str:
    """Return the styles of a view: the shared ones, then those of each folder it has modules of."""
    folders = sorted(_folders(_STATIC / view / "main.js") - {_STATIC / _SHARED})
    sheets = [sheet for one in (_STATIC / _SHARED, *folders) for sheet in sorted(one.glob("*.css"))]
    return "\n".join(sheet.read_text("utf-8") for sheet in sheets)


def _folders(entry: Path) -> set[Path]:
    """Return the folders of a module and of all it imports."""
    seen: set[Path] = set()
    left = [entry.resolve()]
    while left:
        path = left.pop()
        if path not in seen:
            seen.add(path)
            text = _COMMENT.sub("", path.read_text("utf-8"))
            left += [(path.parent / found[2]).resolve() for found in _IMPORT.finditer(text)]
    return {path.parent for path in seen}


def link(entry: Path, root: Path) -> str:
    """Return `entry`, a module somewhere under `root`, as one module without imports.

    Supported are `import { a, b as c } from "./x.js";` at the start of a line, and `export` before
    a function, a class or a `const`; `export default` in the entry only. Whole-line comments are
    left out.

    Raises:
        BundleError: See `module`.
    """
    exports: dict[Path, list[str]] = {}
    parts: list[str] = []

    def add(path: Path, users: tuple[Path, ...]) -> None:
        place = path.relative_to(root)
        if path in users:
            raise BundleError(f"{place} imports itself by way of others")
        if path in exports:
            return
        text = _COMMENT.sub("", path.read_text("utf-8"))
        for found in _IMPORT.finditer(text):
            add((path.parent / found[2]).resolve(), (*users, path))
        text = _IMPORT.sub(lambda found: _destructured(found, path, root, exports), text)
        exports[path] = _EXPORT.findall(text)
        text = _EXPORT.sub("", text).strip()
        if left := _LEFT.search(text):
            raise BundleError(f"{place}: this form is not supported: {left[0]}")
        if not users:
            parts.append(text)
            return
        if re.search(r"^export default ", text, re.MULTILINE):
            raise BundleError(f"{place}: only the first module of a view may export a default")
        names = ", ".join(exports[path])
        parts.append(
            f"const {_scope(path, root)} = (() => {{\n{text}\nreturn {{ {names} }};\n}})();"
        )

    add(entry.resolve(), ())
    return "\n".join(parts) + "\n"


def _destructured(
    found: re.Match[str], path: Path, root: Path, exports: dict[Path, list[str]]
) -> str:
    """Return an import statement as the taking apart of the other module's scope."""
    source = (path.parent / found[2]).resolve()
    names = []
    for one in filter(None, (name.strip() for name in found[1].split(","))):
        name, _, alias = one.partition(" as ")
        if name not in exports[source]:
            raise BundleError(f"{path.relative_to(root)} imports {name}, which {found[2]} lacks")
        names.append(f"{name}: {alias}" if alias else name)
    return f"const {{ {', '.join(names)} }} = {_scope(source, root)};"


def _scope(path: Path, root: Path) -> str:
    return "$" + re.sub(r"\W", "_", str(path.relative_to(root).with_suffix("")))
