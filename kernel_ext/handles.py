"""The handle of an instance in a notebook: shows itself, waits kindly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Literal

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.output import AttemptOutput
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.handles import InstanceHandle
from ipydurable.runtime.waits import OpenForm

from .arguments import Duration, parse_seconds
from .display import Line, current_shell, is_notebook, show
from .forms_output import FormsOutput, NotebookForms
from .graph_view import GraphView, take_graph
from .output_display import show_output
from .store_data import ClientData
from .terminal_progress import TerminalProgress
from .timeline_output import Static, TimelineView, take_snapshot
from .waiting import explaining_interrupts, wait_for, wait_here

if TYPE_CHECKING:
    import pandas as pd

    from ipydurable.widgets.figures import Figure

__all__ = ["NotebookInstance"]

_SETTLE_S = 2.0


class NotebookInstance(InstanceHandle):
    """A handle to one instance; as the last expression of a cell it shows its timeline.

    `await run` gives the result, `run.result()` waits for it in plain code. Both leave the
    instance alone when they are interrupted.

    Args:
        client: Reaches the host.
        instance_id: Which instance.
        keep: Told of each timeline that is made, so that somebody can end it.
    """

    def __init__(
        self,
        client: DurableClient,
        instance_id: str,
        keep: Callable[[TimelineView | GraphView | FormsOutput], None] | None = None,
    ) -> None:
        super().__init__(client, instance_id)
        self._keep = keep
        self._views: list[TimelineView] = []
        self._graphs: list[GraphView] = []
        self._form_views: list[FormsOutput] = []
        self._shown_in: int | None = None

    def timeline(self) -> TimelineView:
        """Return its timeline; as the last expression of a cell that is shown, live.

        `run.timeline().widget` is the widget itself, for layouts.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        self._client.get(self.instance_id)
        view = TimelineView(self._client, self.instance_id)
        self._views.append(view)
        if self._keep is not None:
            self._keep(view)
        return view

    def activities(self, **filters: Any) -> pd.DataFrame:
        """Return its activities as a DataFrame; columns and filters as `ipydurable.activities`."""
        return self._data.activities(self, **filters)

    def attempts(self, **filters: Any) -> pd.DataFrame:
        """Return their attempts as a DataFrame; columns and filters as `ipydurable.attempts`."""
        return self._data.attempts(self, **filters)

    def timers(self, **filters: Any) -> pd.DataFrame:
        """Return its timers as a DataFrame; columns and filters as `ipydurable.timers`."""
        return self._data.timers(self, **filters)

    def operations(self, **filters: Any) -> pd.DataFrame:
        """Return the operations it asked entities for; as `ipydurable.operations`."""
        return self._data.operations(sender=self, **filters)

    def locks(self, **filters: Any) -> pd.DataFrame:
        """Return the locks it asked for; columns and filters as `ipydurable.locks`."""
        return self._data.locks(owner=self, **filters)

    def children(self, **filters: Any) -> pd.DataFrame:
        """Return its sub-orchestrations; columns and filters as `ipydurable.instances`."""
        return self._data.instances(parent=self, **filters)

    def payload(self, seq: int | None = None) -> Any:
        """Return the value of one of its events, or its output; as `ipydurable.payload`."""
        return self._data.payload(self, seq)

    @property
    def _data(self) -> ClientData:
        return ClientData(self._client)

    def _form_handles(self, forms: list[OpenForm], whose: str) -> NotebookForms:
        ids, again = [self.instance_id], f"ipydurable.instance({self.instance_id!r}).forms"
        return NotebookForms(self._client, forms, whose, ids, again, self._keep_forms)

    def _keep_forms(self, view: FormsOutput) -> None:
        self._form_views.append(view)
        if self._keep is not None:
            self._keep(view)

    def explore(self) -> Any:
        """Return its timeline as a widget that stays after the end, to be clicked through.

        What a cell shows by itself becomes static when the instance ends, so that the saved
        notebook keeps it. This one does not: every row can be opened, a failed run rewound.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        return self.timeline().widget

    def graph(self) -> GraphView:
        """Return its fan-out graph; as the last expression of a cell that is shown, live.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        self._client.get(self.instance_id)
        view = GraphView(self._client, self.instance_id)
        self._graphs.append(view)
        if self._keep is not None:
            self._keep(view)
        return view

    def figure(self, name: str, theme: Literal["neutral", "light", "dark"] = "neutral") -> Figure:
        """Return a static plotly figure of its present execution, as it is now.

        Args:
            name: `"durations"` by operation, `"concurrency"` over time, the `"critical_path"` that
                decided how long it took, or the `"waterfall"` of its operations.
            theme: `"neutral"` reads on light and dark pages; `"light"` and `"dark"` have a
                background of their own, for export.

        Raises:
            UnknownInstanceError: There is no such instance.
            ValueError: There is no such figure or theme; lists those there are.
        """
        from ipydurable.widgets.figures import figure

        return figure(take_graph(self._client, self.instance_id), name, theme)

    def wait(self, timeout: Duration | None = None) -> RuntimeStatus:
        """Wait until it has ended, well or not; as `InstanceHandle.wait`.

        Args:
            timeout: Seconds, a timedelta, or text such as `"2m"`; None for no limit.
        """
        return self._wait_here(timeout).status

    def result(self, timeout: Duration | None = None) -> Any:
        """Wait for the result; as `InstanceHandle.result`.

        An interrupt ends the waiting only: the instance goes on.

        Args:
            timeout: Seconds, a timedelta, or text such as `"2m"`; None for no limit.
        """
        return self._outcome(self._wait_here(timeout))

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait_async().__await__()

    def restart(self, *, new_id: bool = False) -> NotebookInstance:
        """Start its orchestrator again with the same input; as `InstanceHandle.restart`."""
        started = self._client.restart(self.instance_id, new_id=new_id)
        return NotebookInstance(self._client, started, self._keep)

    def show(self) -> None:
        """Show the live timeline below this cell."""
        shell = current_shell()
        show(self.timeline())
        self._shown_in = None if shell is None else shell.execution_count

    def _show_output(self, output: AttemptOutput) -> None:
        show_output(output)

    def _wait_here(self, timeout: Duration | None) -> InstanceRecord:
        timeout_s = None if timeout is None else parse_seconds(timeout)
        with (
            explaining_interrupts(self._goes_on),
            TerminalProgress(self._client, self.instance_id) as progress,
        ):
            completion = self._client.completion(self.instance_id)
            what = f"the end of {self.instance_id!r}"
            record = wait_here(completion, what, timeout_s, self._explaining(progress))
            for view in self._live_views():
                with contextlib.suppress(FutureTimeoutError):
                    view.rested.result(_SETTLE_S)
        return self._client.ended(record)

    async def _wait_async(self) -> Any:
        with (
            explaining_interrupts(self._goes_on),
            TerminalProgress(self._client, self.instance_id) as progress,
        ):
            completion = self._client.completion(self.instance_id)
            record = await wait_for(completion, self._explaining(progress))
            rested = [asyncio.wrap_future(view.rested) for view in self._live_views()]
            if rested:
                await asyncio.wait(rested, timeout=_SETTLE_S)
        return self._outcome(record)

    def _explaining(self, progress: TerminalProgress) -> Callable[[], None]:
        def explain() -> None:
            progress.erase()
            self._tell_who_must_act()

        return explain

    def _tell_who_must_act(self) -> None:
        """Say who must do what before the end can come: nobody should wait in vain."""
        # A form of its own is in its timeline, where that is shown.
        asking = [] if any(view.is_live for view in self._views) else [self.instance_id]
        for task in self.waiting_for:
            if task.kind == "sub-orchestration":
                asking.append(task.name)
            if task.kind == "resume":
                why = f" ({task.hint})" if task.hint else ""
                detail = f"is suspended{why} · %durable resume {self.instance_id} has it go on"
                show(Line("instance", self.instance_id, detail, tone="warning"))
            elif task.kind == "sub-orchestration" and task.state:
                detail = f"is {task.state} · %durable resume {task.name} has it go on"
                show(Line("sub-orchestration", task.name, detail, tone="warning"))
        forms = self._client.forms(asking) if asking else []
        if forms:
            ids = list(dict.fromkeys(form.instance_id for form in forms))
            again = f"ipydurable.forms({', '.join(map(repr, ids))})"
            show(NotebookForms(self._client, forms, "", ids, again, self._keep_forms))

    def _live_views(self) -> list[TimelineView | GraphView | FormsOutput]:
        """The views to wait for: what is shown last must be what is saved."""
        self._views = [view for view in self._views if view.is_live]
        self._graphs = [view for view in self._graphs if view.is_live]
        self._form_views = [view for view in self._form_views if view.is_live]
        return [*self._views, *self._graphs, *self._form_views]

    @property
    def _goes_on(self) -> str:
        return (
            f"{self.instance_id!r} goes on in the background; only the waiting was interrupted. "
            "await it again, or end it with .terminate()"
        )

    def _ipython_display_(self) -> None:
        shell = current_shell()
        if not is_notebook(shell):
            raise NotImplementedError  # IPython then asks for the mime bundle.
        assert shell is not None
        if self._shown_in != shell.execution_count:
            self.show()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        static = Static(take_snapshot(self._client, self.instance_id))
        return {"text/plain": repr(static), "text/html": static._repr_html_()}
