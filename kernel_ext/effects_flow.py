"""How an orchestrator runs on: loops that never end, exits that are caught, tasks nobody awaits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from ipydurable.runtime.effects import Advice

from .effects_names import Function, Scope, inner_scopes

__all__ = ["Flow", "caught_exits", "endless_loops", "lost_tasks"]

Flow = tuple[ast.AST, Advice, bool]
"""Where, what there is to say, and whether it is only a hint."""

_NEVER_WAITS: Final = Advice(
    "endless loop",
    "never waits and never ends, so the turn is stopped",
    "await ctx.create_timer(...) in it, or an activity",
)
_GROWS: Final = Advice(
    "endless loop", "the history grows without end", "ctx.continue_as_new(...) instead of the loop"
)
_SWALLOWS: Final = Advice(
    "except", "also catches what ends the code at a replay", "except Exception:"
)
_LOST: Final = Advice("lost task", "nobody waits for it, so it has no effect", "await it")
_UNSEEN: Final = Advice(
    "lost task",
    "nobody waits for it: its failure goes unseen, and the run may end before it",
    "await it, now or by ctx.when_all([...])",
)
_NEVER_RUNS: Final = Advice("lost task", "a coroutine nobody awaits never runs", "await it")

_WORK: Final = frozenset(
    [
        "call_activity",
        "call_sub_orchestrator",
        "call_activity_with_retry",
        "call_entity",
        "call_sub_orchestrator_with_retry",
    ]
)
_WAITS: Final = frozenset(
    [
        "create_timer",
        "wait_for_external_event",
        "when_all",
        "when_any",
        "task_all",
        "task_any",
        "lock_entities",
    ]
)
_WAITING = (ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncFor, ast.AsyncWith)


def endless_loops(scope: Scope) -> Iterator[Flow]:
    """Yield the loops that nothing ends."""
    parts = list(inner_scopes(scope.function))
    for loop in parts:
        if not _is_endless(loop, scope):
            continue
        inside = list(inner_scopes(loop))
        if _breaks(loop) or any(isinstance(one, ast.Return | ast.Raise) for one in inside):
            continue
        if not any(isinstance(one, _WAITING) for one in inside):
            yield loop, _NEVER_WAITS, False
        elif not any(_is_method(one, "continue_as_new") for one in inside):
            yield loop, _GROWS, False


def caught_exits(function: Function) -> Iterator[Flow]:
    """Yield the handlers around a wait that catch more than failures."""
    for part in inner_scopes(function):
        if not isinstance(part, ast.Try | ast.TryStar):
            continue
        tried = [one for node in part.body for one in [node, *inner_scopes(node)]]
        if not any(isinstance(one, _WAITING) for one in tried):
            continue
        for handler in part.handlers:
            caught = "BaseException" if handler.type is None else ast.unparse(handler.type)
            again = any(isinstance(one, ast.Raise) for one in inner_scopes(handler))
            if not again and ("BaseException" in caught or "GeneratorExit" in caught):
                yield handler, _SWALLOWS, False


def lost_tasks(scope: Scope) -> Iterator[Flow]:
    """Yield the tasks and coroutines that nobody awaits."""
    parts = list(inner_scopes(scope.function))
    used = {
        one.id
        for one in ast.walk(scope.function)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
    }
    for part in parts:
        if isinstance(part, ast.Expr) or (
            isinstance(part, ast.Assign)
            and len(part.targets) == 1
            and isinstance(part.targets[0], ast.Name)
            and part.targets[0].id not in used
        ):
            value = part.value
        else:
            continue
        if isinstance(value, ast.Call):
            advice, is_hint = _lost(value, scope)
            if advice is not None:
                yield part, advice, is_hint


def _lost(call: ast.Call, scope: Scope) -> tuple[Advice | None, bool]:
    called = scope.origin(call.func)
    owner, _, name = called.rpartition(".")
    if owner == "ctx":
        if name in _WAITS:
            return _LOST, False
        return (_UNSEEN, True) if name in _WORK else (None, False)
    if called in ("stub:activity", "stub:orchestrator"):
        return _UNSEEN, True
    if called.startswith("code:"):
        written = scope.names.defined.get(called[5:])
        if written is not None and isinstance(written[0], ast.AsyncFunctionDef):
            return _NEVER_RUNS, False
    if called.startswith("local:"):
        found = [
            one
            for one in ast.walk(scope.function)
            if isinstance(one, ast.AsyncFunctionDef) and one.name == called[6:]
        ]
        if found:
            return _NEVER_RUNS, False
    return None, False


def _is_endless(node: ast.AST, scope: Scope) -> bool:
    if isinstance(node, ast.While):
        return isinstance(node.test, ast.Constant) and bool(node.test.value)
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Call):
        counted = scope.origin(node.iter.func)
        return counted == "itertools.count" or (
            counted == "builtins.iter" and len(node.iter.args) > 1 and _never_equal(node.iter)
        )
    return False


def _never_equal(call: ast.Call) -> bool:
    made = ast.unparse(call.args[0])
    return made in ("int", "list", "dict") and ast.unparse(call.args[1]) not in ("0", "[]", "{}")


def _breaks(loop: ast.AST) -> bool:
    """Whether a `break` inside ends this very loop."""
    waiting = list(getattr(loop, "body", ()))
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Break):
            return True
        if isinstance(part, ast.For | ast.AsyncFor | ast.While):
            waiting += part.orelse
        elif not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting += ast.iter_child_nodes(part)
    return False


def _is_method(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
    )
