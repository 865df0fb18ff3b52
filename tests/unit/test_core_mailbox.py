"""External events: each goes to one waiter, both in order, and none is lost."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.mailbox import Mailbox
from ipydurable.runtime.core.tasks import CancellableTask
from tests.support.core import at, raised

NAMES = ("go", "Go", "GO", "stop", "STOP")


def waiter(mailbox: Mailbox, name: str) -> CancellableTask[object]:
    task: CancellableTask[object] = CancellableTask(name, lambda task: mailbox.withdraw(name, task))
    return task


class TestOneEvent:
    def test_it_is_kept_until_somebody_asks_in_any_letters(self) -> None:
        mailbox = Mailbox()
        event = raised("Approval", 1)
        assert mailbox.put(event) is None
        assert mailbox.untaken() == [event]
        assert mailbox.take("APPROVAL", waiter(mailbox, "APPROVAL"), at(0)) is event
        assert mailbox.untaken() == []

    def test_it_goes_to_who_waits_for_that_name(self) -> None:
        mailbox = Mailbox()
        task = waiter(mailbox, "go")
        assert mailbox.take("go", task, at(0)) is None
        assert mailbox.put(raised("stop")) is None
        assert mailbox.put(raised("GO")) is task
        assert mailbox.awaited == {}

    def test_what_was_given_to_others_can_be_changed_without_harm(self) -> None:
        mailbox = Mailbox()
        mailbox.put(raised("go"))
        mailbox.untaken().clear()
        assert len(mailbox.untaken()) == 1


class TestWaiters:
    def test_names_are_shown_as_they_were_written_last(self) -> None:
        mailbox = Mailbox()
        for name in ("go", "Go", "stop"):
            mailbox.take(name, waiter(mailbox, name), at(0))
        assert tuple(mailbox.awaited) == ("Go", "stop")

    def test_one_who_withdraws_gets_nothing(self) -> None:
        mailbox = Mailbox()
        first, second = waiter(mailbox, "go"), waiter(mailbox, "go")
        mailbox.take("go", first, at(0))
        mailbox.take("go", second, at(0))
        mailbox.withdraw("GO", first)
        assert mailbox.put(raised("go")) is second

    def test_withdrawing_twice_or_without_waiting_does_nothing(self) -> None:
        mailbox = Mailbox()
        task = waiter(mailbox, "go")
        mailbox.withdraw("go", task)
        mailbox.take("go", task, at(0))
        mailbox.withdraw("go", task)
        mailbox.withdraw("go", task)
        assert mailbox.awaited == {}

    def test_only_the_next_in_line_counts_as_lost(self) -> None:
        mailbox = Mailbox()
        first, second = waiter(mailbox, "Go"), waiter(mailbox, "Go")
        mailbox.take("Go", first, at(0))
        mailbox.take("Go", second, at(0))
        second.has_lost = True
        assert mailbox.lost == ()
        first.has_lost = True
        assert mailbox.lost == ("Go",)
        mailbox.withdraw("Go", first)
        mailbox.withdraw("Go", second)
        assert mailbox.lost == ()


@settings(max_examples=60, stateful_step_count=30, deadline=None)
class MailboxModel(RuleBasedStateMachine):
    """A mailbox beside the plainest model: per name a list of events and a list of waiters."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = Mailbox()
        self.events: list[EventRaised] = []
        self.waiters: list[tuple[str, CancellableTask[object]]] = []
        self.count = 0

    @rule(name=st.sampled_from(NAMES))
    def put(self, name: str) -> None:
        self.count += 1
        event = EventRaised(timestamp=at(self.count), name=name)
        mine = [one for one in self.waiters if one[0].lower() == name.lower()]
        given = self.mailbox.put(event)
        if mine:
            assert given is mine[0][1]
            self.waiters.remove(mine[0])
        else:
            assert given is None
            self.events.append(event)

    @rule(name=st.sampled_from(NAMES))
    def take(self, name: str) -> None:
        task = waiter(self.mailbox, name)
        mine = [one for one in self.events if one.name.lower() == name.lower()]
        taken = self.mailbox.take(name, task, at(0))
        if mine:
            assert taken is mine[0]
            self.events.remove(mine[0])
        else:
            assert taken is None
            self.waiters.append((name, task))

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        name, task = data.draw(st.sampled_from(self.waiters))
        task.cancel()
        self.waiters.remove((name, task))

    @invariant()
    def nobody_waits_for_what_is_there(self) -> None:
        kept = {one.name.lower() for one in self.mailbox.untaken()}
        awaited = {name.lower() for name in self.mailbox.awaited}
        assert not kept & awaited
        assert self.mailbox.untaken() == self.events
        assert awaited == {name.lower() for name, _ in self.waiters}


TestModel = MailboxModel.TestCase
