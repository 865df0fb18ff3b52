"""What a program means: every outcome it may have where nothing ever fails but what it says.

The idealised, fault-free model of "Durable Functions: Semantics for Stateful Serverless"
(Burckhardt et al., OOPSLA 2021), written down for the language of `language.py`: activities run
once, messages arrive, time passes. The paper proves that recording and replaying on unreliable
machines gives no other outcomes; the tests ask the runtime the same.

Where things happen side by side there are several outcomes. A program's meaning is the list of
them, each with its effects: how often each tag is seen to take effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from .language import tagged

__all__ = ["FAILED", "Meaning", "TooManyMeaningsError", "explains", "meanings"]

FAILED = "(failed)"
"""The outcome of what fails; by what does not matter to a program."""

Op = list[Any]

_MOST_MEANINGS = 5_000


class TooManyMeaningsError(Exception):
    """A program may do so many things that none of them would be a surprise."""


class Meaning(NamedTuple):
    """One thing a program may do.

    Attributes:
        outcome: Its result, or FAILED.
        done: How often each effect has taken place once that is known.
        open: How often more it may have taken place besides, or still take place.
    """

    outcome: Any
    done: Counter[str]
    open: Counter[str]


def meanings(program: list[Op], rounds: int = 1) -> list[Meaning]:
    """Return everything an orchestration that does `program` may do.

    Args:
        program: Operations, done in turn; the first that fails is the last.
        rounds: How often it is done, each time anew; the last result counts.
    """
    found = _distinct(_in_turn(tagged(program, f"/{rounds}")))
    for left in range(rounds - 1, 0, -1):
        again = _distinct(_in_turn(tagged(program, f"/{left}")))
        found = _distinct(both for first in found for both in _then(first, again))
    return found


def _then(first: Meaning, possible: list[Meaning]) -> Iterator[Meaning]:
    """Yield what comes of doing one after the other; the last result counts."""
    if first.outcome == FAILED:
        yield first
        return
    for second in possible:
        yield Meaning(second.outcome, first.done + second.done, first.open + second.open)


def explains(possible: Iterable[Meaning], outcome: Any, effects: Counter[str]) -> bool:
    """Whether one of the possibilities has this outcome and these effects."""
    return any(
        meaning.outcome == outcome
        and all(
            meaning.done[tag] <= effects[tag] <= meaning.done[tag] + meaning.open[tag]
            for tag in {*meaning.done, *meaning.open, *effects}
        )
        for meaning in possible
    )


def _in_turn(program: list[Op]) -> Iterator[Meaning]:
    """Do one after the other, until one fails."""
    if not program:
        yield Meaning([], Counter(), Counter())
        return
    for first in _one(program[0]):
        if first.outcome == FAILED:
            yield first
            continue
        for rest in _in_turn(program[1:]):
            outcome = FAILED if rest.outcome == FAILED else [first.outcome, *rest.outcome]
            yield Meaning(outcome, first.done + rest.done, first.open + rest.open)


def _one(op: Op) -> list[Meaning]:
    """Return what one operation may do."""
    match op:
        case ["try", inner]:
            return _distinct(_caught(does) for does in _one(inner))
        case ["section", entities, tag, inner]:
            done = Counter({f"{entities[0]} has {tag}": 1})
            return [_isolated(does, done) for does in _one(inner)]
        case ["child", rounds, program]:
            return meanings(program, rounds)
        case ["all", ops]:
            return _distinct(_all(combination) for combination in product(*map(_one, ops)))
        case ["any", ops]:
            return _distinct(_any([_one(one) for one in ops]))
    return _single(op)


def _single(op: Op) -> list[Meaning]:
    """Return what an operation that holds no others may do."""
    match op:
        case ["activity", tag]:
            return [_sure(tag, {f"ran {tag}": 1})]
        case ["failing activity", tag]:
            return [_sure(FAILED, {f"ran {tag}": 1})]
        case ["retried activity", tag]:
            return [_sure(FAILED, {f"ran {tag}": 2})]
        case ["timer", _]:
            return [_sure("fired")]
        case ["event", name]:
            return [_sure(name)]
        case ["event or timeout", name, _]:
            return [_sure(name), _sure("timeout")]
        case ["call" | "signal", entity, tag]:
            return [_sure(None, {f"{entity} has {tag}": 1})]
        case ["failing call", _, _]:
            return [_sure(FAILED)]
    raise AssertionError(op)


def _caught(does: Meaning) -> Meaning:
    return does._replace(outcome="caught") if does.outcome == FAILED else does


def _isolated(does: Meaning, done: Counter[str]) -> Meaning:
    """Nobody gets in; where what is done inside fails, the section is left and fails with it."""
    if does.outcome == FAILED:
        return does
    return Meaning("isolated", does.done + done, does.open)


def _sure(outcome: Any, done: dict[str, int] | None = None) -> Meaning:
    return Meaning(outcome, Counter(done or {}), Counter())


def _all(combination: tuple[Meaning, ...]) -> Meaning:
    """All are waited for, also where one fails."""
    outcomes = [does.outcome for does in combination]
    return Meaning(
        FAILED if FAILED in outcomes else outcomes,
        sum((does.done for does in combination), Counter()),
        sum((does.open for does in combination), Counter()),
    )


def _any(branches: list[list[Meaning]]) -> Iterator[Meaning]:
    """One wins, and fails the race if it fails; what the others do is left open."""
    at_most = [_union(does.done + does.open for does in branch) for branch in branches]
    for place, branch in enumerate(branches):
        others = sum((most for other, most in enumerate(at_most) if other != place), Counter())
        for does in branch:
            outcome = FAILED if does.outcome == FAILED else [place, does.outcome]
            yield Meaning(outcome, does.done, does.open + others)


def _union(counters: Iterable[Counter[str]]) -> Counter[str]:
    union: Counter[str] = Counter()
    for counter in counters:
        union |= counter
    return union


def _distinct(found: Iterable[Meaning]) -> list[Meaning]:
    """Return the first of equals."""
    distinct: dict[str, Meaning] = {}
    for one in found:
        distinct.setdefault(repr(one), one)
        if len(distinct) > _MOST_MEANINGS:
            raise TooManyMeaningsError
    return list(distinct.values())
