"""Forms in the engine: who may answer what, once, also over a crash."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.core.errors import FormAnswerError, FormClosedError, UnknownInstanceError
from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.forms import Field, Form
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceUpdate
from ipydurable.runtime.requests import (
    AnswerForm,
    DescribeForms,
    DescribeOpen,
    GetInstance,
    RaiseEvent,
    Resume,
    Rewind,
    Suspend,
    Terminate,
)
from ipydurable.runtime.waits import OpenForm
from tests.support.world import START, World


@dataclass
class Approval:
    approved: bool
    limit: float = 100.0


async def approval(ctx: Any) -> Any:
    return await ctx.wait_for_external_event("approval", form=Form(Approval, title="Buy it?"))


async def patient(ctx: Any) -> Any:
    try:
        return await ctx.wait_for_external_event(
            "approval", form=["yes", "no"], timeout=timedelta(minutes=1)
        )
    except TimeoutError:
        return await ctx.wait_for_external_event("director", form={"limit": Field(int, minimum=1)})


async def twice(ctx: Any) -> Any:
    first = ctx.wait_for_external_event("approval", form=["yes", "no"])
    second = ctx.wait_for_external_event("Approval", form={"limit": int})
    return await ctx.when_all([first, second])


async def broken(ctx: Any) -> Any:
    return 1 / await ctx.wait_for_external_event("number", form={"n": int})


async def fragile(ctx: Any) -> Any:
    asked = ctx.wait_for_external_event("approval", form=bool)
    await ctx.call_activity("fail")
    return await asked


async def parent(ctx: Any) -> Any:
    return await ctx.call_sub_orchestrator("patient", instance_id="child")


async def grandparent(ctx: Any) -> Any:
    with contextlib.suppress(Exception):
        await ctx.call_sub_orchestrator("parent", instance_id="middle")
    return await ctx.wait_for_external_event("go")


def fail() -> None:
    raise ValueError("not yet")


@pytest.fixture(params=[10_000, 0], ids=["resident", "evicted"])
def world(request: pytest.FixtureRequest) -> World:
    world = World(resident=request.param)
    for one in (approval, patient, twice, broken, fragile, parent, grandparent):
        world.orchestrator(one)
    world.define(fail)
    return world


def forms(world: World, *instance_ids: str) -> list[OpenForm]:
    found: list[OpenForm] = world.ask(DescribeForms(instance_ids=list(instance_ids)))
    return found


def answer(world: World, values: Any, form: OpenForm | None = None, **more: Any) -> None:
    form = form or forms(world)[0]
    world.ask(
        AnswerForm(
            instance_id=form.instance_id,
            form_id=form.form_id,
            values=msgspec.json.encode(values).decode(),
            **more,
        )
    )


def raised(world: World) -> list[EventRaised]:
    return [row.event for row in world.store.history(1) if isinstance(row.event, EventRaised)]


def output(world: World, instance_id: str = "one") -> Any:
    record = world.ask(GetInstance(instance_id=instance_id))
    assert record.status is RuntimeStatus.COMPLETED
    return msgspec.json.decode(record.output)


def test_an_open_form_is_told_with_all_that_is_needed_to_show_it(world: World) -> None:
    world.clock.advance(timedelta(seconds=7))
    world.start("patient")
    (form,) = forms(world, "one", "unknown")
    assert (form.instance_id, form.orchestrator, form.name) == ("one", "patient", "approval")
    assert form.since == START + timedelta(seconds=7)
    assert form.until == START + timedelta(seconds=67)
    assert [choice.value for choice in form.form.fields[0].choices] == ["yes", "no"]
    world.start("approval", instance_id="two")
    assert [one.instance_id for one in forms(world)] == ["one", "two"]


def test_what_is_answered_is_raised_in_the_shape_that_was_asked_for(world: World) -> None:
    world.start("approval")
    answer(world, {"approved": "yes"}, by="people.ipynb")
    fields = {"approved": True, "limit": 100.0}
    assert output(world) == {"$dataclass": f"{__name__}:Approval", "fields": fields}
    assert [one.by for one in raised(world)] == ["people.ipynb"]
    assert forms(world) == []


def test_what_does_not_fit_is_refused_and_the_form_stays_open(world: World) -> None:
    world.start("approval")
    with pytest.raises(FormAnswerError) as refused:
        answer(world, {"limit": "much", "colour": 1})
    assert refused.value.problems.keys() == {"approved", "limit", "colour"}
    answer(world, {"approved": False, "limit": 5})
    assert output(world)["fields"] == {"approved": False, "limit": 5.0}


@pytest.mark.parametrize("values", ["not json", '{"$unknown": 1}', None])
def test_what_cannot_be_read_is_refused(world: World, values: str | None) -> None:
    world.start("approval")
    form = forms(world)[0]
    with pytest.raises(FormAnswerError):
        world.ask(AnswerForm(instance_id="one", form_id=form.form_id, values=values))


def test_an_event_raised_by_code_answers_the_form(world: World) -> None:
    world.start("approval")
    with pytest.raises(FormAnswerError, match="approved: this is needed"):
        world.raise_event("APPROVAL", {"limit": 3})
    with pytest.raises(FormAnswerError, match="Approval with approved, limit is wanted"):
        world.raise_event("approval")
    world.raise_event("APPROVAL", {"approved": True})
    assert output(world)["fields"] == {"approved": True, "limit": 100.0}


def test_an_event_of_another_name_is_nobody_s_business(world: World) -> None:
    world.start("approval")
    world.raise_event("whatever", "anything")
    assert len(forms(world)) == 1


def test_each_of_two_forms_of_one_event_gets_its_own_answer(world: World) -> None:
    world.start("twice")
    first, second = forms(world)
    answer(world, {"limit": 3}, second)
    world.raise_event("approval", "yes")
    assert output(world) == ["yes", {"limit": 3}]
    with pytest.raises(FormClosedError, match="'approval' of 'one' is not open: it was answered"):
        answer(world, "yes", first)


def test_a_form_that_is_closed_says_how(world: World) -> None:
    world.start("twice")
    first, second = forms(world)
    answer(world, "yes", first, by="a.ipynb")
    with pytest.raises(FormClosedError, match=r"answered by a\.ipynb at 2026-01-01 00:00:00 UTC"):
        answer(world, "no", first)
    world.ask(Terminate(instance_id="one"))
    with pytest.raises(FormClosedError, match="its instance has ended"):
        answer(world, {"limit": 1}, second)
    nowhere = msgspec.structs.replace(first, form_id="other")
    with pytest.raises(FormClosedError, match="there is no such form"):
        answer(world, "no", nowhere)
    with pytest.raises(UnknownInstanceError):
        answer(world, "no", msgspec.structs.replace(first, instance_id="nobody"))


def test_a_form_expires_with_its_timeout(world: World) -> None:
    world.start("patient")
    (form,) = forms(world)
    world.clock.advance(timedelta(minutes=2))
    world.settle()
    with pytest.raises(FormClosedError, match="its time was over at 2026-01-01 00:02:00 UTC"):
        answer(world, "yes", form)
    (escalated,) = forms(world)
    assert escalated.name == "director"
    with pytest.raises(FormAnswerError, match="limit: it must be at least 1"):
        answer(world, {"limit": 0}, escalated)
    answer(world, {"limit": "12"}, escalated)
    assert output(world) == {"limit": 12}


def test_forms_are_open_again_after_a_crash(world: World) -> None:
    world.start("approval")
    before = forms(world)
    world.crash()
    assert forms(world) == before
    answer(world, {"approved": True}, before[0])
    assert output(world)["fields"]["approved"] is True


def test_an_answer_that_was_not_acknowledged_may_be_sent_again(world: World) -> None:
    world.start("twice")
    first, second = forms(world)
    answer(world, "yes", first, request_id="r1")
    answer(world, "yes", first, request_id="r1")
    world.crash()
    answer(world, "yes", first, request_id="r1")
    answer(world, {"limit": 1}, second, request_id="r2")
    assert output(world) == ["yes", {"limit": 1}]
    answer(world, {"limit": 1}, second, request_id="r2")
    assert len(raised(world)) == 2


def test_a_refused_event_may_be_sent_again_once_it_is_mended(world: World) -> None:
    world.start("approval")
    for data in ("{}", '{"approved":true}'):
        request = RaiseEvent(instance_id="one", name="approval", data=data, request_id="r1")
        if data == "{}":
            with pytest.raises(FormAnswerError):
                world.ask(request)
        else:
            world.ask(request)
    assert output(world)["fields"]["approved"] is True


def test_a_suspended_instance_takes_one_answer_when_it_is_resumed(world: World) -> None:
    world.start("approval")
    (form,) = forms(world)
    world.ask(Suspend(instance_id="one"))
    assert forms(world) == [form]
    answer(world, {"approved": True}, form)
    assert forms(world) == []
    with pytest.raises(FormClosedError, match="taken once the instance is resumed"):
        answer(world, {"approved": False}, form)
    world.crash()
    assert forms(world) == []
    world.ask(Resume(instance_id="one"))
    world.settle()
    assert output(world)["fields"]["approved"] is True


def test_a_rewind_opens_the_form_again(world: World) -> None:
    world.start("fragile")
    world.work()
    assert forms(world) == []
    world.executor.functions[("fail", "v1")] = lambda: None
    world.ask(Rewind(instance_id="one"))
    world.work()
    answer(world, "Yes")
    assert output(world) is True


def test_a_wait_says_since_when(world: World) -> None:
    world.start("approval")
    world.clock.advance(timedelta(hours=2))
    world.raise_event("other")
    (task,) = world.ask(DescribeOpen(instance_ids=["one"]))["one"]
    assert (task.kind, task.name, task.since) == ("external event", "approval", START)
    world.crash()
    (task,) = world.ask(DescribeOpen(instance_ids=["one"]))["one"]
    assert task.since == START


def _pass(world: World) -> None:
    """Let the engine work, and tell all that it has to tell."""
    world.work()
    world.advance(timedelta(seconds=1))
    world.work()
    world.service._readers.submit(lambda: None).result(timeout=5)


def _told(updates: list[InstanceUpdate]) -> list[tuple[str, str]]:
    """Return the forms of children that a follower knows of, and forget how it was told."""
    (*_, last) = [one.child_forms for one in updates if one.child_forms is not None]
    updates.clear()
    return [(form.instance_id, form.name) for form in last]


def test_who_follows_a_parent_is_told_of_its_childrens_forms(world: World) -> None:
    """Of those below them too: as they open and close, and nothing of them otherwise."""
    world.start("grandparent")
    world.work()
    updates: list[InstanceUpdate] = []
    world.service.subscribe("one", updates.append)
    _pass(world)
    assert _told(updates) == [("child", "approval")]
    world.clock.advance(timedelta(minutes=1))
    _pass(world)
    assert _told(updates) == [("child", "director")]
    world.ask(Suspend(instance_id="one", reason="lunch"))
    world.ask(Resume(instance_id="one"))
    _pass(world)
    assert [one.child_forms for one in updates] == [None] * len(updates)
    assert updates
    answer(world, {"limit": 5})
    _pass(world)
    assert _told(updates) == []


def test_a_child_that_is_ended_asks_nothing_any_more(world: World) -> None:
    """Though its form was never closed in its history."""
    world.start("grandparent")
    world.work()
    updates: list[InstanceUpdate] = []
    world.service.subscribe("one", updates.append)
    _pass(world)
    assert _told(updates) == [("child", "approval")]
    world.ask(Terminate(instance_id="child"))
    _pass(world)
    assert _told(updates) == []
