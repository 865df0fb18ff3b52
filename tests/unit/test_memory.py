"""Freed memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

GROW_AND_FREE = """
import psutil
from ipydurable.runtime.memory import give_back_memory
texts = [bytes(1_000) for _ in range(100_000)]
kept = texts[::1_000]  # what stays is spread over the whole of it
full = psutil.Process().memory_full_info().uss
del texts
give_back_memory()
print((full - psutil.Process().memory_full_info().uss) / 1e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems return it by themselves")
def test_what_was_freed_between_what_is_still_used_goes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROW_AND_FREE], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 70
