"""Large frames and arrays in files beside the store."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ipydurable.runtime import files
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DecodingError, EncodingError
from ipydurable.runtime.core.payload import Blob, ref_of
from ipydurable.runtime.core.serialization import CallArguments
from ipydurable.runtime.files import ValueFiles, files_beside

ROWS = 2_000
MODES = pytest.mark.parametrize("is_shared", [False, True], ids=["own", "shared"])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large: 8 KB, so that tests are quick."""
    monkeypatch.setattr(files, "MIN_BYTES", 8 * 1024)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb.files"


def _converter(folder: Path, *, is_shared: bool = False) -> NamespaceConverter:
    return NamespaceConverter({}, files=ValueFiles(str(folder)), shares_files=is_shared)


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "number": np.arange(ROWS, dtype="float64"),
            "count": np.arange(ROWS),
            "text": [f"row {n % 7}" for n in range(ROWS)],
            "when": pd.date_range("2026-01-01", periods=ROWS, freq="min"),
        }
    )


VALUES: dict[str, Any] = {
    "frame": _frame(),
    "series": pd.Series(np.arange(ROWS, dtype="float64"), name="n"),
    "table": pa.table({"n": list(range(ROWS))}),
    "array": np.arange(ROWS, dtype="float64").reshape(20, 100),
    "strided": np.arange(2 * ROWS)[::2],
    "dates": np.arange("2026-01-01", "2032-01-01", dtype="datetime64[D]"),
}


def _equals(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return type(other) in (np.ndarray, np.memmap) and np.array_equal(one, other)
    return type(one) is type(other) and bool(one.equals(other))


@MODES
@pytest.mark.parametrize("name", VALUES)
def test_a_large_value_comes_back_exactly(folder: Path, name: str, is_shared: bool) -> None:
    payload = _converter(folder).encode(VALUES[name], "input")
    assert ref_of(payload) is not None
    assert "in a file" in payload.summary  # type: ignore[union-attr]
    assert len(payload.data) < 300  # type: ignore[union-attr]
    assert _equals(VALUES[name], _converter(folder, is_shared=is_shared).decode(payload))


@pytest.mark.parametrize("value", [pd.DataFrame({"n": [1]}), np.arange(3), "text" * 10_000])
def test_other_values_travel_as_ever(folder: Path, value: Any) -> None:
    assert ref_of(_converter(folder).encode(value, "input")) is None
    assert not folder.exists()


def test_what_a_file_would_not_give_back_is_pickled(folder: Path) -> None:
    value = np.array([object] * ROWS)
    payload = _converter(folder).encode(value, "input")
    assert isinstance(payload, Blob)
    assert payload.codec == "pickle"


def test_the_same_content_is_one_file_whoever_writes_it(folder: Path) -> None:
    first = _converter(folder).encode(_frame(), "input")
    assert _converter(folder).encode(_frame(), "result") == first
    assert len(list(folder.iterdir())) == 1


def test_a_frame_among_other_arguments_is_kept_in_a_file_too(folder: Path) -> None:
    value = CallArguments((_frame(), 3), {"weights": VALUES["array"]})
    payload = _converter(folder).encode(value, "input")
    assert len(payload.data) < 2_000  # type: ignore[union-attr]
    back = _converter(folder).decode(payload)
    assert back.args[1] == 3
    assert _equals(_frame(), back.args[0])
    assert _equals(VALUES["array"], back.kwargs["weights"])
    assert len(list(folder.iterdir())) == 2


def test_files_are_private(folder: Path) -> None:
    _converter(folder).encode(_frame(), "input")
    (made,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["frame", "series", "array"])
def test_ones_own_value_can_be_changed_and_the_file_cannot(folder: Path, name: str) -> None:
    payload = _converter(folder).encode(VALUES[name], "input")
    own = _converter(folder).decode(payload)
    if name == "frame":
        own.iloc[0, 0] = -1.0
        own.loc[1, "text"] = "changed"
    else:
        own[0] = -1.0
    assert not _equals(VALUES[name], own)
    assert _equals(VALUES[name], _converter(folder).decode(payload))


@pytest.mark.parametrize("name", ["frame", "series", "array", "table"])
def test_a_shared_value_that_is_passed_on_is_not_written_again(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = _converter(folder).encode(VALUES[name], "input")
    host = _converter(folder, is_shared=True)
    value = host.decode(payload)

    def refuse(*_: Any) -> None:
        raise AssertionError("it was written again")

    monkeypatch.setattr(ValueFiles, "_write", refuse)
    assert all(host.encode(value, "input") == payload for _ in range(3))


@pytest.mark.parametrize("edit", ["value", "text", "column", "name", "attrs", "row"])
def test_a_shared_frame_that_was_changed_is_another_value(folder: Path, edit: str) -> None:
    host = _converter(folder, is_shared=True)
    payload = host.encode(_frame(), "input")
    value = host.decode(payload)
    if edit == "value":
        value["number"] += 1
    elif edit == "text":
        value.loc[0, "text"] = "changed"
    elif edit == "column":
        value["more"] = 1.0
    elif edit == "name":
        value.columns = ["a", "b", "c", "d"]
    elif edit == "attrs":
        value.attrs["unit"] = "kg"
    else:
        value.drop(index=0, inplace=True)
    changed = host.encode(value, "input")
    assert changed != payload
    assert _equals(value, _converter(folder).decode(changed))


def test_a_missing_file_is_named(folder: Path) -> None:
    payload = _converter(folder).encode(_frame(), "input")
    (made,) = folder.iterdir()
    made.unlink()
    with pytest.raises(DecodingError, match="cannot be read") as caught:
        _converter(folder).decode(payload)
    assert str(made) in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_is_named(folder: Path, damage: str) -> None:
    payload = _converter(folder).encode(_frame(), "input")
    (made,) = folder.iterdir()
    content = bytearray(made.read_bytes())
    if damage == "cut":
        del content[-10:]
    else:
        content[len(content) // 2] ^= 1
    made.write_bytes(content)
    with pytest.raises(DecodingError, match="is damaged") as caught:
        _converter(folder).decode(payload)
    assert str(made) in str(caught.value)


def test_a_full_disk_says_so_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_table", full)
    with pytest.raises(EncodingError, match="No space left"):
        _converter(folder).encode(_frame(), "input of fetch")
    assert list(folder.iterdir()) == []


def test_without_its_store_a_value_in_a_file_says_what_is_missing(folder: Path) -> None:
    payload = _converter(folder).encode(_frame(), "input")
    with pytest.raises(DecodingError, match="beside its store"):
        NamespaceConverter({}).decode(payload)


def test_a_store_in_memory_has_no_files() -> None:
    assert files_beside(":memory:") is None
    beside = files_beside("/data/orders.duckdb")
    assert beside is not None
    assert beside.folder == "/data/orders.duckdb.files"
