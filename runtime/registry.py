"""All versions of all definitions of a store, and which one a name means to whom."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from .core.code import Resolved
from .core.errors import UnknownDefinitionError, UnknownVersionError
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
        self._resolved: dict[tuple[Kind, str, int], Resolved] = {}
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

    def resolve(self, kind: Kind, name: str, epoch: int) -> Resolved:
        """Return what a name means to an instance of `epoch`; raises as `newest`."""
        key = kind, name, epoch
        resolved = self._resolved.get(key)
        if resolved is None:
            found = self.newest(kind, name, epoch)
            resolved = Resolved(found.version, retry_policy_of(found.options))
            # What an epoch saw stays as it was, once the next definition has another.
            if epoch <= self.epoch:
                self._resolved[key] = resolved
        return resolved

    def version(self, kind: Kind, name: str, version: str, epoch: int | None = None) -> Definition:
        """Return one version by its content hash.

        Args:
            kind: What it defines.
            name: Its name.
            version: The hash.
            epoch: Whose options count where the same code was defined with several; by default
                those it was last defined with.

        Raises:
            UnknownDefinitionError: There is none.
        """
        found = self._by_version.get((*_key(kind, name), version))
        if found is None:
            raise UnknownDefinitionError(kind.value, name, self._near(kind, name))
        if epoch is None or found.epoch <= epoch:
            return found
        versions = self._by_name[_key(kind, name)]
        earlier = [one for one in versions if one.version == version and one.epoch <= epoch]
        return earlier[-1] if earlier else found

    def find(self, kind: Kind, name: str, wanted: int | str | None) -> Definition:
        """Return the version that somebody means.

        Args:
            kind: What it defines.
            name: Its name.
            wanted: Its number, or the beginning of its content hash; None for the newest.

        Raises:
            UnknownDefinitionError: Nothing has that name.
            UnknownVersionError: The name has no such version; lists those it has.
        """
        newest = self.newest(kind, name)
        if wanted is None:
            return newest
        versions = self.versions(kind, name)
        found = [one for one in versions if _is_meant(one, wanted)]
        if not found or len({one.version for one in found}) > 1:
            numbers = tuple(sorted({one.number for one in versions}))
            raise UnknownVersionError(name, str(wanted), numbers)
        return found[-1]

    def last_epoch(self, definition: Definition) -> int:
        """Return the last epoch at which a version is what its name means."""
        versions = self._by_name[_key(definition.kind, definition.name)]
        last = max(index for index, one in enumerate(versions) if one.version == definition.version)
        return self.epoch if last + 1 == len(versions) else versions[last + 1].epoch - 1

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


def _is_meant(definition: Definition, wanted: int | str) -> bool:
    if isinstance(wanted, int):
        return definition.number == wanted
    return bool(wanted) and definition.version.startswith(wanted)


def _same(one: Definition, other: Definition) -> bool:
    return one.version == other.version and one.options == other.options
