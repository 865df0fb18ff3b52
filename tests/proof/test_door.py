"""The door of the host: whoever does not hold the key gets nothing done, decoded or answered."""

from __future__ import annotations

import logging
import os
import pickle
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from typing import Any, cast

import msgspec
import pytest
import zmq

from ipydurable.runtime.requests import HostStatusRequest, Request
from ipydurable.runtime.server import Server
from ipydurable.runtime.service import Service
from ipydurable.runtime.wire import Answer, Bye, Call, Calls, Hello, Signer, ToClient, ToHost

_log = logging.getLogger(__name__)

KEY = bytes(range(32))
SEED = int(os.environ.get("IPYDURABLE_SEED", "8"))
FUZZED = int(os.environ.get("IPYDURABLE_FUZZED_FRAMES", "5000"))
CONNECTIONS = 1000
DEADLINE_S = 30


class Counter:
    """Stands for the service: counts what gets through, and answers it."""

    def __init__(self) -> None:
        self.handled: list[Request] = []
        self.clients = 0

    def handle(self, request: Request) -> Future[Any]:
        self.handled.append(request)
        future: Future[Any] = Future()
        future.set_result("served")
        return future


class Door:
    """A server whose service counts, and ways to knock at it."""

    def __init__(self) -> None:
        self.service = Counter()
        self.server = Server(cast("Service", self.service), KEY)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.connect(f"tcp://127.0.0.1:{self.server.port}")
        self.number = 0
        self.server.start()

    def call(self, client: bytes = b"friend") -> list[bytes]:
        """Return the frames of a request as its rightful sender would send it."""
        self.number += 1
        call = Call(number=self.number, request=HostStatusRequest())
        return signed(Calls(client=client, number=self.number, calls=[call]))

    def is_served(self) -> bool:
        """Whether a rightful request is answered: all that was sent before has been handled."""
        self.socket.send_multipart(self.call())
        if not self.socket.poll(DEADLINE_S * 1000):
            return False
        body = Signer(KEY, b"to client").check(self.socket.recv_multipart())
        (answer,) = msgspec.msgpack.decode(body, type=ToClient)
        return isinstance(answer, Answer) and answer.number == self.number

    def close(self) -> None:
        """Close it."""
        self.socket.close()
        self.context.term()
        self.server.close()


def signed(message: ToHost, key: bytes = KEY, direction: bytes = b"to host") -> list[bytes]:
    """Return the frames of a message."""
    return Signer(key, direction).sign(msgspec.msgpack.encode(message))


@pytest.fixture
def door() -> Iterator[Door]:
    with closing(Door()) as door:
        yield door


def _changed(frames: list[bytes], rng: random.Random) -> list[bytes]:
    """Return rightful frames with something about them made wrong."""
    mac, body = frames
    at = rng.randrange(len(body))
    flipped = bytes([body[at] ^ (1 << rng.randrange(8))])
    ways: list[Callable[[], list[bytes]]] = [
        lambda: [mac, body[:at]],
        lambda: [mac[: rng.randrange(32)], body],
        lambda: [mac, body[:at] + flipped + body[at + 1 :]],
        lambda: [rng.randbytes(32), body],
        lambda: [rng.randbytes(rng.randrange(64)) for _ in range(rng.randrange(1, 6))],
        lambda: [body, mac],
        lambda: [mac, body, body],
        lambda: [body],
        lambda: [mac, body + rng.randbytes(rng.randrange(1, 9))],
        lambda: [b"", b""],
    ]
    return rng.choice(ways)()


@pytest.mark.parametrize(
    "frames",
    [
        signed(Hello(client=b"a", number=1), key=bytes(32)),
        signed(Hello(client=b"a", number=1), direction=b"to client"),
        [b"", msgspec.msgpack.encode(Hello(client=b"a", number=1))],
        [msgspec.msgpack.encode(Hello(client=b"a", number=1))],
        [b""],
    ],
    ids=["another key", "the other direction", "no signature", "no frame for it", "nothing"],
)
def test_a_message_not_signed_with_the_key_is_refused(door: Door, frames: list[bytes]) -> None:
    """It is counted, makes no client known, and the next rightful request is answered."""
    door.socket.send_multipart(frames)
    assert door.is_served()
    assert (door.server.refused, len(door.service.handled)) == (1, 1)
    assert door.service.clients == 1


def test_fuzzed_messages_get_nothing_done(door: Door) -> None:
    """None of thousands of damaged messages reaches the service, and it goes on serving."""
    _log.warning("seed %s, %s messages", SEED, FUZZED)
    rng = random.Random(SEED)
    for _ in range(FUZZED):
        door.socket.send_multipart(_changed(door.call(b"fuzzed"), rng))
    assert door.is_served()
    assert door.server.refused == FUZZED
    assert len(door.service.handled) == 1


def test_a_message_is_not_decoded_before_its_signature_is_checked(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder sees the rightful message only, and nothing is ever unpickled."""
    seen: list[bytes] = []

    class Watched:
        def decode(self, body: bytes) -> ToHost:
            seen.append(body)
            return msgspec.msgpack.decode(body, type=ToHost)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(door.server, "_decoder", Watched())
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    rng = random.Random(SEED)
    for _ in range(200):
        door.socket.send_multipart(_changed(door.call(b"fuzzed"), rng))
    assert door.is_served()
    assert len(seen) == 1


@pytest.mark.parametrize("then", ["at once", "after it left", "after it fell silent"])
def test_a_recorded_message_cannot_be_played_back(
    door: Door, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when the host no longer counts its sender among its clients."""
    recorded = door.call(b"gone")
    door.socket.send_multipart(recorded)
    assert door.socket.poll(DEADLINE_S * 1000)
    door.socket.recv_multipart()
    if then == "after it left":
        door.number += 1
        door.socket.send_multipart(signed(Bye(client=b"gone", number=door.number)))
    elif then == "after it fell silent":
        monkeypatch.setattr("ipydurable.runtime.server._SILENT_AFTER_S", -1.0)
        assert door.is_served()
        _until(lambda: door.service.clients == 0)
    before = len(door.service.handled)
    door.socket.send_multipart(recorded)
    assert door.is_served()
    assert len(door.service.handled) == before + 1
    assert door.server.refused == 1


def test_a_thousand_strangers_do_not_keep_a_client_out(door: Door) -> None:
    """Connections that say nothing, or nonsense, cost a descriptor each and nothing else."""
    rng = random.Random(SEED)
    with ExitStack() as stack:
        for n in range(CONNECTIONS):
            stranger = socket.create_connection(("127.0.0.1", door.server.port))
            stack.callback(stranger.close)
            if n % 2:
                stranger.sendall(rng.randbytes(rng.randrange(1, 200)))
        assert door.is_served()
    assert door.is_served()


_CLOSES = f"""\
import random
import socket

from ipydurable.runtime.server import Server

rng = random.Random({SEED})
for _ in range(10):
    server = Server(None, bytes(32))
    server.start()
    strangers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    for stranger in strangers:
        stranger.sendall(rng.randbytes(rng.randrange(1, 200)))
        stranger.close()
    server.close()
"""


def test_a_host_that_stops_amid_nonsense_ends_in_order() -> None:
    """In a process of its own: it ended by an abort of libzmq, five times in six."""
    done = subprocess.run(
        [sys.executable, "-c", _CLOSES], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
