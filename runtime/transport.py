"""How requests reach a service: the seam between a client and a host, near or far."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from .requests import Request
from .service import Service

__all__ = ["ANSWER_TIMEOUT_S", "InProcess", "Transport"]

ANSWER_TIMEOUT_S = 60.0
"""How long to wait for an answer that should come at once."""


class Transport(Protocol):
    """Carries requests to a service."""

    def request(self, request: Request) -> Future[Any]:
        """Return the future of the answer."""
        ...

    def subscribe(self, followed: str, tell: Callable[[Any], None]) -> Callable[[], None]:
        """Follow an instance, an entity or the store, as `Service.subscribe`; returns an end."""
        ...

    def watch(self, tell: Callable[[str], None]) -> Callable[[], None]:
        """Tell when there is no host, in words, and `""` once there is one; returns an end."""
        ...

    def close(self) -> None:
        """Carry no more."""
        ...


class InProcess:
    """Carries requests to a service in the same process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def request(self, request: Request) -> Future[Any]:
        """Return the future of the answer."""
        return self._service.handle(request)

    def subscribe(self, followed: str, tell: Callable[[Any], None]) -> Callable[[], None]:
        """Follow an instance; returns how to end it."""
        return self._service.subscribe(followed, tell).result(timeout=ANSWER_TIMEOUT_S)

    def watch(self, tell: Callable[[str], None]) -> Callable[[], None]:  # noqa: ARG002
        """Nothing to tell: the service lives as long as this process."""
        return lambda: None

    def close(self) -> None:
        """Nothing to do: the service belongs to somebody else."""
