"""Fixtures of the tests of the views: one browser a session, one page a test.

Playwright's loop occupies the thread it was started in, and the end-to-end tests have one of
their own: here pages, and the tests that use them, live in a thread apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.widgets.harness import Kernel, browser_page, launch


@pytest.fixture(scope="session")
def browser_thread() -> Iterator[ThreadPoolExecutor]:
    """The thread in which the browser of these tests is driven."""
    with ThreadPoolExecutor(1, "widgets browser") as thread:
        yield thread


@pytest.fixture(scope="session")
def widgets_browser(browser_thread: ThreadPoolExecutor) -> Iterator[Browser]:
    """A headless Chromium."""
    stack = ExitStack()

    def start() -> Browser:
        browser = launch(stack.enter_context(sync_playwright()))
        stack.callback(browser.close)
        return browser

    yield browser_thread.submit(start).result()
    browser_thread.submit(stack.close).result()


@pytest.fixture
def page(
    request: pytest.FixtureRequest, browser_thread: ThreadPoolExecutor, widgets_browser: Browser
) -> Iterator[Page]:
    """A page that has loaded the module; parametrize it with arguments of `browser_page`."""
    stack = ExitStack()
    opening = browser_page(widgets_browser, **getattr(request, "param", {}))
    yield browser_thread.submit(stack.enter_context, opening).result()
    browser_thread.submit(stack.close).result()


@pytest.fixture
def kernel(page: Page) -> Kernel:
    """The kernel's side of the page's view."""
    return Kernel(page)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Run a test that uses a page in the browser's thread."""
    if "page" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    thread = pyfuncitem.funcargs["browser_thread"]
    thread.submit(pyfuncitem.obj, **arguments).result()
    return True
