"""How `make docs` builds the site: pages in Markdown, tutorials, the reference from docstrings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pygments.lexer import bygroups, inherit
from pygments.lexers.python import PythonLexer
from pygments.token import Keyword, Operator, Text
from sphinx.application import Sphinx

import ipydurable

project = "ipydurable"
author = "the ipydurable authors"
html_title = "ipydurable"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images"]
nb_execution_mode = "off"
suppress_warnings = ["mystnb.unknown_mime_type"]  # plotly's own; its picture is shown

myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7db4f0", "color-brand-content": "#7db4f0"},
}

# What pages link to outside this folder, and where the site has it.
_ON_SITE = {
    "](../README.md#five-minutes)": "](tour.md)",
    "](../SECURITY.md)": "](security.md)",
    "](../notebooks/": "](tutorials/",
    "](../docs/": "](../",
    "[the last report](../tests/reports/mutants.md)": "the last report: `tests/reports/mutants.md`",
}

_PUBLIC = {*ipydurable.__all__, *ipydurable.errors.__all__}
_CODE = re.compile(r"(?<![`\w:])`([^`]+)`(?!`)")
_SECTION = re.compile(r"\s*(Args|Attributes|Raises|Returns|Yields|Note):$")
_COLUMN = re.compile(r" +(\w+) +(.+?): (.+)$")
_EXAMPLE = re.compile(r"(\s*)Example:$")


class CellLexer(PythonLexer):
    """Python with magics, as cells have it."""

    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [
            (r"^([ \t]*)(%%?)(\w+)(.*\n)", bygroups(Text, Operator, Keyword, Text)),
            inherit,
        ],
    }


def read_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turn the Markdown of our docstrings into what Napoleon and docutils read.

    What stands in backticks is code, and a link where it is a public name; what is indented below
    a line that ends with a colon is code. A property's docstring is no `type: text`.
    """
    del app, name, obj, options
    if what in ("property", "attribute") and lines and ": " in lines[0]:
        before, _, behind = lines[0].partition(": ")
        lines[:1] = [f"{before}:", behind]
    found: list[str] = []
    in_columns = False
    for number, line in enumerate(lines):
        column = _COLUMN.match(line) if in_columns else None
        in_columns = line == "Columns:" or column is not None
        if column is not None:
            found += [f"* `{column[1]}` ({column[2]}): {column[3]}"]
            continue
        follows = [one for one in lines[number + 1 :] if one.strip()]
        deeper = bool(follows) and _indent(follows[0]) > _indent(line)
        example = _EXAMPLE.match(line)
        if example and deeper and not follows[0].lstrip().startswith(">>>"):
            found += [f"{example[1]}For example::", ""]
        elif (
            line.endswith(":")
            and not line.endswith("::")
            and not _SECTION.match(line)
            and deeper
            and lines[number + 1 : number + 2] == [""]
        ):
            found.append(f"{line}:")
        elif in_columns:
            found += [line, ""]
        else:
            found.append(line)
    lines[:] = _CODE.sub(_code, "\n".join(found)).split("\n")


def _code(match: re.Match[str]) -> str:
    text = match[1]
    code = f":py:obj:`{text}`" if text in _PUBLIC else f"``{text}``"
    goes_on = match.string[match.end() : match.end() + 1].isalnum()  # as in: `Field`s
    return f"{code}\\ " if goes_on else code


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def move_links(app: Sphinx, page: str, source: list[str]) -> None:
    """Have links to files outside of this folder lead to their pages on the site."""
    del app, page
    for link, on_site in _ON_SITE.items():
        source[0] = source[0].replace(link, on_site)


def copy_tutorials(app: Sphinx) -> None:
    """Have the tutorials, as they were executed, among the pages; Sphinx reads one folder only.

    Pictures that stand for drawings where there are none are drawings here.
    """
    tutorials = Path(app.srcdir, "tutorials")
    tutorials.mkdir(exist_ok=True)
    for path in Path(app.srcdir).parent.glob("notebooks/*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = list(_drawn(cell["outputs"]))
        text = json.dumps(notebook)
        copy = tutorials / path.name
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.write_text(text, encoding="utf-8")


def _drawn(outputs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    is_table = False
    for output in outputs:
        html = output.get("metadata", {}).get("ipydurable_html")
        if html:
            output["data"] = {"text/html": html}
        if not is_table:
            yield output
        is_table = bool(html) and "<details" in html


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the above."""
    app.connect("builder-inited", copy_tutorials)
    app.connect("source-read", move_links)
    app.add_lexer("python", CellLexer)
    app.connect("autodoc-process-docstring", read_docstring, priority=100)
