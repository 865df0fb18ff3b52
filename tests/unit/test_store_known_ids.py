"""The set of ids a store may hold: never says no to one it holds."""

from __future__ import annotations

import itertools

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.store import known_ids
from ipydurable.store.known_ids import KnownIds
from ipydurable.store.text import storable

IDS = st.lists(st.text(st.characters(codec="utf-8") | st.just("\udc80"), min_size=1), unique=True)


def known_of(stored: list[str]) -> KnownIds:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE instance_records(instance_id VARCHAR)")
        for one in stored:
            connection.execute("INSERT INTO instance_records VALUES ($1)", [storable(one)])
        return KnownIds(connection)


@given(stored=IDS, added=IDS, others=IDS)
def test_it_holds_what_the_table_held_and_what_was_added_and_nothing_else(
    stored: list[str], added: list[str], others: list[str]
) -> None:
    known = known_of(stored)
    known.add(added)
    assert all(known.may_hold(one) for one in [*stored, *added])
    held = {storable(one) for one in [*stored, *added]}
    assert not any(known.may_hold(one) for one in others if storable(one) not in held)


def test_it_holds_all_ids_however_many_runs_they_are_kept_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_ids, "_RUN", 8)
    known = known_of(["the first"])
    ids = [f"report-{number}" for number in range(1000)]
    for one in ids:
        known.add([one, one])
        assert known.may_hold(one)
    assert all(known.may_hold(one) for one in ["the first", *ids])
    assert not any(known.may_hold(f"order-{number}") for number in range(1000))


def test_each_run_is_at_least_twice_as_long_as_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """So looking up takes a few steps however many ids there are."""
    monkeypatch.setattr(known_ids, "_RUN", 8)
    known = known_of([])
    for number in range(1000):
        known.add([f"report-{number}"])
        lengths = [len(run) for run in known._runs]
        assert all(one >= 2 * other for one, other in itertools.pairwise(lengths) if other)
        assert len(known._fresh) < 8
    assert 1 < len(known._runs) <= 8
