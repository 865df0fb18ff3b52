"""The gate: nothing of a store runs before all its code is the user's own, or approved.

Belongs to the engine and runs in its thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core.errors import UntrustedStoreError
from .core.payload import Blob
from .core.records import Record
from .definitions import Definition
from .requests import (
    CountInFlight,
    DescribeForms,
    DescribeOpen,
    ListLocks,
    ListUntrusted,
    Request,
    Trust,
    Untrusted,
    WaitForCompletion,
    WaitForStart,
)
from .signing import Signer, load_signer
from .trust import blobs_in, digest_of_blob, digest_of_definition

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Gate"]

_READS = (CountInFlight, DescribeForms, DescribeOpen, ListLocks, ListUntrusted, Trust)
_WAITS = (WaitForCompletion, WaitForStart)


class Gate:
    """Keeps a store from elsewhere from running.

    Args:
        engine: The engine, whose store has been recovered.
        definitions: All definitions in the store.
        live: What was live when the store was left.

    Attributes:
        foreign: The definitions that were neither signed with this user's key nor approved; while
            there are any, nothing runs and nothing is written.
    """

    def __init__(self, engine: Engine, definitions: list[Definition], live: list[Record]) -> None:
        self._engine = engine
        self._live = live
        self._signer: Signer | None = None
        self.foreign = [one for one in definitions if not self.signer.trusts(one)]

    @property
    def signer(self) -> Signer:
        """Signs what is defined, with the user's key."""
        if self._signer is None:
            self._signer = load_signer()
        return self._signer

    def check(self, request: Request) -> None:
        """Let a request pass that is safe.

        Raises:
            UntrustedStoreError: It would change something, or wait for what will not happen.
        """
        if not self.foreign or isinstance(request, _READS):
            return
        if isinstance(request, _WAITS):
            record = self._engine.orchestrations.find(request.instance_id)
            if record is None or record.status.is_terminal:
                return
        raise self._refusal()

    def untrusted(self) -> Untrusted:
        """Return what would have to be trusted."""
        return Untrusted(
            definitions=self.foreign,
            values=len({digest_of_blob(blob) for blob in self._foreign_blobs()}),
            live=len(self._live) if self.foreign else 0,
        )

    def trust(self, versions: list[str]) -> int:
        """Approve all there is, and let the store run.

        Args:
            versions: Content hashes of the definitions that the user has seen.

        Returns:
            How many definitions were approved.

        Raises:
            UntrustedStoreError: There are others, too; nothing is approved.
        """
        if {one.version for one in self.foreign} - set(versions):
            raise self._refusal()
        trusted = self.signer.trusted
        if trusted is None:
            raise self._refusal()
        trusted.add(
            [
                *map(digest_of_definition, self.foreign),
                *map(digest_of_blob, self._foreign_blobs()),
            ]
        )
        count, live = len(self.foreign), self._live
        self.foreign, self._live = [], []
        if count:
            self._engine.restore(live)
        return count

    def _foreign_blobs(self) -> list[Blob]:
        blobs = (blob for row in self._engine.store.all_rows() for blob in blobs_in(row.event))
        return [blob for blob in blobs if not self.signer.trusts_blob(blob)]

    def _refusal(self) -> UntrustedStoreError:
        return UntrustedStoreError(self._engine.store.path, len(self.foreign))
