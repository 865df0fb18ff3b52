"""Fixtures of the end-to-end tests: one JupyterLab and one browser a session, one page a test."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import REMEDY, find_browser
from tests.e2e.lab import CHROME_ARGS, LabPage, LabServer, run_lab

ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as end-to-end."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)
    # Playwright keeps an event loop running in this thread; nothing else may come after it.
    items.sort(key=lambda item: item.path.is_relative_to(here))


@pytest.fixture(scope="session")
def lab_server() -> Iterator[LabServer]:
    """A JupyterLab of this test session's own, on an empty folder."""
    # Not pytest's tmp_path: sockets live under here, and their paths may have 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as folder:
        root, home = Path(folder, "root"), Path(folder, "home")
        root.mkdir()
        home.mkdir(mode=0o700)
        with run_lab(root, home) as server:
            yield server


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    executable = find_browser()
    if executable is None:
        pytest.fail(REMEDY)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=CHROME_ARGS
        )
        yield browser
        browser.close()


@pytest.fixture
def artifacts(request: pytest.FixtureRequest) -> Path:
    """The folder where this test keeps what it wants a person to look at."""
    folder = ARTIFACTS / re.sub(r"[^\w.-]+", "_", request.node.name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def lab(lab_server: LabServer, browser, artifacts: Path) -> Iterator[LabPage]:
    """A fresh page on the session's JupyterLab; a picture of its end is kept."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = LabPage(context.new_page(), lab_server)
    try:
        yield page
        page.screenshot(artifacts / "end.png")
    finally:
        context.close()
        lab_server.start_over()
