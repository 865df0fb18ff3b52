"""The global names of a definition, what each needs, and an order in which they can be made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.definitions import Chunk

__all__ = ["Node", "in_order", "reached_by"]


@dataclass(eq=False)
class Node:
    """One global name: how it gets its value, and what that needs.

    Attributes:
        live: The value it has in this process.
        material: What its content hash is made of.
        defining: Names that must be there before it can be made.
        calling: Names that must be there when it is called.
        chunks: Sources that bind it.
        imports: Import statements that bind it.
        payload: Its encoded value.
        stub: Kind and name of the durable definition it stands for.
    """

    live: Any
    material: list[Any]
    defining: set[str] = field(default_factory=set)
    calling: set[str] = field(default_factory=set)
    chunks: list[Chunk] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    payload: Payload | None = None
    stub: tuple[str, str] | None = None


def in_order(nodes: Mapping[str, Node]) -> list[str]:
    """Return the names in an order in which they can be made, the same for the same content.

    What a name needs to be made may be called meanwhile, as a decorator is: so all that *it*
    reaches comes before, too, as far as there are no cycles.
    """
    ordered: dict[str, None] = {}
    begun: set[tuple[str, bool]] = set()

    def place(name: str, *, is_called: bool) -> None:
        if name not in nodes or (name, is_called) in begun:
            return
        begun.add((name, is_called))
        if (name, not is_called) not in begun:
            for needed in sorted(nodes[name].defining):
                place(needed, is_called=True)
            ordered.setdefault(name)
        if is_called:
            for needed in sorted(nodes[name].calling):
                place(needed, is_called=True)

    for name in sorted(nodes):
        place(name, is_called=False)
    return list(ordered)


def reached_by(nodes: Mapping[str, Node], names: Iterable[str]) -> set[str]:
    """Return what may be called or looked at while the given names are made, themselves included.

    Functions are followed only where they are called while something else is made.
    """
    found: set[tuple[str, bool]] = set()
    waiting = [(name, False) for name in names]
    while waiting:
        name, is_called = waiting.pop()
        if name not in nodes or (name, is_called) in found:
            continue
        found.add((name, is_called))
        waiting.extend((needed, True) for needed in nodes[name].defining)
        if is_called:
            waiting.extend((needed, True) for needed in nodes[name].calling)
    return {name for name, _ in found}
