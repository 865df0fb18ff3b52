"""The site builds without a warning, so every link and reference in it leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import PAGES, ROOT, blocks

_TUTORIALS = 8
_LONG = 120
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def test_the_site_has_every_page_and_needs_no_network(site: Path) -> None:
    """Nothing of a page is loaded from elsewhere."""
    for page in PAGES[1:]:
        html = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert html.is_file(), page
    pages = list(site.rglob("*.html"))
    assert len([page for page in pages if page.parent.name == "tutorials"]) == _TUTORIALS
    assert [one for one in pages if _LOADED.search(one.read_text(encoding="utf-8"))] == []


def test_the_reference_is_made_from_docstrings(site: Path) -> None:
    """What stands in the code is on the page: arguments and errors, not names alone."""
    text = (site / "api" / "definitions.html").read_text(encoding="utf-8")
    assert "How often a failed attempt is tried again" not in text  # that is the magic's
    assert "where it does what replay would not repeat" in text
    assert "EncodingError" in text
    data = re.sub(r"<[^>]+>", "", (site / "api" / "data.html").read_text(encoding="utf-8"))
    assert "queued_s (float64): seconds from scheduled_at to started_at" in data


@pytest.mark.parametrize("page", sorted({*PAGES, *ROOT.glob("*.md")}), ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """Also where the pages are read as files; the headings are those of code-hosting pages."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.text, "") if block.text else text
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        if path.startswith(("http:", "https:", "mailto:")):
            continue
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in _anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_nothing_twice(page: Path) -> None:
    """No picture and no long paragraph stands on a page a second time, as after a bad merge."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.text, "") if block.text else text
    parts = [one for one in re.split(r"\n\s*\n", text) if len(one) > _LONG or one[:2] == "!["]
    assert [one for one, times in Counter(parts).items() if times > 1] == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings]
    return {one.replace(" ", "-") for one in words}
