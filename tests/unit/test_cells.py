"""What is read off the source of a cell and off the lines of the magics."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from ipydurable.arguments import (
    ArgumentError,
    activity_options,
    parse_json,
    parse_replaceable,
    parse_seconds,
    parse_status,
    parse_statuses,
    parse_tags,
    parse_time,
    take_options,
)
from ipydurable.cells import find_definition
from ipydurable.runtime.core.errors import DefinitionError
from ipydurable.runtime.core.status import RuntimeStatus


def test_the_last_function_is_the_definition():
    """What stands before the last function is its helpers, classes among them."""
    source = "import os\nclass P: ...\ndef helper(): ...\nasync def fetch(city): ...\nX = 1\n"

    found = find_definition(source, "activity")

    assert found == ("fetch", "fetch", ("P", "helper"))


def test_private_functions_are_helpers():
    """A function whose name begins with an underscore is no definition, wherever it stands."""
    source = "def fetch(city): return _load(city)\ndef _load(city): ...\n"

    assert find_definition(source, "activity").function == "fetch"


def test_nested_functions_are_not_looked_at():
    """Only the top level of the cell counts."""
    source = "def make():\n    def inner(): ...\nif True:\n    def other(): ...\n"

    assert find_definition(source, "activity").function == "make"


def test_name_renames_the_last_function():
    """A name that no function of the cell has is the definition's alone."""
    found = find_definition("def helper(): ...\ndef fetch(): ...\n", "activity", "load")

    assert (found.function, found.name) == ("fetch", "load")


def test_name_chooses_a_function():
    """A name that a function of the cell has chooses that function, even a private one."""
    source = "def _fetch(): ...\ndef later(): ...\n"

    found = find_definition(source, "activity", "_fetch")

    assert found == ("_fetch", "_fetch", ("later",))


def test_a_function_defined_twice_is_no_helper_of_itself():
    """Python keeps the later one; so do we."""
    found = find_definition("def f(): ...\ndef f(): ...\n", "activity")

    assert found == ("f", "f", ())


@pytest.mark.parametrize(
    ("source", "defined"),
    [
        ("def helper(): ...\nclass Account: ...\n", ("Account", "Account", ("helper",))),
        ("class Item: ...\ndef cart(ctx, input): ...\n", ("cart", "cart", ("Item",))),
        ("class Account: ...\nclass _Entry: ...\n", ("Account", "Account", ("_Entry",))),
    ],
)
def test_an_entity_is_a_class_or_a_function(source: str, defined: tuple[object, ...]):
    """The last class or function of the cell is the entity."""
    assert find_definition(source, "entity") == defined


def test_a_cell_without_an_entity_is_refused():
    """The example is one of an entity."""
    with pytest.raises(DefinitionError, match="one class or function") as caught:
        find_definition("class _Account: ...\n", "entity")

    assert "class Account: ..." in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "nothing with def"),
        ("f = lambda x: x\n", "nothing with def"),
        ("class C: ...\n", "classes only"),
        ("def _f(): ...\n", "underscore"),
    ],
)
def test_a_cell_without_a_function_is_refused(source: str, said: str):
    """The error says what was found instead, and shows how it is done."""
    with pytest.raises(DefinitionError, match=said) as caught:
        find_definition(source, "orchestrator")

    assert "async def report(ctx, cities)" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("5s", 5),
        (" 1.5 s ", 1.5),
        ("100ms", 0.1),
        ("2m", 120),
        ("2 min", 120),
        ("1h", 3600),
        ("1D", 86400),
        (".5s", 0.5),
        (3, 3),
        (timedelta(minutes=1), 60),
    ],
)
def test_times(text: object, seconds: float):
    """Lengths of time are numbers of seconds, timedeltas, or text with a unit."""
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "-5", "five", "1 2s", "nan", -1, float("inf")])
def test_times_that_are_none(text: object):
    """What is no length of time is refused by name."""
    with pytest.raises(ArgumentError, match="length of time"):
        parse_seconds(text)


def test_retries_come_after_the_first_attempt():
    """Three retries are four attempts; a long delay is not cut by the longest one."""
    options = activity_options(retries=3, retry_delay="5m", timeout="1m", on="threads")

    assert options.max_attempts == 4
    assert options.retry_delay_s == options.retry_max_delay_s == 300
    assert (options.timeout_s, options.executor, options.max_parallel) == (60, "threads", 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "retries"),
        ({"backoff": 0.5}, "backoff"),
        ({"backoff": float("nan")}, "backoff"),
        ({"max_parallel": -2}, "max_parallel"),
        ({"on": "gpu", "executors": ("processes", "threads")}, "processes, threads, asyncio"),
        ({"on": "no name"}, "processes, threads, asyncio"),
        ({"heartbeat": "1ms"}, "heartbeat"),
        ({"start_within": 0}, "start_within"),
        ({"rate": "often"}, "no rate"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], said: str):
    """The error names the option."""
    with pytest.raises(ArgumentError, match=said):
        activity_options(**options)


def test_json_that_does_not_parse_is_pointed_at():
    """The caret stands below the character at which JSON ended."""
    with pytest.raises(ArgumentError) as caught:
        parse_json('{"a": 1,\n "b": nope}', "%durable start f 1")

    lines = str(caught.value).splitlines()
    assert "line 2, column 7" in lines[0]
    assert lines[1][lines[2].index("^")] == "n"
    assert "%durable start f 1" in lines[3]


def test_json_in_a_long_line_is_cut_around_the_place():
    """A long line is shown around the place only, and the caret still stands right."""
    with pytest.raises(ArgumentError) as caught:
        parse_json("[" + "1, " * 200 + "oops]", "1")

    lines = str(caught.value).splitlines()
    assert len(lines[1]) < 140
    assert lines[1][lines[2].index("^")] == "o"


@pytest.mark.parametrize("text", ["", " ", "[1,"])
def test_json_that_ends_too_early(text: str):
    """Text that ends too early is shown, too."""
    with pytest.raises(ArgumentError, match="no JSON"):
        parse_json(text, "1")


@pytest.mark.parametrize(
    ("text", "rest", "given"),
    [
        ("report [1]", "report [1]", {}),
        ("report [1] --id a-1", "report [1]", {"--id": ["a-1"]}),
        ("--id a-1 report [1]", "report [1]", {"--id": ["a-1"]}),
        ("report --id=a", "report", {"--id": ["a"]}),
        ('report ["--id x"]', 'report ["--id x"]', {}),
        ('"use --id x"', '"use --id x"', {}),
        ("--id a", "", {"--id": ["a"]}),
        ("[1] --tag a=1 --id x --tag b=2", "[1]", {"--id": ["x"], "--tag": ["a=1", "b=2"]}),
        ("--tag 'a=1 2' [1]", "[1]", {"--tag": ["a=1 2"]}),
        ("[1] --identity x", "[1] --identity x", {}),
    ],
)
def test_options_around_json(text: str, rest: str, given: dict[str, list[str]]):
    """Options are taken from either end; what looks like one inside JSON is left there."""
    assert take_options(text, ("--id", "--tag")) == (rest, given)


def test_options_before_a_name_only():
    """What follows the name is left to a second look, which knows where JSON begins."""
    found = take_options("--id a report --id b", ("--id",), is_before=True)

    assert found == ("report --id b", {"--id": ["a"]})


@pytest.mark.parametrize(
    "when",
    [
        "2026-11-21T18:00",
        "2026-11-21T19:00+01:00",
        "2026-11-21 18:00:00",
        datetime(2026, 11, 21, 18),
        datetime(2026, 11, 21, 19, tzinfo=timezone(timedelta(hours=1))),
        pd.Timestamp("2026-11-21T18:00", tz="UTC"),
    ],
)
def test_points_in_time(when: object):
    """A point in time is naive UTC, in whatever form it was given."""
    found = parse_time(when, "ago")

    assert found == datetime(2026, 11, 21, 18)
    assert type(found) is datetime


@pytest.mark.parametrize("length", ["90m", timedelta(minutes=90)])
def test_lengths_of_time_lead_from_now(length: object):
    """A length of time is counted back, or ahead, from now."""
    now = datetime.now(UTC).replace(tzinfo=None)

    assert abs(parse_time(length, "ago") - now + timedelta(minutes=90)) < timedelta(minutes=1)
    assert abs(parse_time(length, "from now") - now - timedelta(minutes=90)) < timedelta(minutes=1)


@pytest.mark.parametrize("when", ["soon", "99999999999d", 5, timedelta(days=999_999)])
def test_times_that_are_no_points_in_time(when: object):
    """What is no time, or beyond the calendar, is refused."""
    with pytest.raises(ArgumentError, match=r"time|calendar"):
        parse_time(when, "ago")


def test_tags():
    """A label is a name and a value, which may hold anything."""
    assert parse_tags(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for text in ("a", "=1"):
        with pytest.raises(ArgumentError, match="name=value"):
            parse_tags([text])


def test_what_may_be_replaced():
    """Statuses are named one by one, or as all final ones, or as all there are."""
    assert set(parse_replaceable("any")) == set(RuntimeStatus)
    assert all(one.is_terminal for one in parse_replaceable("finished"))
    assert parse_replaceable(["failed", RuntimeStatus.RUNNING]) == (
        RuntimeStatus.FAILED,
        RuntimeStatus.RUNNING,
    )
    assert parse_replaceable(()) == ()
    with pytest.raises(ArgumentError, match="no status 'always'"):
        parse_replaceable("always")


def test_statuses_by_name():
    """Upper and lower case are alike; a near miss is told."""
    assert parse_status("running") is RuntimeStatus.RUNNING
    with pytest.raises(ArgumentError, match="did you mean 'failed'"):
        parse_status("faild")
    assert parse_statuses("Failed") == parse_statuses(["failed"]) == (RuntimeStatus.FAILED,)
