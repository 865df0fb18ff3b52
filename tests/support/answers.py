"""Answers of stores as tables."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ipydurable.runtime.ports import ReadableStore, Store

__all__ = ["answer"]


def answer(store: Store | ReadableStore, text: str, parameters: Any = None) -> pa.Table:
    """Return what a store answers to a query."""
    with pa.ipc.open_stream(store.sql(text, parameters)) as reader:
        return reader.read_all()
