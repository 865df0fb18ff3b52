"""What an entity keeps: attributes of a class, the state of a function, over edits of the code."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from ipydurable import entity
from tests.conformance.entity_common import (
    ask,
    entities_of,
    entity_of,
    failure_of,
    state_of,
)
from tests.conformance.scenario import World, scenario


@entity
class Basket:
    """Keeps all kinds of state."""

    opened: datetime
    owner: str = "nobody"
    _note = "not kept"

    def __init__(self) -> None:
        self.goods: dict[str, int] = {}

    def put(self, name: str, count: int = 1, *, owner: str = "") -> dict[str, int]:
        self.goods[name] = self.goods.get(name, 0) + count
        self.owner = owner or self.owner
        self._note = "changed"
        return self.goods

    def open(self, at: datetime) -> None:
        self.opened = at

    def age(self, now: datetime) -> Any:
        return [now - self.opened, self._note]

    async def wait_and_put(self, name: str) -> int:
        await asyncio.sleep(0)
        self.put(name)
        return len(self.goods)

    def label(self, context: Any, text: str = "basket") -> str:
        return f"{text} {context.entity_name} {context.operation}"

    def take(self, name: str) -> int:
        return self.goods.pop(name)


@scenario(gives=[{"pear": 2}, {"goods": {"fig": 1, "pear": 2}, "owner": "Ann"}])
def public_attributes_are_the_state_of_a_class(world: World) -> Any:
    """Those of `__init__` and of the class body, and no private ones; arguments are passed on."""
    basket = entity_of(world, "Basket")
    first = ask(world, basket, "put", "pear", 2)
    ask(world, basket, "put", "fig", owner="Ann")
    return [first, state_of(world, basket)]


@scenario(gives=[[timedelta(days=1), "not kept"], ["AttributeError"]])
def attributes_keep_their_types(world: World) -> Any:
    """A datetime comes back as one; an attribute with a type only is missing until it is set."""
    basket = entity_of(world, "Basket")
    missing = failure_of(lambda: ask(world, basket, "age", datetime(2026, 1, 2)))[:1]
    ask(world, basket, "open", datetime(2026, 1, 1))
    return [ask(world, basket, "age", datetime(2026, 1, 2)), missing]


@scenario(gives=[1, 2, "basket basket label", "my basket label"])
def operations_may_be_async_and_may_ask_for_the_context(world: World) -> Any:
    """`async def` operations are awaited; a first parameter `ctx` or `context` is given it."""
    basket = entity_of(world, "Basket")
    return [
        ask(world, basket, "wait_and_put", "fig"),
        ask(world, basket, "wait_and_put", "pear"),
        ask(world, basket, "label"),
        ask(world, basket, "label", "my"),
    ]


@scenario(gives=[["tally", True], [0, "", [], False], [True] * 4, None])
def falsy_state_is_state_and_none_deletes(world: World) -> Any:
    """0, "", [] and False are kept and listed; a function entity deletes itself with None."""
    one = entity_of(world, "tally")
    who, kept, listed = ask(world, one, "who"), [], []
    for value in (0, "", [], False):
        ask(world, one, "set", value)
        kept.append(state_of(world, one))
        listed.append(entities_of(world, name="tally") == ["a"])
    ask(world, one, "forget")
    return [who, kept, listed, state_of(world, one)]


@scenario(gives=[[1], [1], None, None])
def reading_changes_nothing(world: World) -> Any:
    """`get_state` gives a copy; an operation that only reads creates no state."""
    one, account = entity_of(world, "tally"), entity_of(world, "Account")
    ask(world, one, "set", [1])
    answer = ask(world, one, "mutate", 2)
    ask(world, account, "get")
    return [answer, state_of(world, one), state_of(world, account), ask(world, account, "set", 0)]


@entity
class Lease:
    holder: str = ""

    def take(self, holder: str) -> None:
        self.holder = holder

    def delete(self, ctx: Any) -> str:
        ctx.set_state(None)
        return f"{self.holder} is out"


@scenario(gives=[None, None, 0, "Ann is out", None])
def delete_is_built_in_and_may_be_ones_own(world: World) -> Any:
    """Every class has the operation `delete`, and may define its own; after it all begins anew."""
    account, lease = entity_of(world, "Account"), entity_of(world, "Lease")
    ask(world, account, "deposit", 5)
    deleted = ask(world, account, "delete")
    ask(world, lease, "take", "Ann")
    return [
        deleted,
        state_of(world, account),
        ask(world, account, "get"),
        ask(world, lease, "delete"),
        state_of(world, lease),
    ]


@entity
class Crate:
    items: list[int] = []  # noqa: RUF012  (what users write, and mean)

    def add(self, item: int) -> list[int]:
        self.items.append(item)
        return self.items

    def add_and_fail(self, item: int) -> None:
        self.items.append(item)
        raise ValueError("no room")


@scenario(gives=[[1], ["ValueError", "no room"], {"items": [1]}, [2], [1, 3]])
def a_default_of_the_class_body_belongs_to_each_entity(world: World) -> Any:
    """A list in the class body is where each entity begins; changing it in place changes one."""
    one, other = entity_of(world, "Crate", "one"), entity_of(world, "Crate", "other")
    return [
        ask(world, one, "add", 1),
        failure_of(lambda: ask(world, one, "add_and_fail", 9)),
        state_of(world, one),
        ask(world, other, "add", 2),
        ask(world, one, "add", 3),
    ]


@scenario(gives=[["EntityOperationError", True], {"balance": 1}])
def an_unknown_operation_lists_those_there_are(world: World) -> Any:
    """It fails as any other operation, and leaves the state alone."""
    account = entity_of(world, "Account")
    ask(world, account, "deposit", 1)
    kind, message = failure_of(lambda: ask(world, account, "__init__"))
    return [[kind, "it has deposit, get" in message], state_of(world, account)]


@entity(name="Shelf")
class ShelfV1:
    books: int = 0
    color: str = "red"
    width: Any = "80"

    def fill(self, books: int) -> int:
        self.books = books
        return self.books


@entity(name="Shelf")
class ShelfV2:
    books: int = 0
    height: int = 200
    width: int = 0

    def describe(self) -> Any:
        return [self.books, self.height, self.width, hasattr(self, "color")]

    def fill(self, books: int) -> int:
        self.books = books
        return self.books


@entity(name="Shelf")
class ShelfV3:
    books: dict[str, int]

    def describe(self) -> Any:
        return self.books


@scenario(gives=[[7, 200, 80, False], 8, "EntityStateError", [8, "red"]])
def new_code_runs_on_old_state(world: World) -> Any:
    """New attributes get their defaults, removed ones are kept aside, and come back with the class.

    A type that changed is converted; where that cannot be, the operation fails and the state stays.
    """
    shelf = entity_of(world, "Shelf")
    world.define(ShelfV1)
    ask(world, shelf, "fill", 7)
    world.define(ShelfV2)
    described = ask(world, shelf, "describe")
    filled = ask(world, shelf, "fill", 8)
    world.define(ShelfV3)
    refused = failure_of(lambda: ask(world, shelf, "describe"))[0]
    world.define(ShelfV1)
    ask(world, shelf, "fill", 8)
    state = state_of(world, shelf)
    return [described, filled, refused, [state["books"], state["color"]]]


@scenario(gives=[8, None])
def an_entity_whose_state_does_not_fit_can_be_deleted(world: World) -> Any:
    """The built-in `delete` needs no state."""
    shelf = entity_of(world, "Shelf")
    world.define(ShelfV1)
    filled = ask(world, shelf, "fill", 8)
    world.define(ShelfV3)
    ask(world, shelf, "delete")
    return [filled, state_of(world, shelf)]


@scenario(gives=[300_000, 300_002, ["x", "y", "z"], 1])
def a_large_state_is_kept_like_a_small_one(world: World) -> Any:
    """Several hundred thousand characters, read back by code, by a query, and after it shrank."""
    one = entity_of(world, "tally")
    ask(world, one, "set", "x" * 300_000)
    sizes = [len(ask(world, one, "get"))]
    ask(world, one, "add", "yz")
    sizes.append(len(state_of(world, one)))
    ends = sorted(set(ask(world, one, "get")))
    ask(world, one, "set", "z")
    return [*sizes, ends, len(ask(world, one, "get"))]
