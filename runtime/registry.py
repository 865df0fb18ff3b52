"""All versions of all definitions of a store, and which one a name means to whom."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from .core.errors import UnknownDefinitionError
from .core.retry import RetryPolicy
from .definitions import ActivityOptions, Definition, Kind

__all__ = ["Registry", "retry_policy_of"]


class Registry:
    """Definitions by kind, name and epoch.

    Each definition gets the next *epoch* when it is added. An instance sees the definitions as
    they were at its own epoch, so later versions do not reach it.
    """

    def __init__(self, definitions: Iterable[Definition] = ()) -> None:
        self._by_name: dict[tuple[Kind, str], list[Definition]] = {}
        self._by_version: dict[tuple[Kind, str, str], Definition] = {}
        self.epoch = 0
        for definition in definitions:
            self._insert(definition)

    def add(self, definition: Definition, now: datetime) -> tuple[Definition, bool]:
        """Add a version, unless it is the newest of its name already.

        Args:
            definition: The version; its `number` and `epoch` are given here.
            now: The present time.

        Returns:
            The version as kept, and whether anything was added.
        """
        versions = self._by_name.get(_key(definition.kind, definition.name), [])
        if versions and _same(versions[-1], definition):
            return versions[-1], False
        known = self._by_version.get((*_key(definition.kind, definition.name), definition.version))
        numbers = [one.number for one in versions]
        kept = msgspec.structs.replace(
            definition,
            number=known.number if known else max(numbers, default=0) + 1,
            epoch=self.epoch + 1,
            created_at=now,
        )
        self._insert(kept)
        return kept, True

    def newest(self, kind: Kind, name: str, epoch: int | None = None) -> Definition:
        """Return what `name` means now, or meant at `epoch`.

        Raises:
            UnknownDefinitionError: It meant nothing then; lists near names.
        """
        versions = self._by_name.get(_key(kind, name), [])
        if epoch is None:
            found = len(versions)
        else:
            found = bisect.bisect_right(versions, epoch, key=lambda one: one.epoch)
        if found == 0:
            raise UnknownDefinitionError(kind.value, name, self._near(kind, name))
        return versions[found - 1]

    def version(self, kind: Kind, name: str, version: str) -> Definition:
        """Return one version by its content hash.

        Raises:
            UnknownDefinitionError: There is none.
        """
        found = self._by_version.get((*_key(kind, name), version))
        if found is None:
            raise UnknownDefinitionError(kind.value, name, self._near(kind, name))
        return found

    def versions(self, kind: Kind, name: str) -> list[Definition]:
        """Return all versions of a name in the order they were added; empty if there is none."""
        return list(self._by_name.get(_key(kind, name), []))

    def all(self) -> list[Definition]:
        """Return the newest version of every name."""
        return [versions[-1] for versions in self._by_name.values()]

    def _insert(self, definition: Definition) -> None:
        key = _key(definition.kind, definition.name)
        self._by_name.setdefault(key, []).append(definition)
        self._by_version[(*key, definition.version)] = definition
        self.epoch = max(self.epoch, definition.epoch)

    def _near(self, kind: Kind, name: str) -> tuple[str, ...]:
        names = {
            key: versions[-1].name
            for (other_kind, key), versions in self._by_name.items()
            if other_kind is kind
        }
        return tuple(names[key] for key in difflib.get_close_matches(_key(kind, name)[1], names))


def retry_policy_of(options: ActivityOptions) -> RetryPolicy | None:
    """Return the retry policy that an activity's options mean, or None for no retries."""
    if options.max_attempts <= 1:
        return None
    return RetryPolicy(
        first_retry_interval=timedelta(seconds=options.retry_delay_s),
        max_number_of_attempts=options.max_attempts,
        backoff_coefficient=options.retry_backoff,
        max_retry_interval=timedelta(seconds=options.retry_max_delay_s),
    )


def _key(kind: Kind, name: str) -> tuple[Kind, str]:
    """Return what a name is found by: those of entities do not depend on case."""
    return kind, name.lower() if kind is Kind.ENTITY else name


def _same(one: Definition, other: Definition) -> bool:
    return one.version == other.version and one.options == other.options
