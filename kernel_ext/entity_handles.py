"""Handles: one entity, and one call of it, as their user sees them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.context import pack_arguments
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.entity_state import KEPT_ASIDE
from ipydurable.runtime.core.errors import WaitTimeoutError
from ipydurable.runtime.core.events import OperationDone
from ipydurable.runtime.core.records import EntityRecord
from ipydurable.runtime.stubs import EntityReference

from .arguments import Duration, Time, near, parse_seconds, parse_time
from .entity_output import EntityView
from .reading import NotLoaded, decode_to_show
from .waiting import explaining_interrupts, wait_for

if TYPE_CHECKING:
    from .entity_functions import EntityFunction
    from .session import DurableSession

__all__ = ["EntityCall", "EntityHandle", "public_state", "state_to_show"]

_SHOWN_AFTER_S = 2.0


class EntityHandle:
    """A handle to one entity; it holds no state but the id.

    Its operations are methods: `Account("alice").deposit(5)` calls one, at once, and gives an
    `EntityCall` to wait for. One that is named like something here is called by its name,
    `.call("state")`. The handle is accepted wherever an entity id is.

    Args:
        session: Reaches the store.
        entity_id: Which entity.
        function: Its definition, where that is known here.

    Attributes:
        entity_id: Which entity.
    """

    def __init__(
        self,
        session: DurableSession,
        entity_id: EntityInstanceId,
        function: EntityFunction | None = None,
    ) -> None:
        self.entity_id = entity_id
        self._session = session
        self._function = function

    @property
    def record(self) -> EntityRecord | None:
        """Everything known of it; None where nothing has ever reached it."""
        return self._session.client.get_entity(self.entity_id)

    @property
    def state(self) -> Any:
        """The state after its last operation; None where there is none.

        That of a class is a dict of its public attributes.
        """
        record = self.record
        return None if record is None else public_state(self._session.client, record)

    @property
    def locked_by(self) -> str | None:
        """The id of the orchestration whose critical section holds it; None while it is free."""
        record = self.record
        return record.locked_by.instance_id if record is not None and record.locked_by else None

    def signal(
        self, operation: str, /, *args: Any, signal_time: Time | None = None, **kwargs: Any
    ) -> None:
        """Have it do an operation, without an answer; returns once the signal is durable.

        Args:
            operation: The operation's name.
            *args: Its arguments.
            signal_time: When to deliver it: a datetime (naive means UTC), or a timedelta or
                `"2h"` from now; by default at once.
            **kwargs: See `args`.

        Raises:
            EncodingError: The input cannot be stored.
            UnknownDefinitionError: The store has no such entity definition.
        """
        self._session.send_needed(self._function)
        at = None if signal_time is None else parse_time(signal_time, "from now")
        value = pack_arguments(args, kwargs)
        self._session.client.signal_entity(self.entity_id, operation, value, signal_time=at)

    def call(self, operation: str, /, *args: Any, **kwargs: Any) -> EntityCall:
        """Have it do an operation; the call is sent at once, and can be waited for.

        Args:
            operation: The operation's name.
            *args: Its arguments.
            **kwargs: See `args`.

        Raises:
            EncodingError: The input cannot be stored.
        """
        self._session.send_needed(self._function)
        client = self._session.client
        value = pack_arguments(args, kwargs)
        future = client.entity_call(self.entity_id, operation, value)
        return EntityCall(client, self.entity_id, operation, future)

    def __getattr__(self, name: str) -> Callable[..., EntityCall]:
        if name.startswith("_"):
            raise AttributeError(name)
        self._check_operation(name)
        return lambda *args, **kwargs: self.call(name, *args, **kwargs)

    def __dir__(self) -> Iterable[str]:
        operations = () if self._function is None else self._function.operations
        return sorted({*super().__dir__(), *operations})

    def __eq__(self, other: object) -> bool:
        return getattr(other, "entity_id", None) == self.entity_id

    def __hash__(self) -> int:
        return hash(self.entity_id)

    def __reduce__(self) -> tuple[Any, ...]:
        # In inputs and captured by code it is the same entity, without this connection to it.
        return EntityReference, (self.entity_id,)

    def __repr__(self) -> str:
        return f"<entity {self._shown_id}>"

    @property
    def _view(self) -> EntityView:
        client = self._session.client
        return EntityView.of(client, self.entity_id, self._shown_id)

    def _ipython_display_(self) -> None:
        self._view._ipython_display_()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return self._view._repr_mimebundle_(**kwargs)

    @property
    def _shown_id(self) -> str:
        name = self.entity_id.name if self._function is None else self._function.name
        return f"{name}@{self.entity_id.key}"

    def _check_operation(self, name: str) -> None:
        """Refuse what its class does not have; AttributeError, so that hasattr says no."""
        function = self._function
        if function is None or not function.is_class:
            return
        known = function.operations
        if name.lower() in [one.lower() for one in known]:
            return
        if hasattr(function.__wrapped__, name) or name in function.__annotations__:
            raise AttributeError(f"{name!r} belongs to the state of {function.name}: see .state")
        raise AttributeError(
            f"{function.name} has no operation {name!r}{near(name, known)}; "
            f"it has {', '.join(known)}"
        )


class EntityCall:
    """A call of an operation that was sent to an entity: `await` it, or ask for `.result()`.

    As the last expression of a cell it shows what came of it, if that comes within two seconds.

    Args:
        client: Decodes the answer.
        entity_id: The entity.
        operation: The operation's name.
        future: Of the answer.

    Attributes:
        entity_id: The entity.
        operation: The operation's name.
    """

    def __init__(
        self,
        client: DurableClient,
        entity_id: EntityInstanceId,
        operation: str,
        future: Future[OperationDone],
    ) -> None:
        self.entity_id = entity_id
        self.operation = operation
        self._client = client
        self._future = future

    @property
    def done(self) -> bool:
        """Whether the answer is there."""
        return self._future.done()

    def result(self, timeout: Duration | None = None) -> Any:
        """Wait for what the operation returns.

        An interrupt ends the waiting only: the operation is done all the same.

        Args:
            timeout: How long to wait at most; None for no limit.

        Raises:
            EntityCallError: The operation failed; carries the failure.
            UnknownDefinitionError: The store has no such entity definition.
            WaitTimeoutError: It was not done by then.
        """
        timeout_s = None if timeout is None else parse_seconds(timeout)
        with explaining_interrupts(self._goes_on):
            try:
                answer = self._future.result(timeout_s)
            except FutureTimeoutError:
                what = f"{self.operation} on {self.entity_id}"
                raise WaitTimeoutError(what, timeout_s or 0.0) from None
        return self._client.call_outcome(self.entity_id, answer)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    def __repr__(self) -> str:
        return f"<{self.operation} on {self.entity_id}: {self._outcome()}>"

    def _outcome(self) -> str:
        try:
            return repr(self.result(_SHOWN_AFTER_S))
        except (WaitTimeoutError, CancelledError):
            return "pending"
        except Exception as error:  # noqa: BLE001  (told, not raised: this is how it looks)
            failure = getattr(error, "failure", None)
            return f"failed, {failure or error}"

    @property
    def _goes_on(self) -> str:
        return (
            f"{self.operation} on {self.entity_id} is done all the same; only the waiting was "
            "interrupted. Wait for this call again to get its result"
        )

    async def _wait(self) -> Any:
        with explaining_interrupts(self._goes_on):
            answer = await wait_for(self._future)
        return self._client.call_outcome(self.entity_id, answer)


def state_to_show(client: DurableClient, record: EntityRecord) -> Any:
    """Return an entity's state for a list; `NotLoaded` where it cannot be loaded here."""
    state = decode_to_show(client, record.state)
    return state if isinstance(state, NotLoaded) else public_state(client, record)


def public_state(client: DurableClient, record: EntityRecord) -> Any:
    """Return an entity's state, without attributes that its class no longer has."""
    state = client.decode(record.state)
    if isinstance(state, dict) and KEPT_ASIDE in state:
        return {name: value for name, value in state.items() if name != KEPT_ASIDE}
    return state
