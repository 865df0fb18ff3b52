"""What is left of an output's HTML on a page that trusts nobody, as GitHub's are."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser

__all__ = ["as_github_shows"]

# The elements that html-pipeline, GitHub's own sanitizer, lets through.
_NAMES = (
    "h1 h2 h3 h4 h5 h6 br b i strong em a pre code img tt div ins del sup sub p ol ul table thead "
    "tbody tfoot blockquote dl dt dd kbd q samp var hr ruby rt rp li tr td th s strike summary "
    "details caption figure figcaption abbr bdo cite dfn mark small span time wbr"
)
_ALLOWED = frozenset(_NAMES.split())
_ATTRIBUTES = frozenset(["align", "alt", "colspan", "rowspan", "open", "title"])
_EMPTY = frozenset(["br", "hr", "img", "wbr"])


class _Cleaner(HTMLParser):
    def __init__(self, *, keeps_words: bool) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._keeps_words = keeps_words
        self._dropped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what is allowed, without styles, classes and ids."""
        if tag in {"script", "style"} or (tag == "svg" and not self._keeps_words):
            self._dropped += 1
        elif tag in _ALLOWED and not self._dropped:
            kept = "".join(
                f' {name}="{escape(value or "")}"' for name, value in attrs if name in _ATTRIBUTES
            )
            self.parts.append(f"<{tag}{kept}>")

    def handle_endtag(self, tag: str) -> None:
        """Close what was kept."""
        if tag in {"script", "style"} or (tag == "svg" and not self._keeps_words):
            self._dropped -= 1
        elif tag in _ALLOWED and tag not in _EMPTY and not self._dropped:
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Keep words, also those of elements that were taken away."""
        if not self._dropped:
            self.parts.append(escape(data, quote=False))


def as_github_shows(html: str, *, keeps_words: bool = False) -> str:
    """Return HTML without styles, scripts, classes, ids and drawings.

    Args:
        html: As a notebook holds it.
        keeps_words: Leave the words that stood in a drawing, as some sanitizers do.
    """
    cleaner = _Cleaner(keeps_words=keeps_words)
    cleaner.feed(html)
    cleaner.close()
    return "".join(cleaner.parts)
