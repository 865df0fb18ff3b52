"""Tab completion: what is offered where, and that it never keeps anybody waiting."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ipydurable.completion import Completion, Recent
from ipydurable.entity_functions import EntityFunction
from ipydurable.functions import ActivityFunction, OrchestratorFunction
from ipydurable.runtime.client import DurableClient, InProcess
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.executors import ThreadExecutor
from ipydurable.runtime.testing import MemoryStore
from ipydurable.session import DurableSession
from ipydurable.subcommands import SUBCOMMANDS


def fetch(city):
    """Stand for an activity."""
    return city


async def report(ctx, city):
    """Stand for an orchestrator."""
    return city


class Account:
    """Stand for an entity."""

    balance: int = 0

    def deposit(self, amount):
        """Stand for an operation."""
        self.balance += amount


@pytest.fixture(scope="module")
def session() -> Iterator[DurableSession]:
    """Return a session with three definitions, three instances and two entities."""
    engine = EmbeddedEngine(MemoryStore(), {"threads": ThreadExecutor()})
    client = DurableClient(InProcess(engine.service), NamespaceConverter(globals()))
    session = DurableSession(lambda: client, ":memory:")
    session.define(ActivityFunction(fetch))
    session.define(OrchestratorFunction(report))
    session.define(EntityFunction(Account))
    for name in ("r-1", "r-2", "other"):
        client.start("report", "x", instance_id=name)
    for key in ("alice", "bob"):
        client.call_entity(f"Account@{key}", "deposit", 5)
    yield session
    session.close()
    engine.close()


@pytest.fixture
def completion(session: DurableSession) -> Completion:
    """Return completion on that session."""
    return Completion(lambda: session)


@pytest.mark.parametrize(
    ("line", "typed", "offered"),
    [
        (
            "%durable s",
            "s",
            ["status", "show", "start", "start-many", "suspend", "signal", "sql", "stop"],
        ),
        ("  %durable he", "he", ["help"]),
        ("%%durable sq", "sq", ["sql"]),
        ("x = %durable lis", "lis", ["list"]),
        ("%durable show r", "r", ["r-2", "r-1"]),
        ("%durable terminate ", "", ["other", "r-2", "r-1"]),
        ("%durable start ", "", ["report"]),
        ("%durable start report --", "--", ["--id", "--at", "--timeout", "--tag", "--replace"]),
        ("%durable versions ", "", ["Account", "fetch", "report"]),
        ("%durable list --st", "--st", ["--status"]),
        ("%durable list --status R", "R", ["Running"]),
        ("%durable list --name ", "", ["report"]),
        ("%durable nonsense ", "", []),
        ("%%activity --re", "--re", ["--retries", "--retry-delay"]),
        ("%%activity --on ", "", ["processes", "threads", "asyncio"]),
        ("%%orchestrator ", "", ["--name"]),
        ("%%entity --n", "--n", ["--name"]),
        ('run = ipydurable.instance("r-', "r-", ["r-2", "r-1"]),
        ('ipydurable.entity("Acc', "Acc", ["Account@bob", "Account@alice"]),
        ("%durable entity ", "", ["Account@bob", "Account@alice"]),
        ("%durable entity acc", "acc", ["account@bob", "account@alice"]),
        ("%durable entity Account@a", "Account@a", ["Account@alice"]),
        ("%durable entity @account@b", "@account@b", ["@account@bob"]),
        ("%durable entity Other", "Other", []),
        ("%durable signal Account@alice ", "", ["delete", "deposit"]),
        ("%durable call ACCOUNT@alice dep", "dep", ["deposit"]),
        ("%durable call nonsense ", "", []),
        ("%durable signal Account@alice deposit 5 --", "--", ["--at"]),
        ("%durable entities --name ", "", ["Account"]),
        ("%durable entities --after Account@b", "Account@b", ["Account@bob"]),
        ("%durable entities --lo", "--lo", ["--locked"]),
        ("%durable purge --st", "--st", ["--status"]),
        ("%durable purge oth", "oth", ["other"]),
        ("%durable list --after oth", "oth", ["other"]),
        ("%durable start report --replace f", "f", ["finished"]),
        ("%durable restart r-1 ", "", ["--new-id"]),
        ("%durable help ent", "ent", ["entities", "entity"]),
    ],
)
def test_what_is_offered(completion: Completion, line: str, typed: str, offered: list[str]):
    """Each place offers what can stand there, and nothing else."""
    assert completion.candidates(line) == (typed, offered)


@pytest.mark.parametrize("line", ["x = 1", "%time f", "%durable open /tm", "print('%durable ')"])
def test_other_lines_are_left_alone(completion: Completion, line: str):
    """Lines that are not ours, and paths, are completed by IPython."""
    assert completion.candidates(line) is None


def test_all_subcommands_are_offered(completion: Completion):
    """An empty word offers all there is."""
    assert completion.candidates("%durable ") == ("", list(SUBCOMMANDS))


def test_ipython_asks_us(completion: Completion):
    """IPython's completer takes our answer, for our lines alone."""
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    completer = IPCompleter(shell=shell, namespace={"sound": 1})
    completer.custom_matchers.append(completion.match)

    def complete(text: str) -> list[str]:
        with provisionalcompleter():
            return [one.text for one in completer.completions(text, len(text))]

    assert complete("%durable so") == []
    assert complete("%durable sto") == ["stop"]
    assert complete("%durable show r-") == ["r-1", "r-2"]
    assert complete("soun") == ["sound"]


def test_nothing_is_asked_before_there_is_a_connection():
    """While the host starts, names are not waited for."""

    class Connecting:
        connection: Future[DurableClient] = Future()

    completion = Completion(Connecting)

    assert completion.candidates("%durable show ") == ("", [])
    assert completion.candidates("%durable start ") == ("", [])


def test_nothing_is_asked_of_a_connection_that_failed():
    """A store that did not open offers no names and raises nothing."""

    class Failed:
        connection: Future[DurableClient] = Future()

    Failed.connection.set_exception(OSError("no"))

    assert Completion(Failed).candidates("%durable show ") == ("", [])


def test_a_slow_answer_is_not_waited_for():
    """The last answer stands in until the slow one is there; nobody asks twice meanwhile."""
    recent: Recent[int] = Recent(0)
    go_on = threading.Event()
    asked = []

    def slow() -> int:
        asked.append(1)
        go_on.wait(30)
        return 7

    assert recent.get(lambda: 5, patience_s=30) == 5
    assert recent.get(slow, patience_s=0.001) == 5
    assert recent.get(slow, patience_s=0.001) == 5
    go_on.set()
    assert recent.get(slow, patience_s=30) == 7
    assert asked == [1]
