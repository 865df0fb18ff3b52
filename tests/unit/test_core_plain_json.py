"""Stored JSON as people write it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from ipydurable.runtime.core.plain_json import as_written
from ipydurable.runtime.core.serialization import encode_json
from ipydurable.runtime.core.special_values import CallArguments

VALUES: list[tuple[Any, str]] = [
    (np.float64(2.5), "2.5"),
    ([np.int64(3), {"a": np.bool_(1)}], '[3,{"a":true}]'),
    ((1, "a"), '[1,"a"]'),
    ({1}, "[1]"),
    ({"when": datetime(2026, 1, 2)}, '{"when":"2026-01-02T00:00:00"}'),
    ([date(2026, 1, 2), Decimal("1.50")], '["2026-01-02","1.50"]'),
    (CallArguments((1, np.float64(2.0))), "[1,2.0]"),
    (CallArguments((), {"units": "m"}), '{"units":"m"}'),
    (CallArguments((1,), {"units": "m"}), '[1,{"units":"m"}]'),
    ('{"$numpy":["float64",2.5]}', r'"{\"$numpy\":[\"float64\",2.5]}"'),
    ({"plain": [1, None]}, '{"plain":[1,null]}'),
]


@pytest.mark.parametrize(("value", "written"), VALUES)
def test_tags_are_left_out(value: Any, written: str) -> None:
    """Around numbers, dates and arguments; text that only looks like a tag stays."""
    stored = encode_json(value, "value", lambda _: None)  # type: ignore[arg-type, return-value]
    assert isinstance(stored, str)
    assert as_written(stored) == written
