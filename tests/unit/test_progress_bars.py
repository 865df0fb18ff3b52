"""tqdm loops in activities, with the real tqdm in a worker process, a thread and an event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ipydurable.runtime.executors import AsyncioExecutor, ProcessExecutor, ThreadExecutor
from ipydurable.runtime.ports import Progress
from tests.support.attempts import Watcher, request_for


@pytest.fixture(params=[ProcessExecutor, ThreadExecutor, AsyncioExecutor])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Watcher]:
    """Each executor in turn."""
    executor = request.param(1)
    yield Watcher(executor)
    executor.close()


@pytest.mark.parametrize("module", ["tqdm", "tqdm.auto", "tqdm.notebook", "tqdm.std"])
def test_a_loop_shows_as_progress_and_prints_nothing(anywhere: Watcher, module: str) -> None:
    told: list[Progress] = []
    anywhere.executor.progress = lambda _, progress: told.append(progress)
    source = f"""
        from {module} import tqdm
        def work(n):
            return sum(tqdm(range(n), desc="rows", mininterval=0, miniters=1))
    """
    outcome = anywhere.run(request_for(source, 5))
    assert outcome.failure is None
    assert outcome.result == "10"
    assert outcome.output is None
    assert told[-1] == Progress(5.0, 5.0, "rows")


@pytest.mark.parametrize("module", ["tqdm", "tqdm.notebook"])
def test_of_bars_within_bars_the_outermost_shows(anywhere: Watcher, module: str) -> None:
    told: list[Progress] = []
    anywhere.executor.progress = lambda _, progress: told.append(progress)
    source = f"""
        from {module} import tqdm, trange
        def work(n):
            for _ in trange(n, desc="epochs", mininterval=0):
                for _ in tqdm(range(3), desc="batches", mininterval=0, leave=False):
                    pass
    """
    outcome = anywhere.run(request_for(source, 4))
    assert outcome.failure is None
    assert outcome.output is None
    assert {progress.note for progress in told} == {"epochs"}
    assert told[-1].done == 4


@pytest.mark.parametrize("module", ["tqdm", "tqdm.notebook"])
def test_what_a_loop_writes_itself_is_output(anywhere: Watcher, module: str) -> None:
    source = f"""
        from {module} import tqdm
        def work(n):
            for i in tqdm(range(n)):
                tqdm.write(f"row {{i}}")
    """
    outcome = anywhere.run(request_for(source, 2))
    assert outcome.failure is None
    assert outcome.output is not None
    assert outcome.output.text == "row 0\nrow 1\n"


@pytest.mark.parametrize("module", ["tqdm", "tqdm.notebook"])
def test_a_bar_that_is_moved_by_hand_and_used_again_shows(anywhere: Watcher, module: str) -> None:
    told: list[Progress] = []
    anywhere.executor.progress = lambda _, progress: told.append(progress)
    source = f"""
        from {module} import tqdm
        def work():
            with tqdm(total=3, desc="first", mininterval=0) as bar:
                bar.update(3)
                bar.reset(total=7)
                bar.set_description("second")
                bar.update(7)
    """
    outcome = anywhere.run(request_for(source))
    assert outcome.failure is None
    assert outcome.output is None
    assert told[-1] == Progress(7.0, 7.0, "second")
