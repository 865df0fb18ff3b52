"""Everything public is documented, and everything documented exists: both ways."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import ipydurable
import ipydurable.testing
from ipydurable.activity_executors import activity_executors
from ipydurable.entity_functions import EntityFunction
from ipydurable.entity_handles import EntityCall, EntityHandle
from ipydurable.functions import ActivityFunction, OrchestratorFunction
from ipydurable.handles import NotebookInstance
from ipydurable.magics import DurableMagics
from ipydurable.runtime.task_handles import AttemptHandle, TaskHandle
from ipydurable.store.columns import VIEWS
from ipydurable.subcommands import SUBCOMMANDS
from tests.docs.pages import PAGES, ROOT, code_in

PAGE = ROOT / "docs" / "commands.md"
TEXT = PAGE.read_text(encoding="utf-8").replace(r"\|", "|")
CODE = [one for page in PAGES for one in code_in(page)]
WORDS = {word for one in CODE for word in re.findall(r"[A-Za-z_]\w*", one)}
CLASSES = (
    ipydurable.ActivityContext,
    ipydurable.EntityContext,
    ipydurable.OrchestrationContext,
    ipydurable.Runtime,
    ActivityFunction,
    AttemptHandle,
    EntityCall,
    EntityFunction,
    EntityHandle,
    NotebookInstance,
    OrchestratorFunction,
    TaskHandle,
)
MAGICS = ("activity", "orchestrator", "entity")


def rows(commands: Iterable[tuple[str, str]]) -> list[str]:
    """Return rows of a table as the page has them."""
    return [f"| `{left}` | {right} |" for left, right in commands]


def section(heading: str) -> str:
    """Return the text below a heading of the page of commands."""
    start = TEXT.index(f"{heading}\n")
    level = heading.partition(" ")[0]
    rest = TEXT[start + len(heading) :]
    end = re.search(rf"^#{{2,{len(level)}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


@pytest.mark.parametrize("name", MAGICS)
def test_the_options_of_a_magic(name: str) -> None:
    """Each option of `%%activity` and the like, with its help, and no other."""
    actions = getattr(DurableMagics, name).parser._actions
    options = {flag: one.help for one in actions for flag in one.option_strings if flag[2:]}
    options.pop("--help", None)
    table = re.findall(
        r"^\| `(--[\w-]+)[^`]*` \| (.*) \|$", section(f"### `%%{name}`"), re.MULTILINE
    )
    assert dict(table) == options


def test_the_subcommands_of_durable() -> None:
    """As `%durable help` says them; a new one needs a row here."""
    table = re.findall(r"^\| `%durable .*$", TEXT, re.MULTILINE)
    wanted = rows((f"%durable {one.usage}", one.summary) for one in SUBCOMMANDS.values())
    assert sorted(table) == sorted(wanted)


@pytest.mark.parametrize("name", [name for name, one in SUBCOMMANDS.items() if one.options])
def test_the_options_of_a_subcommand(name: str) -> None:
    """As `%durable help NAME` says them."""
    start = TEXT.index(f"`%durable {name}` takes\n")
    table = TEXT[start:].split("\n\n")[1].splitlines()[2:]
    assert table == rows(SUBCOMMANDS[name].options.items())


def test_commands_that_pages_name_exist() -> None:
    """In backticks and in blocks: subcommands, cell magics and settings."""
    said = {name for one in CODE for name in re.findall(r"%durable ([a-z][\w-]*)", one)}
    assert said - SUBCOMMANDS.keys() == set()
    cells = {name for one in CODE for name in re.findall(r"%%(\w+)", one)}
    assert cells - {*MAGICS, "durable", "writefile"} == set()
    settings = {name for one in CODE for name in re.findall(r"DurableMagics\.(\w+)", one)}
    assert settings - DurableMagics.class_traits(config=True).keys() == set()


def test_settings_and_their_defaults() -> None:
    """Each trait of `%config DurableMagics`."""
    traits = DurableMagics.class_traits(config=True)
    found = re.findall(
        r"^\| `DurableMagics\.(\w+)` \| (.*) Default: `(.*)` \|$", TEXT, re.MULTILINE
    )
    assert {name: (text, default) for name, text, default in found} == {
        name: (trait.help, repr(trait.default_value)) for name, trait in traits.items()
    }


def test_environment_variables() -> None:
    """Each that the code reads is documented, and each that is documented is read."""
    pattern = re.compile(r"IPYDURABLE_[A-Z_]+")
    read = {
        name
        for folder in ("kernel_ext", "runtime", "store", "widgets")
        for path in (ROOT / folder).rglob("*.py")
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    }
    host = (ROOT / "docs" / "host.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(IPYDURABLE_[A-Z_]+)`", host, re.MULTILINE)) == read


@pytest.mark.parametrize("module", [ipydurable, ipydurable.testing], ids=lambda one: one.__name__)
def test_public_names_are_documented_and_documented_names_exist(module: Any) -> None:
    """In the guides, and in the reference."""
    name = module.__name__
    public = {one for one in module.__all__ if not one.startswith("__")}
    assert public - WORDS == set()
    called = re.compile(rf"(?<![\w.]){re.escape(name)}\.([A-Za-z]\w*)")
    said = {found for one in CODE for found in called.findall(one)}
    assert {one for one in said if not hasattr(module, one)} <= SUBMODULES


SUBMODULES = {"functions", "entity_functions", "handles", "entity_handles", "store"}
"""The reference names classes by where they are; they are made by what is public."""


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_handles_and_contexts_can_do_is_told(cls: type) -> None:
    """Every public method and attribute stands in a guide."""
    public = {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}
    guides = {
        word
        for page in PAGES
        if page.parent.name != "api"
        for one in code_in(page)
        for word in re.findall(r"[A-Za-z_]\w*", one)
    }
    assert public - guides - NOT_FOR_GUIDES == set()


NOT_FOR_GUIDES = {"check_arguments", "definition", "is_class", "kind"}
"""Attributes that the reference describes, and that are for tools."""


def test_methods_that_guides_name_exist() -> None:
    """`run.x`, `ctx.x` and `Account("a").x` in backticks and code are attributes of those."""
    known = {
        "run": NotebookInstance,
        "runtime": ipydurable.Runtime,
        "ctx": (
            ipydurable.OrchestrationContext,
            ipydurable.ActivityContext,
            ipydurable.EntityContext,
        ),
    }
    for variable, classes in known.items():
        for name in said_of(variable):
            assert any(hasattr_(one, name) for one in as_tuple(classes)), f"{variable}.{name}"


def said_of(variable: str) -> Iterator[str]:
    """Yield what code of the guides asks of a variable of that name."""
    pattern = re.compile(rf"(?<![\w.\"'/]){variable}\.([a-z]\w*)")
    for page in PAGES:
        if page.parent.name != "api":
            for one in code_in(page):
                yield from pattern.findall(one)


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return one or several as several."""
    return value if isinstance(value, tuple) else (value,)


def hasattr_(cls: type, name: str) -> bool:
    """Whether objects of a class have an attribute, also one that `__init__` gives them."""
    in_init = re.compile(rf"self\.{name}\b|``?{name}\b|^ +{name}:", re.MULTILINE)
    bases = [base for base in cls.__mro__ if base.__module__.startswith("ipydurable")]
    return hasattr(cls, name) or any(in_init.search(inspect.getsource(base)) for base in bases)


def test_the_tables_are_told() -> None:
    """Every SQL view, and where an activity can run."""
    data = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert [one for one in VIEWS if one not in data] == []
    activities = (ROOT / "docs" / "activities.md").read_text(encoding="utf-8")
    executors = activity_executors()
    for executor in executors.values():
        executor.close()
    assert [one for one in executors if f"| `{one}`" not in activities] == []
