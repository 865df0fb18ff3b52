"""What a view asks of the host for a person who clicks: to do something, or to tell more."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.context import NO_INPUT
from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.core.output import OutputItem
from ipydurable.runtime.definitions import Definition, Kind
from ipydurable.runtime.ports import InstanceUpdate

from .forms_output import answer_problems

__all__ = ["Backstage"]

_KINDS = {
    "activity": Kind.ACTIVITY,
    "orchestration": Kind.ORCHESTRATOR,
    "call": Kind.ENTITY,
    "signal": Kind.ENTITY,
}
_ATTEMPTS_PRINTED = 5
_OPERATION = """
SELECT status, sender, requested_at, started_at, finished_at, version FROM operations
WHERE entity_id = $entity AND operation = $operation AND sender = $sender AND task_id = $task
ORDER BY requested_at DESC LIMIT 1
"""


class Backstage:
    """Carries out what the buttons of an instance's views ask for, and looks up what they show.

    All of it waits for the host, and may be called from any thread.

    Args:
        client: Reaches the host.
        instance_id: The instance that is shown.
    """

    def __init__(self, client: DurableClient, instance_id: str) -> None:
        self._client = client
        self._instance_id = instance_id

    def commands(self) -> dict[str, Callable[..., Any]]:
        """Return what buttons do, by name."""
        return {
            "raise_event": self.raise_event,
            "answer": self.answer,
            "suspend": lambda: self._client.suspend(self._instance_id),
            "resume": lambda: self._client.resume(self._instance_id),
            "terminate": lambda: self._client.terminate(self._instance_id),
            "rewind": lambda: self._client.rewind(self._instance_id),
        }

    def raise_event(self, name: str, data: str = "") -> None:
        """Raise an external event.

        Args:
            name: Its name.
            data: What it carries, as JSON; empty for nothing.

        Raises:
            DurableError: The name is empty or the data is not JSON.
        """
        if not name.strip():
            raise DurableError("An event needs a name.")
        try:
            value = json.loads(data) if data.strip() else NO_INPUT
        except ValueError as error:
            hint = 'text goes in quotes: "yes"' if data.strip()[:1].isalpha() else str(error)
            raise DurableError(f"The data is not JSON ({hint}).") from None
        self._client.raise_event(self._instance_id, name.strip(), value)

    def answer(self, form_id: str, values: Any, instance_id: str = "") -> dict[str, str]:
        """Answer an open form.

        Args:
            form_id: Which form.
            values: Values by field, or the choice.
            instance_id: The sub-orchestration that asks; empty for the instance itself.

        Returns:
            What is wrong, by the name of the field; empty if nothing is.

        Raises:
            FormClosedError: It is not open any more.
        """
        return answer_problems(self._client, instance_id or self._instance_id, form_id, values)

    def follow(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Callable[[], None]:
        """Have `tell` told everything of an instance, then what is new; returns how to end it."""
        return self._client.subscribe(instance_id, tell)

    def execution(self, generation: int) -> InstanceUpdate:
        """Return an earlier execution of the instance."""
        return self._client.execution(self._instance_id, generation)

    def more(
        self,
        kind: str,
        name: str,
        version: str,
        target: str,
        instance_id: str,
        attempts: Sequence[tuple[int, int]],
    ) -> dict[str, Any]:
        """Return what else is known of a row: code, output, an entity's side of a call.

        Args:
            kind: What the row stands for.
            name: Its name; for an entity `"entity.operation"`.
            version: Content hash of the code; empty for none known.
            target: Entity id, where it is an entity's.
            instance_id: The instance that holds the row.
            attempts: Action id and number of its attempts.

        Returns:
            `output`: what its last attempts printed; `code`: number, hash, place and source of
            the code; `operation`: milliseconds since 1970 at which an entity took it up and had
            done it. Each where it is known.
        """
        found: dict[str, Any] = {}
        operation: dict[str, Any] | None = None
        if target and kind in {"call", "signal"}:
            operation = self._operation(
                name.rpartition(".")[2], target, instance_id, attempts[0][0]
            )
            name = name.rpartition(".")[0]
        if operation is not None:
            version = operation.pop("version") or version
            found["operation"] = operation
        if kind == "activity":
            found["output"] = self._output(instance_id, attempts)
        if kind in _KINDS and (code := self._code(_KINDS[kind], name, version)):
            found["code"] = code
        return found

    def _output(
        self, instance_id: str, attempts: Sequence[tuple[int, int]]
    ) -> list[dict[str, Any]]:
        numbered = list(enumerate(attempts, 1))[-_ATTEMPTS_PRINTED:]
        found = []
        for count, (task_id, number) in numbered:
            output = self._client.attempt_output(instance_id, task_id, number)
            if output is not None and output.items:
                found.append({"attempt": count, "items": [_item(one) for one in output.items]})
        return found

    def _code(self, kind: Kind, name: str, version: str) -> dict[str, Any] | None:
        versions = self._client.versions(kind, name)
        one = next((each for each in versions if each.version == version), None)
        if one is None:
            return None
        return {
            "number": one.number,
            "of": len(versions),
            "version": one.version,
            "place": _place(one),
            "source": one.source,
        }

    def _operation(
        self, operation: str, target: str, instance_id: str, task_id: int
    ) -> dict[str, Any] | None:
        parameters = {
            "entity": target,
            "operation": operation,
            "sender": instance_id,
            "task": task_id,
        }
        rows = self._client.sql(_OPERATION, parameters).to_pylist()
        if not rows:
            return None
        row = rows[0]
        times = ("requested_at", "started_at", "finished_at")
        return {
            "version": row["version"] or "",
            "status": row["status"],
            **{name: _epoch_ms(row[name]) for name in times},
        }


def _item(item: OutputItem) -> dict[str, Any]:
    """Return a piece of output as the browser shows it: text, or a picture."""
    picture = item.data.get("image/png", "")
    return {
        "kind": item.kind,
        "text": (f"[... {item.dropped:,} characters left out ...]\n" if item.dropped else "")
        + item.text
        + ("\n" if item.kind == "display" else ""),
        "picture": picture if isinstance(picture, str) else "",
    }


def _place(definition: Definition) -> str:
    """Return where the code was written, e.g. `"Cell In[3], line 4"`; empty if unknown."""
    entry = definition.package.entry
    chunk = next((one for one in definition.package.chunks if one.name == entry), None)
    return "" if chunk is None else f"{chunk.filename}, line {chunk.first_line}"


def _epoch_ms(at: Any) -> float | None:
    from datetime import UTC

    if at is None:
        return None
    known = at if at.tzinfo else at.replace(tzinfo=UTC)
    return float(known.timestamp() * 1000)
