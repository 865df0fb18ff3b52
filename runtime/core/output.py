"""What an attempt of an activity prints and displays, as data and within bounds."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec

__all__ = ["KINDS", "AttemptOutput", "OutputBuffer", "OutputItem"]

KINDS: Final = ("stdout", "stderr", "log", "display")
"""What an `OutputItem` can be."""

_KEPT_CHARS: Final = 64 * 1024
_KEPT_DISPLAYS: Final = 50
_KEPT_DISPLAY_BYTES: Final = 4 * 1024 * 1024


class OutputItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of output.

    Attributes:
        kind: One of `KINDS`.
        text: What was printed or logged; of a display, its plain form.
        data: Of a display, the MIME bundle: text by MIME type, images in base64.
        metadata: Of a display, the bundle's metadata.
        dropped: How many characters were left out just before this piece.
        signature: Of a display, the host's: a page runs the script in HTML, so that of others is
            shown as text.
    """

    kind: str
    text: str = ""
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    dropped: int = 0
    signature: str = ""


class AttemptOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that an attempt printed, logged and displayed, in order.

    Attributes:
        items: The pieces.
        dropped: How many characters were left out, in all.
    """

    items: tuple[OutputItem, ...] = ()
    dropped: int = 0

    @property
    def text(self) -> str:
        """All of it as plain text; a line that was written over shows its last form only."""
        parts = []
        for item in self.items:
            if item.dropped:
                parts.append(f"\n[... {item.dropped:,} characters left out ...]\n")
            parts.append(item.text)
            if item.kind == "display" and not item.text.endswith("\n"):
                parts.append("\n")
        return _as_on_a_terminal("".join(parts))

    def __repr__(self) -> str:
        """What it looked like: a notebook that shows it shows the text."""
        return self.text or "(no output)"


class OutputBuffer:
    """Collects output: the first and the last 64 K characters are kept, and 4 MB of displays."""

    __slots__ = (
        "_display_bytes",
        "_displays",
        "_dropped",
        "_head",
        "_head_room",
        "_tail",
        "_tail_size",
    )

    def __init__(self) -> None:
        """Start with nothing."""
        self._head: list[OutputItem] = []
        self._head_room = _KEPT_CHARS
        self._tail: deque[OutputItem] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._displays = 0
        self._display_bytes = 0

    def add(self, item: OutputItem) -> None:
        """Take the next piece; what no longer fits in drops out from the middle."""
        self._dropped += item.dropped
        if item.kind == "display":
            item = self._bounded(item)
        room = self._head_room
        if room and not self._tail:
            if len(item.text) <= room:
                self._head.append(item)
                self._head_room -= len(item.text) or 1
                return
            if item.kind != "display":
                self._head.append(msgspec.structs.replace(item, text=item.text[:room]))
                item = OutputItem(item.kind, item.text[room:])
        self._add_to_tail(item)

    def take(self) -> AttemptOutput:
        """Return what is kept, neighbours of the same kind joined into one piece."""
        items: list[OutputItem] = []
        parts: list[str] = []
        for item in (*self._head, *self._tail):
            if items and item.kind == items[-1].kind != "display" and not item.dropped:
                parts.append(item.text)
                continue
            _close(items, parts)
            items.append(item)
        _close(items, parts)
        return AttemptOutput(items=tuple(items), dropped=self._dropped)

    def _add_to_tail(self, item: OutputItem) -> None:
        tail = self._tail
        if len(item.text) > _KEPT_CHARS:
            cut = len(item.text) - _KEPT_CHARS
            self._dropped += cut
            item = OutputItem(item.kind, item.text[cut:], dropped=item.dropped + cut)
        tail.append(item)
        self._tail_size += len(item.text) or 1
        lost = 0
        while self._tail_size > _KEPT_CHARS:  # which no piece is alone
            oldest = tail.popleft()
            size = len(oldest.text)
            self._tail_size -= size or 1
            self._dropped += size
            lost += size + oldest.dropped
        if lost:
            tail[0] = msgspec.structs.replace(tail[0], dropped=tail[0].dropped + lost)

    def _bounded(self, item: OutputItem) -> OutputItem:
        """Return a display as it is kept: too many, or too big, and only its text is."""
        size = sum(len(part) for part in item.data.values() if isinstance(part, str | bytes))
        fits = self._display_bytes + size <= _KEPT_DISPLAY_BYTES
        text = item.text[:_KEPT_CHARS]
        if fits and self._displays < _KEPT_DISPLAYS:
            self._displays += 1
            self._display_bytes += size
            return msgspec.structs.replace(item, text=text)
        self._dropped += size
        return OutputItem("display", text, dropped=item.dropped + size)


def _close(items: list[OutputItem], parts: list[str]) -> None:
    """Give the last piece the text of its neighbours."""
    if parts:
        text = "".join((items[-1].text, *parts))
        items[-1] = msgspec.structs.replace(items[-1], text=text)
        parts.clear()


def _as_on_a_terminal(text: str) -> str:
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
