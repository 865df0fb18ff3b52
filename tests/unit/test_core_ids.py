"""Ids of instances, entities, children and events: which there may be, and which never collide."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.context import OrchestrationContext
from ipydurable.runtime.core.entity_ids import EntityInstanceId, entity_id_of
from ipydurable.runtime.core.errors import InvalidInstanceIdError
from ipydurable.runtime.core.ids import (
    MAX_INSTANCE_ID_CHARS,
    check_event_name,
    check_instance_id,
    child_instance_id,
    derived_uuid,
)
from tests.support.core import raised, result, run, started


class TestInstanceIds:
    @pytest.mark.parametrize(
        "good", ["a", "report 2026-11-21", "Zürich:0001", "x" * MAX_INSTANCE_ID_CHARS, "a@b", "数"]
    )
    def test_what_people_write_is_accepted(self, good: str) -> None:
        assert check_instance_id(good) == good

    @pytest.mark.parametrize(
        ("bad", "rule"),
        [
            ("", "it must have 1 to 100 characters"),
            ("x" * 101, "it must have 1 to 100 characters"),
            ("@counter@a", "ids that begin with @ are those of entities"),
            ("a/b\\c", r"it must not contain '/' '\\'"),
            ("50%#?", "it must not contain '#' '?'"),
            ("two\nlines", r"it must not contain '\n'"),
            ("\x00", r"it must not contain '\x00'"),
            (7, "an instance id is a string"),
            (None, "an instance id is a string"),
        ],
    )
    def test_what_breaks_a_rule_is_refused_with_the_rule(self, bad: Any, rule: str) -> None:
        with pytest.raises(InvalidInstanceIdError) as refused:
            check_instance_id(bad)
        assert refused.value.rule == rule
        assert refused.value.instance_id == (bad if isinstance(bad, str) else repr(bad))

    @given(st.text(max_size=120))
    def test_whatever_is_accepted_fits_a_line_and_a_path_segment(self, text: str) -> None:
        try:
            check_instance_id(text)
        except InvalidInstanceIdError as error:
            assert error.rule
        else:
            assert text.isprintable()
            assert not set(text) & set("/\\#?")
            assert 1 <= len(text) <= MAX_INSTANCE_ID_CHARS

    @given(execution=st.uuids().map(str), task_id=st.integers(1, 2**20))
    def test_the_ids_of_children_are_ids_themselves(self, execution: str, task_id: int) -> None:
        assert check_instance_id(child_instance_id(execution, task_id))

    @given(st.sets(st.tuples(st.sampled_from(["e1", "e2"]), st.integers(1, 2**18)), min_size=2))
    def test_children_of_different_actions_or_executions_have_different_ids(
        self, actions: set[tuple[str, int]]
    ) -> None:
        assert len({child_instance_id(*one) for one in actions}) == len(actions)


class TestEventNames:
    @pytest.mark.parametrize("bad", ["", None, 5, b"go"])
    def test_a_name_is_text_of_some_length(self, bad: Any) -> None:
        with pytest.raises(ValueError, match="a string of at least one character"):
            check_event_name(bad)

    def test_waiting_and_sending_check_it_in_the_orchestrator(self) -> None:
        """Not in the engine, where the event would poison the history."""

        async def program(ctx: OrchestrationContext) -> Any:
            errors = []
            for ask in (ctx.wait_for_external_event, lambda name: ctx.send_event("other", name)):
                try:
                    ask(5)  # type: ignore[operator]
                except ValueError as error:
                    errors.append(str(error))
            return errors

        executor, _ = run(program, started())
        assert len(result(executor)) == 2

    def test_names_are_compared_by_their_letters_in_every_language(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.wait_for_external_event("STRASSE")

        executor, _ = run(program, started(), raised("straße", 1))
        assert result(executor) == 1


class TestDerivedUuids:
    def test_they_are_the_same_for_ever(self) -> None:
        """Recorded once: another derivation would break every instance in flight."""
        expected = uuid.UUID("a92966fa-ad66-5d9e-8285-3ce9dfcd7d69")
        assert derived_uuid("one", "e1", 1) == expected

    def test_each_draw_execution_and_instance_has_its_own(self) -> None:
        drawn = {
            derived_uuid(instance, execution, counter)
            for instance in ("one", "two")
            for execution in ("e1", "e2")
            for counter in (1, 2, 11)
        }
        assert len(drawn) == 12
        assert {one.version for one in drawn} == {5}


class TestEntityIds:
    def test_names_ignore_case_and_keys_do_not(self) -> None:
        assert EntityInstanceId("Counter", "a") == EntityInstanceId("COUNTER", "a")
        assert EntityInstanceId("Counter", "a") != EntityInstanceId("Counter", "A")

    @pytest.mark.parametrize("text", ["@counter@a", "Counter@a"])
    def test_both_spellings_are_read_and_one_is_written(self, text: str) -> None:
        assert str(EntityInstanceId.parse(text)) == "@counter@a"

    @given(
        name=st.text(min_size=1).filter(lambda one: "@" not in one),
        key=st.text(min_size=1),
    )
    def test_what_is_written_is_read_again(self, name: str, key: str) -> None:
        """Whatever the key: only the first @ after the name separates."""
        found = EntityInstanceId(name, key)
        assert EntityInstanceId.parse(str(found)) == found

    @pytest.mark.parametrize(
        ("name", "key", "says"),
        [
            ("", "a", "name must not be empty"),
            ("a@b", "a", "or contain '@': 'a@b'"),
            ("counter", "", "a string that is not empty, not ''"),
            ("counter", 7, "a string that is not empty, not 7"),
        ],
    )
    def test_what_breaks_a_rule_is_refused(self, name: str, key: Any, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            EntityInstanceId(name, key)

    @pytest.mark.parametrize("text", ["counter", "", "@", "@counter"])
    def test_text_that_names_no_entity_shows_how_to_write_one(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"write name@key|must not be empty"):
            EntityInstanceId.parse(text)

    def test_ids_text_and_handles_are_all_accepted(self) -> None:
        class Handle:
            entity_id = EntityInstanceId("counter", "a")

        for reference in (Handle.entity_id, "Counter@a", Handle()):
            assert entity_id_of(reference) == Handle.entity_id

    @pytest.mark.parametrize("wrong", [7, None, object()])
    def test_anything_else_is_refused_with_an_example(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=rf"Account\('alice'\).*{type(wrong).__name__}"):
            entity_id_of(wrong)

    def test_they_have_one_order_which_locks_are_taken_in(self) -> None:
        ids = [EntityInstanceId("b", "1"), EntityInstanceId("A", "2"), EntityInstanceId("a", "1")]
        assert [str(one) for one in sorted(ids)] == ["@a@1", "@a@2", "@b@1"]
