"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "ROOT", "Block", "all_text", "blocks", "code_in"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(\S*)\s*$")
_MARK = re.compile(r"<!-- (not run|raises|output)(?:: (.+))? -->")
_FENCED = re.compile(r"^( *)(`{3,}|~{3,})\S*\n.*?^\1\2\s*$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: Its file.
        line: Of its first line of text, from 1.
        language: What stands behind the fence.
        text: What is in it.
        not_run: Why it is not executed; empty where it is.
        raises: The error that it must end with; empty where it must succeed.
        output: Whether it is what the block before it printed and showed.
    """

    page: Path
    line: int
    language: str
    text: str
    not_run: str = ""
    raises: str = ""
    output: bool = False

    @property
    def place(self) -> str:
        """Where it is, as editors understand it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order.

    A line `<!-- not run: REASON -->`, `<!-- raises: ERROR -->` or `<!-- output -->` above a block
    says so of it.
    """
    found: list[Block] = []
    mark: dict[str, Any] = {}
    fence: re.Match[str] | None = None
    start, text = 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        opened = _FENCE.match(line)
        if fence is None and opened:
            fence, start, text = opened, number + 1, []
        elif fence is not None and line.strip() == fence[2]:
            found.append(Block(page, start, fence[3], "\n".join(text), **mark))
            fence, mark = None, {}
        elif fence is not None:
            text.append(line.removeprefix(fence[1]))
        elif line.strip():
            marked = _MARK.fullmatch(line.strip())
            mark = {marked[1].replace(" ", "_"): marked[2] or True} if marked else {}
    return found


def all_text() -> str:
    """Return the text of all pages but the generated reference."""
    return "\n".join(
        page.read_text(encoding="utf-8") for page in PAGES if page.parent.name != "api"
    )


def code_in(page: Path) -> list[str]:
    """Return all code of a page: what stands in backticks, and the text of its blocks."""
    text = page.read_text(encoding="utf-8")
    fenced = [block.text for block in blocks(page)]
    outside = _FENCED.sub("", text)
    return [*fenced, *(match[2] for match in _INLINE.finditer(outside))]
