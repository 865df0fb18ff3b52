"""A shell and a kernel with the extension loaded, one of each for a module of tests."""

import atexit
from collections.abc import Iterator

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from traitlets.config import Config

from ipydurable.functions import DECLARED, DurableFunction
from tests.kernel.shells import FETCH, REPORT, WAITS, Kernel, Shell


@pytest.fixture(autouse=True)
def what_is_declared(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have only what a test's own module declares be known: sessions send all that they know of.

    Other modules were imported before and may have declared others of the same names.
    """
    before = dict(DECLARED)
    mine = [one for one in vars(request.module).values() if isinstance(one, DurableFunction)]
    DECLARED.clear()
    DECLARED.update({(one.kind, one.name): one for one in mine})
    yield
    DECLARED.clear()
    DECLARED.update(before)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Return a shell with the extension loaded, in a folder of its own."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("shell"))
        shell = Shell(TerminalInteractiveShell.instance(config=config))
        shell.must("%load_ext ipydurable")
        shell.must(FETCH)
        shell.must(REPORT)
        yield shell
        shell.run("%durable stop")
        shell.run("%unload_ext ipydurable")
        shell.ip.restore_sys_module_state()
        atexit.unregister(shell.ip.atexit_operations)
        TerminalInteractiveShell.clear_instance()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Return a kernel with the extension loaded and two orchestrators defined."""
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    try:
        for cell in ("%load_ext ipydurable", FETCH, REPORT, WAITS):
            assert [one["kind"] for one in kernel.run(cell)] == ["display_data"]
        yield kernel
        kernel.run("%durable stop")
    finally:
        kernel.close()
