"""Reads a view of the store as a DataFrame: filters become SQL, values stay parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.frames import to_frame
from ipydurable.store.columns import VIEWS, describe

from .arguments import ArgumentError, Time, near, parse_time

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Conditions", "documents", "labels", "read_view"]

F = TypeVar("F", bound=Callable[..., Any])

_RECORDED = "gseq"


class Conditions:
    """What the rows of a view must be like, all of it.

    Args:
        view: Its name.

    Attributes:
        parameters: The values that the conditions name.
    """

    def __init__(self, view: str) -> None:
        self.parameters: dict[str, Any] = {}
        self._view = view
        self._texts: list[str] = []

    def equal(self, column: str, value: str) -> None:
        """Demand a value, unless it is empty."""
        if value:
            self._texts.append(f"{column} = {self._parameter(value)}")

    def starts(self, column: str, prefix: str) -> None:
        """Demand how a text begins, unless that is empty."""
        if prefix:
            self._texts.append(f"starts_with({column}, {self._parameter(prefix)})")

    def contains(self, column: str, part: str) -> None:
        """Demand what a JSON object holds, unless that is empty."""
        if part:
            self._texts.append(f"json_contains({column}, {self._parameter(part)})")

    def status(self, status: str | Iterable[str]) -> None:
        """Demand one of several statuses, by name in any case; none means any.

        Raises:
            ArgumentError: There is no such status; lists them all.
        """
        by_name = {one.lower(): one for one in VIEWS[self._view].statuses}
        wanted = [status] if isinstance(status, str) else list(status)
        found = []
        for one in wanted:
            if one == "" and len(wanted) == 1:
                return
            if str(one).lower() not in by_name:
                names = ", ".join(by_name.values())
                hint = near(str(one), by_name)
                raise ArgumentError(f"there is no status {str(one)!r}{hint}: {names}")
            found.append(by_name[str(one).lower()])
        if found:
            self._texts.append(f"status IN (SELECT unnest({self._parameter(found)}::VARCHAR[]))")

    def between(self, since: Time | None, until: Time | None) -> None:
        """Demand a time, from `since` on and before `until`.

        Raises:
            ArgumentError: One of them is no time.
        """
        column = VIEWS[self._view].time
        for sign, when in ((">=", since), ("<", until)):
            if when is not None:
                self.time(column, sign, parse_time(when, "ago"))

    def time(self, column: str, sign: str, when: datetime) -> None:
        """Compare a column with a time, naive UTC."""
        self._texts.append(f"{column} {sign} {self._parameter(when.isoformat())}::TIMESTAMP")

    def text(self, condition: str, **parameters: Any) -> None:
        """Demand what SQL says."""
        self._texts.append(condition)
        self.parameters.update(parameters)

    @property
    def order(self) -> str:
        """How the rows are ordered, as SQL says it."""
        return VIEWS[self._view].order

    def query(self, limit: int = 0, *, is_ordered: bool = True) -> str:
        """Return the whole query; `limit` 0 is for all rows."""
        where = f" WHERE {' AND '.join(self._texts)}" if self._texts else ""
        order = f" ORDER BY {self.order}" if is_ordered else ""
        at_most = f" LIMIT {limit:d}" if limit else ""
        return f"SELECT * FROM {self._view}{where}{order}{at_most}"  # noqa: S608  (ours)

    def _parameter(self, value: Any) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def read_view(client: DurableClient, conditions: Conditions, limit: int = 0) -> pd.DataFrame:
    """Return the rows of a view as a DataFrame.

    Args:
        client: Reaches the store.
        conditions: What the rows must be like.
        limit: How many at most, in the order of the view; 0 for all.
    """
    # Rows come in the order of their recording, mostly: the host need not sort a million of them,
    # which takes it as long as reading them does.
    is_ordered = bool(limit) or conditions.order != _RECORDED
    table = client.sql(conditions.query(limit, is_ordered=is_ordered), conditions.parameters)
    return to_frame(table if is_ordered else _in_order(table, _RECORDED))


def _in_order(table: pa.Table, column: str) -> pa.Table:
    """Return a table whose rows follow a column of integers: itself, where they do."""
    import numpy as np

    numbers = table.column(column).to_numpy()
    return table if bool((np.diff(numbers) > 0).all()) else table.take(np.argsort(numbers))


def documents(view: str) -> Callable[[F], F]:
    """Give a function's docstring the columns of the view that it returns."""

    def extended(function: F) -> F:
        doc = (function.__doc__ or "").rstrip()
        rows = f"One row is {VIEWS[view].rows}. The view `{view}` of `%durable sql` is the same."
        lines = ["", "", "Columns:", *(f"    {line}" for line in describe(view).splitlines())]
        indent = "    "
        function.__doc__ = (
            doc
            + "\n\n"
            + "\n".join(f"{indent}{line}".rstrip() for line in (rows, *lines[1:]))
            + "\n"
        )
        return function

    return extended


def labels(tags: Mapping[str, str] | None) -> str:
    """Return labels as the JSON that the column `tags` must contain; empty for none."""
    import json

    return json.dumps(dict(tags), ensure_ascii=False) if tags else ""
