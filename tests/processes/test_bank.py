"""A bank whose host is killed at random: no money is made or lost, no lock is left."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Chunk, CodePackage, Definition, Kind

pytestmark = pytest.mark.processes

ACCOUNT = """\
class Account:
    balance: int = 0

    def deposit(self, amount):
        self.balance += amount
        return self.balance

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError('too little')
        self.balance -= amount
        return self.balance

    def get(self):
        return self.balance
"""
TRANSFER = """\
async def transfer(ctx, order):
    source, target, amount = order
    a, b = ctx.entity('Account', source), ctx.entity('Account', target)
    async with ctx.lock_entities(a, b):
        if await a.get() < amount:
            return 'too little'
        await ctx.when_all([a.withdraw(amount), b.deposit(amount)])
    return 'done'
"""
HOLD = """\
async def hold(ctx, key):
    account = ctx.entity('Account', key)
    async with ctx.lock_entities(account):
        before = await account.deposit(1)
        await ctx.wait_for_external_event('leave')
        return [before, await account.deposit(1)]
"""
PAY = """\
async def pay(ctx, amount):
    source, target = ctx.entity('Account', 'source'), ctx.entity('Account', 'target')
    async with ctx.lock_entities(source, target):
        await target.deposit(amount)
        return await source.withdraw(amount)
"""
ACCOUNTS = 20
TRANSFERS = 300
KILLS = 5
START = 100


def definition(kind: Kind, name: str, source: str) -> Definition:
    package = CodePackage(entry=name, chunks=(Chunk(name=name, source=source),))
    return Definition(kind=kind, name=name, version="v1", package=package, source=source)


def bank(connect: Callable[[], DurableClient], **orchestrators: str) -> DurableClient:
    """Return a client of a host that knows accounts and these orchestrators."""
    client = connect()
    client.define(
        [
            definition(Kind.ENTITY, "Account", ACCOUNT),
            *(definition(Kind.ORCHESTRATOR, *one) for one in orchestrators.items()),
        ]
    )
    return client


def test_money_is_conserved_when_the_host_is_killed_at_random(
    connect: Callable[[], DurableClient],
) -> None:
    seed = int(os.environ.get("IPYDURABLE_SEED", "7"))
    rng = random.Random(seed)
    logging.getLogger(__name__).warning("seed %s", seed)
    client = bank(connect, transfer=TRANSFER)
    for n in range(ACCOUNTS):
        client.signal_entity(f"Account@{n}", "deposit", START)
    orders = []
    for _ in range(TRANSFERS):
        source, target = rng.sample(range(ACCOUNTS), 2)
        orders.append([str(source), str(target), rng.randint(1, 60)])
    started: list[str] = []
    for at in range(0, TRANSFERS, TRANSFERS // KILLS):
        started += client.start_many("transfer", orders[at : at + TRANSFERS // KILLS])
        # Long enough for some of them to be under way, and never the same.
        threading.Event().wait(rng.uniform(0.0, 0.15))
        os.kill(client.host_status().pid, signal.SIGKILL)
    outcomes = [client.wait(one, timeout_s=90) for one in started]
    assert {record.status for record in outcomes} == {RuntimeStatus.COMPLETED}
    assert len(outcomes) == TRANSFERS
    balances = [client.call_entity(f"Account@{n}", "get", timeout_s=30) for n in range(ACCOUNTS)]
    assert sum(balances) == ACCOUNTS * START
    assert min(balances) >= 0
    assert client.locks() == []


def test_a_killed_host_neither_loses_nor_orphans_a_lock(
    connect: Callable[[], DurableClient],
) -> None:
    client = bank(connect, hold=HOLD)
    for instance_id in ("first", "second"):
        client.start("hold", "a", instance_id=instance_id)
        _until(lambda: "first" in _locks(client)[:1])
    _until(lambda: _locks(client) == ["first", "second"])
    os.kill(client.host_status().pid, signal.SIGKILL)
    assert _locks(client) == ["first", "second"]
    called = client.entity_call("Account@a", "deposit", 10)
    client.raise_event("first", "leave")
    assert client.wait("first", timeout_s=60).status is RuntimeStatus.COMPLETED
    assert "first" not in _locks(client)
    os.kill(client.host_status().pid, signal.SIGKILL)
    client.raise_event("second", "leave")
    results = [client.decode(client.wait(one, timeout_s=60).output) for one in ("first", "second")]
    assert results == [[1, 2], [3, 4]]
    assert client.call_outcome("Account@a", called.result(30)) == 14
    assert client.locks() == []


def test_a_rewind_into_a_section_survives_a_killed_host(
    connect: Callable[[], DurableClient],
) -> None:
    client = bank(connect, hold=HOLD, pay=PAY)
    client.start("pay", 1, instance_id="pay")
    assert client.wait("pay", timeout_s=60).status is RuntimeStatus.FAILED
    assert client.locks() == []
    client.start("hold", "source", instance_id="other")
    _until(lambda: "other" in _locks(client))
    client.rewind("pay")
    os.kill(client.host_status().pid, signal.SIGKILL)
    assert _locks(client) == ["other", "pay"]
    client.raise_event("other", "leave")
    assert client.decode(client.wait("pay", timeout_s=60).output) == 1
    assert client.call_entity("Account@target", "get", timeout_s=30) == 1
    assert client.locks() == []


def _locks(client: DurableClient) -> list[str]:
    """Return who holds the only lock there is, then who waits for it."""
    return [one for lock in client.locks() for one in (lock.owner, *lock.queue)]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
