"""An ordinary disk: adds time to every fsync of the processes that are started from here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["slow_disk"]

_SOURCE = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slow(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    usleep(DELAY_US);
    return real(fd);
}
int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
"""


@contextmanager
def slow_disk(delay_ms: float) -> Iterator[None]:
    """Have every fsync take `delay_ms` longer in processes started meanwhile (Linux, with a cc)."""
    if delay_ms <= 0:
        yield
        return
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("a slow disk needs a C compiler (cc or gcc) on the PATH")
    with tempfile.TemporaryDirectory(prefix="ipydurable-bench-") as folder:
        source, library = Path(folder) / "slow.c", Path(folder) / "slow.so"
        source.write_text(_SOURCE)
        delay = f"-DDELAY_US={int(delay_ms * 1000)}"
        command = [
            compiler,
            "-shared",
            "-fPIC",
            "-O1",
            delay,
            str(source),
            "-o",
            str(library),
            "-ldl",
        ]
        subprocess.run(command, check=True)
        before = os.environ.get("LD_PRELOAD")
        os.environ["LD_PRELOAD"] = f"{library}:{before}" if before else str(library)
        try:
            yield
        finally:
            if before is None:
                del os.environ["LD_PRELOAD"]
            else:
                os.environ["LD_PRELOAD"] = before
