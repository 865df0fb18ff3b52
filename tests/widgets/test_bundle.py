"""Putting a view's modules together, and what holds for the sources of every view."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from ipydurable.widgets.bundle import BundleError, link, module, style_sheet
from tests.widgets.harness import STATIC

VIEWS = sorted(path.parent.name for path in STATIC.glob("*/main.js"))
SOURCES = sorted(STATIC.rglob("*.js"))


@pytest.fixture
def linked(tmp_path: Path) -> Callable[..., str]:
    """Links modules given by name and source; the first is the entry."""

    def link_sources(**sources: str) -> str:
        for name, source in sources.items():
            (tmp_path / f"{name}.js").write_text(source, "utf-8")
        return link(tmp_path / f"{next(iter(sources))}.js", tmp_path)

    return link_sources


def run(page: Page, source: str) -> object:
    """Return the default export of a module, as a browser has it."""
    return page.evaluate(
        """async source => {
          const url = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
          return (await import(url)).default;
        }""",
        source,
    )


def test_linked_modules_do_what_they_do_apart(page: Page, linked: Callable[..., str]) -> None:
    """Functions, classes and constants are found under their names, and under others."""
    source = linked(
        main='import { Twice, base as from } from "./a.js";\nimport { add } from "./b.js";\n'
        "export default add(new Twice(from).value, 1);\n",
        a='import { add } from "./b.js";\nexport const base = 20;\n'
        "export class Twice {\n  constructor(n) { this.value = add(n, n); }\n}\n",
        b="const own = 0;\nexport function add(x, y) {\n  return x + y + own;\n}\n",
    )
    assert run(page, source) == 41


def test_modules_keep_names_of_their_own(page: Page, linked: Callable[..., str]) -> None:
    """Two modules may use one name for different things."""
    source = linked(
        main='import { one } from "./a.js";\nconst own = 1;\nexport default own + one;\n',
        a="const own = 10;\nexport const one = own;\n",
    )
    assert run(page, source) == 11


def test_a_module_that_several_need_is_evaluated_once(
    page: Page, linked: Callable[..., str]
) -> None:
    """What is shared is the same thing for all."""
    source = linked(
        main='import { a } from "./a.js";\nimport { b } from "./b.js";\nexport default a === b;\n',
        a='import { shared } from "./c.js";\nexport const a = shared;\n',
        b='import { shared } from "./c.js";\nexport const b = shared;\n',
        c="export const shared = {};\n",
    )
    assert run(page, source) is True


def test_whole_line_comments_are_left_out(linked: Callable[..., str]) -> None:
    """Types and explanations need not travel to the browser; strings do, whatever they hold."""
    source = linked(main='// one\n/** two\n * three */\nexport default "// four"; // five\n')
    assert source == 'export default "// four"; // five\n'


def test_a_cast_at_the_start_of_a_line_is_no_whole_line_comment(linked: Callable[..., str]) -> None:
    """What stands between two comments is code."""
    source = linked(
        main="const one =\n  /** @type {number} */ (1);\n/** two */\nexport default one;\n"
    )
    assert "(1);" in source


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ({"main": 'import { b } from "./a.js";', "a": "export const a = 1;"}, "imports b, which"),
        ({"main": 'import a from "./a.js";', "a": "export const a = 1;"}, "not supported: import"),
        ({"main": 'import * as a from "./a.js";', "a": ""}, "not supported: import"),
        ({"main": "export let a = 1;"}, "not supported: export let"),
        ({"main": "const a = 1;\nexport { a };"}, "not supported: export {"),
        ({"main": 'import { a } from "https://cdn/x.js";'}, "not supported: import"),
        ({"main": 'import { a } from "./a.js";', "a": "export const a = 1;\nexport default a;"},
         "only the first module"),
        ({"main": 'import { a } from "./a.js";', "a": 'import { b } from "./main.js";'},
         "imports itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_linked_is_refused(
    linked: Callable[..., str], sources: dict[str, str], complaint: str
) -> None:
    """A form that would come out wrong is an error at once, and names the module."""
    with pytest.raises(BundleError, match=re.escape(complaint)):
        linked(**sources)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_one_module_that_needs_nothing(view: str) -> None:
    """A view is loaded from memory: it cannot import, and must not load anything."""
    assert not re.search(r"^\s*import\b|\bimport\(", module(view), re.MULTILINE)
    assert not re.search(r"@import|url\(", style_sheet(view))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(STATIC)))
def test_modules_are_small_checked_and_safe(path: Path) -> None:
    """Types are checked, files can be read, and text of users never becomes markup or code."""
    source = path.read_text("utf-8")
    assert source.startswith("// @ts-check\n")
    assert source.count("\n") <= 500
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", source)


# JupyterLab's own themes, and what stands in for them elsewhere: background, and if it is dark.
PAPERS = [("#ffffff", False), ("#f5f5f5", False), ("#111111", True), ("#212121", True)]


@pytest.mark.parametrize(("paper", "dark"), PAPERS)
@pytest.mark.parametrize("token", ["running", "completed", "failed", "waiting", "queued"])
def test_the_colours_of_states_can_be_read_as_text(token: str, paper: str, dark: bool) -> None:
    """Every state's colour has the contrast that WCAG 2.2 AA asks of text, in both themes."""
    sheet = (STATIC / "shared" / "tokens.css").read_text("utf-8")
    colours = re.findall(rf"--ipd-{token}: (#[0-9a-f]{{6}})", sheet)
    assert len(colours) == 2
    assert contrast(colours[dark], paper) >= 4.5


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, as WCAG defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
