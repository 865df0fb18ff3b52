"""Blobs: Arrow for tables, summaries, signatures, and what cannot be stored."""

import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DecodingError, EncodingError, StoreUnwritableError
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.serialization import (
    CallArguments,
)
from ipydurable.runtime.signing import Signer, load_signer
from tests.unit.samples import HOME, SIGNER, Plain, Point, namespace


@pytest.fixture
def converter() -> NamespaceConverter:
    """A converter that knows the classes here."""
    return NamespaceConverter(namespace(), SIGNER)


@pytest.mark.parametrize(
    ("value", "summary"),
    [
        (
            pd.DataFrame({"a": [1], "b": ["x"], "c": [None], "d": [2.5]}),
            "DataFrame 1 x 4 (a, b, c, ...)",
        ),
        (pd.DataFrame({"t": pd.to_datetime(["2026-01-01"])}, index=["i"]), "DataFrame 1 x 1 (t)"),
        (pd.DataFrame({1: [1]}), "DataFrame 1 x 1 (1)"),
        (pd.DataFrame({"c": pd.Categorical(["a", "b"])}), "DataFrame 2 x 1 (c)"),
        (
            pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, "x")])),
            "DataFrame 1 x 1 (a)",
        ),
        (pd.Series([1, 2], name="s"), "Series 2 (int64)"),
        (pd.Series([1.5], name=("a", 1), index=[3]), "Series 1 (float64)"),
        (pd.Series([], dtype="int8"), "Series 0 (int8)"),
    ],
)
def test_frames_as_arrow(value: object, summary: str, converter: NamespaceConverter):
    """DataFrames and Series travel as Arrow, and come back the same in every respect."""
    payload = converter.encode(value, "value")

    assert (payload.codec, payload.summary) == ("arrow", summary)
    back = converter.decode(payload)
    if isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value)
    else:
        pd.testing.assert_frame_equal(back, value)


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [1, "x"]}),
        pd.DataFrame({"a": [Plain(1)]}),
        pd.DataFrame({"a": [(1, 2)]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": [1, None]}, dtype=object),
        pd.DataFrame(),
    ],
)
def test_frames_that_arrow_would_change_are_pickled(value, converter: NamespaceConverter):
    """A DataFrame that Arrow refuses or alters is pickled."""
    payload = converter.encode(value, "value")

    assert payload.codec == "pickle"
    assert payload.summary.startswith("DataFrame ")
    back = converter.decode(payload)
    assert back.equals(value)
    assert list(back.dtypes) == list(value.dtypes)


def test_arrow_tables(converter: NamespaceConverter):
    """Arrow's own tables and batches come back with their schema and metadata."""
    table = pa.table({"a": [1, None]}).replace_schema_metadata({"k": "v"})
    batch = pa.record_batch({"b": ["x"]})

    for value in (table, batch):
        back = converter.decode(converter.encode(value, "value"))
        assert type(back) is type(value)
        assert back.equals(value)
        assert back.schema.equals(value.schema, check_metadata=True)


def test_a_decoded_frame_can_be_changed(converter: NamespaceConverter):
    """What comes back is an ordinary DataFrame, not a view of read-only memory."""
    back = converter.decode(converter.encode(pd.DataFrame({"a": [1.0, 2.0]}), "value"))

    back.loc[0, "a"] = 5.0

    assert list(back.a) == [5.0, 2.0]


def test_summaries(converter: NamespaceConverter):
    """A blob says what is in it."""
    values = [np.zeros((3, 4)), Plain(1), [Plain(1), Plain(2)], np.datetime64("2026"), Plain]

    assert [converter.encode(value, "value").summary for value in values] == [
        "ndarray 3 x 4 float64",
        "Plain",
        "list of 2",
        "datetime64 scalar datetime64[Y]",
        f"{HOME}:Plain",
    ]


REFUSED = [
    (threading.Lock, "", "lock", "within one process"),
    (lambda: {"a": [1, threading.RLock()]}, "value['a'][1]", "RLock", "within one process"),
    (lambda: Point(1, Plain(threading.Lock())), "value.y.value", "lock", "within one process"),
    (lambda: (x for x in [1]), "", "generator", "pass a list"),
    (lambda: CallArguments((1, threading.Lock())), "value.args[1]", "lock", "one process"),
    (lambda: [threading.Thread()], "value[0]", "Thread", "start it inside"),
]


@pytest.mark.parametrize(("make", "path", "type_name", "remedy"), REFUSED)
def test_what_cannot_be_stored_is_named(make, path, type_name, remedy, converter):
    """The error names what it is, where inside the value, its type, and what to do."""
    with pytest.raises(EncodingError) as caught:
        converter.encode(make(), "input of fetch")

    assert (caught.value.where, caught.value.path) == ("input of fetch", path)
    assert caught.value.type_name == type_name
    assert remedy in str(caught.value)


def test_an_open_connection_is_refused(converter: NamespaceConverter):
    """A connection belongs to its process, also where a lambda holds it."""
    connection = sqlite3.connect(":memory:")

    for value in (connection, {"c": connection}, lambda: connection):
        with pytest.raises(EncodingError, match="open it inside the function"):
            converter.encode(value, "value")
    connection.close()


class Bomb:
    """Code that runs when it is unpickled."""

    exploded = False

    def __reduce__(self):
        return Bomb.explode, ()

    @staticmethod
    def explode():
        """Note that it ran."""
        Bomb.exploded = True


@pytest.mark.parametrize("codec", ["pickle", "dill"])
def test_foreign_pickles_are_never_loaded(codec: str, converter: NamespaceConverter):
    """Bytes signed with another key, not signed, or moved to another codec do not run."""
    data = pickle.dumps(Bomb())
    other = "dill" if codec == "pickle" else "pickle"
    forged = [
        data,
        b"\x00" * 32 + data,
        Signer(b"x" * 32).sign(codec, data),
        SIGNER.sign(other, data),
        SIGNER.sign(codec, data)[:-1],
        b"",
    ]

    for bad in forged:
        with pytest.raises(DecodingError, match=r"not signed with your key.*%durable trust"):
            converter.decode(Blob(codec=codec, data=bad, summary="Bomb"))
    assert not Bomb.exploded

    converter.decode(Blob(codec=codec, data=SIGNER.sign(codec, data)))
    assert Bomb.exploded, "the bytes were harmless anyway"
    Bomb.exploded = False


def test_an_unknown_codec_is_named(converter: NamespaceConverter):
    """A blob of a newer version is refused by the name of its codec."""
    with pytest.raises(DecodingError, match="codec 'zstd'"):
        converter.decode(Blob(codec="zstd", data=SIGNER.sign("zstd", b"x")))


def test_a_module_that_is_missing_here_is_named(converter: NamespaceConverter):
    """The error names the module and the Python that lacks it."""
    data = b"cno_such_module\nThing\n."

    with pytest.raises(DecodingError, match="needs the module no_such_module") as caught:
        converter.decode(Blob(codec="pickle", data=SIGNER.sign("pickle", data)))

    assert sys.executable in str(caught.value)


def test_the_key_is_private_and_made_once(tmp_path: Path, monkeypatch):
    """Many processes that start at once agree on one key, which only its user can read."""
    monkeypatch.setenv("IPYDURABLE_KEY_DIR", str(tmp_path / "keys"))
    code = (
        "from ipydurable.runtime.signing import load_signer; "
        "print(load_signer().sign('pickle', b'').hex(), end='')"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(4)
    ]
    signatures = {process.communicate()[0] for process in processes}

    path = tmp_path / "keys" / "signature.key"
    assert signatures == {load_signer().sign("pickle", b"").hex().encode()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["signature.key"]
    assert len(path.read_bytes()) == 32


def test_a_key_file_that_is_no_key_is_refused(tmp_path: Path, monkeypatch):
    """A damaged key is named, not silently replaced: it would orphan what it has signed."""
    monkeypatch.setenv("IPYDURABLE_KEY_DIR", str(tmp_path))
    (tmp_path / "signature.key").write_bytes(b"short")

    with pytest.raises(StoreUnwritableError, match="no signature key"):
        load_signer()
