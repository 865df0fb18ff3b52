"""Opening a store: what it refuses, in which words, and that nothing is lost by trying."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from ipydurable.runtime.core.errors import (
    NotAStoreError,
    StoreDamagedError,
    StoreLockedError,
    StoreUnwritableError,
    StoreVersionError,
)
from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.output import AttemptOutput, OutputItem
from ipydurable.runtime.definitions import CodePackage, Definition, DefinitionAdded, Kind
from ipydurable.runtime.ports import AttemptKey, JournalRow, KeptOutput, Store, Stream
from ipydurable.store import open_store
from ipydurable.store.database import store_error
from ipydurable.store.migrations import MIGRATIONS, Migration, migrate, schema_version
from ipydurable.store.recovery import read_definitions

ROW = JournalRow(1, 1, 1, Stream.HISTORY, EventRaised(timestamp=datetime(2026, 1, 1), name="e"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is to be."""
    return tmp_path / "s.duckdb"


@pytest.fixture
def used(path: Path) -> Path:
    """A closed store with one row."""
    with closing(open_store(path)) as store:
        store.recover()
        store.append([ROW], [])
    return path


@contextmanager
def unchanged(*paths: Path) -> Iterator[None]:
    """Check that files are left as they are, without a log beside them."""
    before = [path.read_bytes() for path in paths]
    yield
    assert [path.read_bytes() for path in paths] == before
    assert not any(Path(f"{path}.wal").exists() for path in paths)


def test_the_store_is_what_the_engine_asks_for(path: Path) -> None:
    """The class satisfies the protocol, and says where it is."""
    with closing(open_store(path)) as store:
        as_port: Store = store
        assert as_port.path == str(path)


def test_definitions_are_read_without_the_rest_of_the_journal(path: Path) -> None:
    """However much there is, and whatever it is."""
    definition = Definition(
        kind=Kind.ACTIVITY, name="fetch", version="v1", package=CodePackage(entry="fetch"), epoch=3
    )
    added = DefinitionAdded(timestamp=datetime(2026, 1, 1), definition=definition)
    with closing(open_store(path)) as store:
        store.recover()
        store.append([JournalRow(1, 0, 0, Stream.DEFINITION, added), ROW._replace(gseq=2)], [])
        with store._database.reading() as cursor:
            cursor.execute("UPDATE journal SET kind = 'Unheard' WHERE gseq = 2").fetchall()
            assert read_definitions(cursor) == [definition]


def test_new_files_are_private(path: Path) -> None:
    """File and log can be read by their owner only, also after the log was made anew."""
    with closing(open_store(path)) as store:
        store.recover()
        store.checkpoint(force=True)
        store.append([ROW], [])
        for file in (path, Path(f"{path}.wal")):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_log_that_is_written_during_a_checkpoint_is_private(path: Path) -> None:
    """DuckDB makes it as the umask says; commits of that time are in it."""
    with closing(open_store(path)) as store:
        store.recover()
        other = Path(f"{path}.wal.checkpoint")
        other.touch(0o644)
        store._database.is_checkpointing = True
        store.append([ROW], [])
        assert stat.S_IMODE(other.stat().st_mode) == 0o600
        other.unlink()


def test_a_file_keeps_the_mode_its_owner_gave_it(used: Path) -> None:
    """A store opened to a group stays so, and its log with it."""
    used.chmod(0o660)
    with closing(open_store(used)) as store:
        store.recover()
        store.append([ROW._replace(gseq=2)], [])
        assert stat.S_IMODE(used.stat().st_mode) == 0o660
        assert stat.S_IMODE(Path(f"{used}.wal").stat().st_mode) == 0o660


def test_text_files_are_refused_and_left_alone(path: Path) -> None:
    """Something that is no DuckDB file is named as such and not touched."""
    path.write_text("a,b\n1,2\n" * 1000)
    with unchanged(path), pytest.raises(NotAStoreError, match="not a DuckDB file"):
        open_store(path)


def test_other_databases_are_refused_and_left_alone(path: Path) -> None:
    """A DuckDB file with somebody's tables is named as such and not touched."""
    with duckdb.connect(path) as raw:
        raw.execute("CREATE TABLE sales(a INT); CREATE TABLE meta(key INT)").fetchall()
    with unchanged(path), pytest.raises(NotAStoreError, match=r"other things \(meta, sales\)"):
        open_store(path)


def test_tables_of_our_names_do_not_make_a_store(path: Path) -> None:
    """Only a file that says it is ours is."""
    with duckdb.connect(path) as raw:
        raw.execute(
            "CREATE TABLE meta(key VARCHAR, value VARCHAR); CREATE TABLE journal(a INT);"
            "CREATE TABLE migrations(version INT)"
        ).fetchall()
    with unchanged(path), pytest.raises(NotAStoreError, match="other things"):
        open_store(path)


@pytest.mark.parametrize("make", ["empty file", "empty database"])
def test_empty_files_become_stores(path: Path, make: str) -> None:
    """What holds nothing can hold a store."""
    if make == "empty file":
        path.touch()
    else:
        duckdb.connect(path).close()
    with closing(open_store(path)) as store:
        assert store.recover().last_gseq == 0


def test_damage_to_the_file_itself_is_refused(used: Path) -> None:
    """A file with a wrong checksum is called damaged, with what to do."""
    content = bytearray(used.read_bytes())
    content[30] ^= 0xFF
    used.write_bytes(content)
    with unchanged(used), pytest.raises(StoreDamagedError, match=r"checksum.*Restore"):
        open_store(used)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("", "it is a folder"),
        ("nowhere/s.duckdb", "there is no folder"),
        ("/proc/s.duckdb", "cannot be written"),
    ],
)
def test_places_that_cannot_be_written_are_refused(tmp_path: Path, place: str, reason: str) -> None:
    """A folder, a missing folder and a place without permission are told apart."""
    with pytest.raises(StoreUnwritableError, match=reason):
        open_store(tmp_path / place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_refused(used: Path) -> None:
    """Without permission to write the file is refused before anything else happens."""
    used.chmod(0o400)
    with pytest.raises(StoreUnwritableError, match="no permission"):
        open_store(used)


def test_another_process_is_named(used: Path) -> None:
    """The error for a locked file carries the process and its command line."""
    program = (
        f"from ipydurable.store import open_store; s = open_store({str(used)!r}); print(1); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-uc", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreLockedError) as caught:
            open_store(used)
        process.kill()
    assert caught.value.pid == process.pid
    assert "open_store" in caught.value.program
    open_store(used).close()


def test_a_second_store_in_this_process_is_refused(used: Path) -> None:
    """DuckDB would share the file within a process; two engines on it would ruin it."""
    with closing(open_store(used)):
        with pytest.raises(StoreLockedError) as caught:
            open_store(used.parent / "." / used.name)
        assert caught.value.pid == os.getpid()
    with closing(duckdb.connect(used)), pytest.raises(StoreLockedError, match=r"duckdb\.connect"):
        open_store(used)
    open_store(used).close()


def test_a_locked_process_that_is_gone_is_named_by_duckdb(path: Path) -> None:
    """Without /proc the program is what DuckDB says it is."""
    error = duckdb.IOException(
        'IO Error: Could not set lock on file "x": Conflicting lock is held in '
        "/usr/bin/python3.11 (PID 999999999). See also"
    )
    locked = store_error(str(path), error)
    assert isinstance(locked, StoreLockedError)
    assert (locked.pid, locked.program) == (999999999, "/usr/bin/python3.11")


def test_files_of_another_duckdb_are_refused() -> None:
    """A storage format this DuckDB cannot read is no damage."""
    text = "IO Error: Trying to read a database file with version number 99, but we can only read"
    assert isinstance(store_error("p", duckdb.IOException(text)), NotAStoreError)


def test_newer_files_are_refused_and_left_alone(used: Path) -> None:
    """A file with a later step in its record is for a newer version."""
    with duckdb.connect(used) as raw:
        raw.execute(
            "INSERT INTO migrations VALUES (99, 'later', TIMESTAMP '2030-01-01')"
        ).fetchall()
    with unchanged(used), pytest.raises(StoreVersionError, match="newer ipydurable"):
        open_store(used)


OLD = (Migration(1, "first", MIGRATIONS[0].statements),)
NEWER = (
    *OLD,
    Migration(2, "add a column", ("ALTER TABLE payloads ADD COLUMN note VARCHAR",)),
    Migration(
        3, "fill it", ("CREATE TABLE notes AS SELECT 1 AS n", "UPDATE payloads SET note = ''")
    ),
)


def test_older_files_are_brought_up_step_by_step(path: Path) -> None:
    """Each missing step is taken once, in order, and recorded; a second time nothing is left."""
    with closing(duckdb.connect(path)) as raw:
        assert migrate(raw, "p", OLD) == []
        assert migrate(raw, "p", NEWER) == [
            "p was brought to schema 2: add a column.",
            "p was brought to schema 3: fill it.",
        ]
        assert migrate(raw, "p", NEWER) == []
        assert raw.execute("SELECT version, name FROM migrations ORDER BY 1").fetchall() == [
            (1, "first"),
            (2, "add a column"),
            (3, "fill it"),
        ]


def test_a_file_from_before_output_was_kept_gains_a_place_for_it(path: Path) -> None:
    with closing(duckdb.connect(path)) as raw:
        migrate(raw, "p", OLD)
    with closing(open_store(path)) as store:
        sentence, *_ = store.recover().report
        assert (
            sentence == f"{path} was brought to schema 2: keep what activities print and display."
        )
        key = AttemptKey(1, "e", 1, 1)
        output = AttemptOutput(items=(OutputItem("stdout", "hello"),))
        store.keep_outputs([KeptOutput(key, "fetch", datetime(2026, 1, 1), output)])
        assert store.outputs(1, "e", 1)[0].output == output


def test_a_step_that_fails_is_undone_whole(path: Path) -> None:
    """After a failed step the file is of the version before, and the step can be tried again."""
    broken = (*NEWER[:2], Migration(3, "fill it", (NEWER[2].statements[0], "SELECT nonsense")))
    with closing(duckdb.connect(path)) as raw:
        migrate(raw, "p", OLD)
        with pytest.raises(duckdb.Error, match="nonsense"):
            migrate(raw, "p", broken)
        assert schema_version(raw, "p") == 2
        assert migrate(raw, "p", NEWER) == ["p was brought to schema 3: fill it."]


def test_a_sqlite_file_is_said_to_be_one(tmp_path):
    """DuckDB would look for an extension that reads it."""
    path = tmp_path / "theirs.duckdb"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()

    with pytest.raises(NotAStoreError, match="SQLite"):
        open_store(path)

    assert path.read_bytes() == before
