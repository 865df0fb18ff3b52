"""A bank whose host is killed at random: no money is made or lost, no lock is left."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
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
ACCOUNTS = 20
TRANSFERS = 300
KILLS = 5
START = 100


def definition(kind: Kind, name: str, source: str) -> Definition:
    package = CodePackage(entry=name, chunks=(Chunk(name=name, source=source),))
    return Definition(kind=kind, name=name, version="v1", package=package, source=source)


def test_money_is_conserved_when_the_host_is_killed_at_random(
    connect: Callable[[], DurableClient],
) -> None:
    seed = int(os.environ.get("IPYDURABLE_SEED", "7"))
    rng = random.Random(seed)
    logging.getLogger(__name__).warning("seed %s", seed)
    client = connect()
    client.define(
        [
            definition(Kind.ENTITY, "Account", ACCOUNT),
            definition(Kind.ORCHESTRATOR, "transfer", TRANSFER),
        ]
    )
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
