"""What a host and its worker process say to each other: frames of a kind and a body."""

from __future__ import annotations

import enum
import struct
from typing import Final

__all__ = ["AHEAD_HEADER", "AHEAD_LIMIT", "HEADER", "Frame", "FrameReader", "pack"]

HEADER: Final = struct.Struct("<QB")
"""Before each body: its length in bytes, and the frame's kind."""

AHEAD_HEADER: Final = struct.Struct("<Q")
"""Before each attempt that is sent ahead: the number by which it may be taken back."""

AHEAD_LIMIT: Final = 16 * 1024
"""Larger attempts, in bytes, are not sent ahead."""

_CHUNK_SIZE: Final = 1 << 16
_BIG_CHUNK_SIZE: Final = 1 << 20


class Frame(enum.IntEnum):
    """The kinds of frames."""

    ATTEMPT = 0
    """Host to worker: run this; the body is `run_attempt`'s payload."""
    READY = 1
    """Worker to host: started, and waits."""
    LOADED = 2
    """Worker to host: the code was loaded, the body begins now."""
    PROGRESS = 3
    """Worker to host: the activity told how far it is; the body is a `Progress`."""
    OUTCOME = 4
    """Worker to host: the attempt ended; the body is what `run_attempt` returned."""
    SPOKEN_OUTCOME = 6
    """The same, while what the attempt wrote to its descriptors may not have been read yet."""
    OUTPUT = 5
    """Worker to host: the activity printed or displayed something; the body is `OutputItem`s."""


def pack(kind: Frame, body: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    return HEADER.pack(len(body), kind) + body


class FrameReader:
    """Cuts what arrives, in pieces of any size, into frames."""

    __slots__ = ("_buffer", "_needed")

    def __init__(self) -> None:
        """Start with nothing received."""
        self._buffer = bytearray()
        self._needed = HEADER.size

    @property
    def chunk_size(self) -> int:
        """How many bytes to read next at most: more, while a big frame is under way."""
        missing = self._needed - len(self._buffer)
        return _BIG_CHUNK_SIZE if missing > _CHUNK_SIZE else _CHUNK_SIZE

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what arrived; return the kind and body of each frame that is now complete."""
        frames = []
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= HEADER.size:
            length, kind = HEADER.unpack_from(buffer, start)
            end = start + HEADER.size + length
            if len(buffer) < end:
                break
            frames.append((kind, bytes(memoryview(buffer)[start + HEADER.size : end])))
            start = end
        if start:
            del buffer[:start]
        self._needed = HEADER.size + (
            HEADER.unpack_from(buffer)[0] if len(buffer) >= HEADER.size else 0
        )
        return frames
