"""What all tests share: Hypothesis profiles, and a Jupyter and a home folder of the tests' own."""

import faulthandler
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

# Machines are shared and slow at times: a deadline per example would fail for no reason of ours.
hypothesis.settings.register_profile("dev", deadline=None)
# CI must give the same answer for the same commit.
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Have a crash show the thread it happened in, and no other.

    Pytest has asked for all threads. That is so long that of a kept log's end only a thread that
    waited can be read.
    """
    faulthandler.enable(os.dup(2), all_threads=False)


@pytest.fixture(scope="session", autouse=True)
def private_jupyter() -> Iterator[Path]:
    """Keep tests out of the person's own Jupyter folders, and end what they leave running.

    Hosts outlive kernels and tests on purpose. Whatever still runs at the end of the session and
    carries this session's folders in its environment was started by it, and is stopped.
    """
    with (
        # Short, because socket paths may have 107 bytes at most.
        tempfile.TemporaryDirectory(prefix="ipyd-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            path = Path(folder, name.lower())
            path.mkdir(mode=0o700)
            patch.setenv(name, str(path))
        patch.setenv("IPYDURABLE_TEST_SESSION", folder)
        yield Path(folder)
        _stop_processes_of(folder)


def _stop_processes_of(session: str) -> None:
    """Stop every process, other than this one, that inherited the session's environment."""
    left = []
    for process in psutil.process_iter():
        try:
            inherited = process.environ().get("IPYDURABLE_TEST_SESSION") == session
        except psutil.Error:  # it ended while we looked, or belongs to someone else
            continue
        if inherited and process.pid != os.getpid():
            left.append(process)
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=5)
    for process in stubborn:
        process.kill()
