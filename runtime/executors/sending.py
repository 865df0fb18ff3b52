"""How a worker process sends the output of its attempt: at once, while it is not too much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from ..core.output import OutputItem
from ..recording import Recorder

__all__ = ["SendingRecorder", "decode_items"]

_AT_ONCE_CHARS: Final = 64 * 1024
_LINE_CHARS: Final = 4 * 1024
_AT_ONCE_DISPLAYS: Final = 50
_FLOOD_INTERVAL_S: Final = 1.0

_encode_items = msgspec.msgpack.Encoder().encode
decode_items = msgspec.msgpack.Decoder(list[OutputItem]).decode
"""Returns the pieces in the body of an OUTPUT frame."""


class SendingRecorder(Recorder):
    """Sends what is printed line by line, so that it survives the worker's death.

    Of an activity that floods its output, what can be kept is sent once a second.

    Args:
        send: Sends the body of an OUTPUT frame.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send
        self._sending = threading.RLock()
        self._unsent_chars = 0
        self._sent_chars = 0
        self._sent_at = 0.0
        self._displays = 0

    def add(self, item: OutputItem) -> None:
        """Take the next piece, and send what is there when it is time."""
        with self._sending:
            super().add(item)
            self._unsent_chars += len(item.text)
            self._displays += item.kind == "display"
            if self._sent_chars < _AT_ONCE_CHARS and self._displays <= _AT_ONCE_DISPLAYS:
                is_due = (
                    item.kind == "display"
                    or item.text.endswith(("\n", "\r"))
                    or self._unsent_chars >= _LINE_CHARS
                )
            else:
                is_due = time.monotonic() - self._sent_at >= _FLOOD_INTERVAL_S
            if is_due:
                self.flush()

    def flush(self) -> None:
        """Send what is unsent."""
        with self._sending:
            output = self.take_away()
            if output is not None:
                self._sent_chars += self._unsent_chars
                self._unsent_chars = 0
                self._sent_at = time.monotonic()
                self._send(_encode_items(_cleaned(output.items)))


def _cleaned(items: tuple[OutputItem, ...]) -> tuple[OutputItem, ...]:
    """Replace what UTF-8 cannot hold."""
    try:
        _encode_items(items)
    except UnicodeEncodeError:
        return tuple(
            msgspec.structs.replace(
                item, text=item.text.encode("utf-8", "backslashreplace").decode()
            )
            for item in items
        )
    return items
