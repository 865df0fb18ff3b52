"""A language of orchestration programs: what they are made of, how they are run, how one is drawn.

A program is a list of operations, done in turn. Operations are plain lists, so that programs can be
inputs of orchestrations. Every operation that has an effect carries a tag of its own, by which
its effect is counted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from ipydurable.runtime.core.errors import TaskFailedError
from ipydurable.runtime.core.retry import RetryPolicy

__all__ = ["ENTITIES", "EVENTS", "Log", "failing", "programs", "run", "tagged", "working"]

Op = list[Any]

EVENTS = ("red", "blue")
ENTITIES = ("a", "b", "c")
_SOON = timedelta(seconds=1)


# What programs use: two activities, and an entity that remembers all that was done to it.


def working(tag: str) -> str:
    """An activity that succeeds."""
    return tag


def failing(tag: str) -> str:
    """An activity that fails."""
    raise ValueError(tag)


class Log:
    """An entity that remembers the tags it was given, in order."""

    tags: list[str] = []  # noqa: RUF012  (entity state: each object gets its own on loading)

    def add(self, tag: str) -> None:
        self.tags = [*self.tags, tag]

    def add_and_fail(self, tag: str) -> None:
        self.add(tag)
        raise ValueError(tag)

    def count(self) -> int:
        return len(self.tags)


def tagged(what: Any, suffix: str) -> Any:
    """Return a program, or a part of one, with `suffix` added to its tags."""
    match what:
        case list():
            return [tagged(one, suffix) for one in what]
        case str() if what[0].isdigit():
            return what + suffix
    return what


# How programs are run.


async def run(ctx: Any, order: list[Any]) -> list[Any] | None:
    """The orchestrator: does a program `rounds` times, each in an execution of its own.

    What a round does is tagged with its number, counted down.
    """
    rounds, program = order
    results = [await _do(ctx, op) for op in tagged(program, f"/{rounds}")]
    if rounds > 1:
        ctx.continue_as_new([rounds - 1, program])
    return results


async def _do(ctx: Any, op: Op) -> Any:  # noqa: C901, PLR0912  (one case an operation)
    match op:
        case ["activity", tag]:
            return await ctx.call_activity("working", tag)
        case ["failing activity", tag]:
            return await ctx.call_activity("failing", tag)
        case ["retried activity", tag]:
            policy = RetryPolicy(first_retry_interval=_SOON, max_number_of_attempts=2)
            return await ctx.call_activity("failing", tag, retry_policy=policy)
        case ["timer", seconds]:
            await ctx.create_timer(timedelta(seconds=seconds))
            return "fired"
        case ["event", name]:
            return await ctx.wait_for_external_event(name)
        case ["event or timeout", name, seconds]:
            try:
                return await ctx.wait_for_external_event(name, timeout=timedelta(seconds=seconds))
            except TimeoutError:
                return "timeout"
        case ["call", entity, tag]:
            return await ctx.call_entity(f"@log@{entity}", "add", tag)
        case ["failing call", entity, tag]:
            return await ctx.call_entity(f"@log@{entity}", "add_and_fail", tag)
        case ["signal", entity, tag]:
            return ctx.signal_entity(f"@log@{entity}", "add", tag)
        case ["section", entities, tag, inner]:
            return await _section(ctx, entities, tag, inner)
        case ["child", rounds, program]:
            return await ctx.call_sub_orchestrator("run", [rounds, program])
        case ["all", ops]:
            return await ctx.when_all([_do(ctx, one) for one in ops])
        case ["any", ops]:
            return await _race(ctx, ops)
        case ["try", inner]:
            try:
                return await _do(ctx, inner)
            except TaskFailedError:
                return "caught"
    raise AssertionError(op)


async def _section(ctx: Any, entities: list[str], tag: str, inner: Op) -> str:
    """Look at the entities twice with a wait in between: nobody else may have got in."""
    ids = [f"@log@{entity}" for entity in entities]
    async with ctx.lock_entities(*ids):
        before = [await ctx.call_entity(one, "count") for one in ids]
        await _do(ctx, inner)
        await ctx.call_entity(ids[0], "add", tag)
        after = [await ctx.call_entity(one, "count") for one in ids]
    before[0] += 1
    return "isolated" if after == before else f"torn: {before} {after}"


async def _race(ctx: Any, ops: list[Op]) -> list[Any]:
    # One task each, whose place among them says who won.
    runners = [ctx.when_all([_do(ctx, one)]) for one in ops]
    winner = await ctx.when_any(runners)
    return [runners.index(winner), winner.get_result()[0]]


# How programs are drawn.


class _Tags:
    """Gives tags that were never given before in the same program."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0

    def next(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"


@st.composite
def programs(draw: st.DrawFn, prefix: str, max_operations: int = 14) -> list[Op]:
    """Draw a program whose tags begin with `prefix`, which begins with a digit.

    A critical section allows no other of the same orchestration beside it. So an orchestration
    either has sections, or does things side by side; its children may do the other.
    """
    return _Draw(draw, prefix, max_operations).program(depth=0)


class _Draw:
    def __init__(self, draw: st.DrawFn, prefix: str, left: int) -> None:
        self._draw = draw
        self._tags = _Tags(prefix)
        self._left = left

    def program(self, depth: int) -> list[Op]:
        is_parallel = self._draw(st.booleans())
        count = self._draw(st.integers(1, 4))
        return [self._op(depth, 0 if is_parallel else -1) for _ in range(count)]

    def _op(self, depth: int, nesting: int) -> Op:
        """Draw an operation; `nesting` counts the groups around it, -1 where none are allowed."""
        self._left -= 1
        kinds = ["leaf"] * 3
        if self._left > 0:
            kinds += ["try"]
            kinds += ["child"] * (depth < 2)
            kinds += ["section"] * 2 if nesting < 0 else ["all", "any"] * (nesting < 2)
        match self._draw(st.sampled_from(kinds)):
            case "try":
                return ["try", self._op(depth, nesting)]
            case "child":
                return ["child", self._draw(st.integers(1, 3)), self.program(depth + 1)]
            case "section":
                entities = self._draw(st.lists(st.sampled_from(ENTITIES), min_size=1, max_size=3))
                return ["section", sorted(set(entities)), self._tags.next(), self._inner()]
            case "all" | "any" as group:
                count = self._draw(st.integers(1, 3))
                return [group, [self._op(depth, nesting + 1) for _ in range(count)]]
        return self._leaf()

    def _inner(self) -> Op:
        kind = self._draw(st.sampled_from(["activity", "failing activity", "timer", "event"]))
        return self._made(kind)

    def _leaf(self) -> Op:
        kinds = ["activity", "failing activity", "retried activity", "timer", "event"]
        kinds += ["event or timeout", "call", "failing call", "signal"]
        return self._made(self._draw(st.sampled_from(kinds)))

    def _made(self, kind: str) -> Op:
        match kind:
            case "timer":
                return [kind, self._draw(st.integers(0, 5))]
            case "event":
                return [kind, self._draw(st.sampled_from(EVENTS))]
            case "event or timeout":
                return [kind, self._draw(st.sampled_from(EVENTS)), self._draw(st.integers(0, 5))]
            case "call" | "failing call" | "signal":
                return [kind, self._draw(st.sampled_from(ENTITIES)), self._tags.next()]
        return [kind, self._tags.next()]
