"""What runs found so far, so that one can go on where another was interrupted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .making import Mutant

__all__ = ["Outcomes"]


class Outcomes:
    """Mutants that tests noticed, in a file with a line for each.

    A mutant is known by its changed function: any other change of that makes it a new one.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noticed_by: dict[str, str] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._noticed_by.update([json.loads(line)])

    def noticed_by(self, mutant: Mutant) -> str:
        """Return what noticed a mutant; empty where nothing is known to."""
        return self._noticed_by.get(_key(mutant), "")

    def add(self, mutant: Mutant, noticed_by: str) -> None:
        """Keep what noticed a mutant, also for other runs."""
        self._noticed_by[_key(mutant)] = noticed_by
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([_key(mutant), noticed_by]) + "\n")


def _key(mutant: Mutant) -> str:
    what = mutant.path, mutant.function, mutant.text
    return hashlib.sha256("\n".join(what).encode()).hexdigest()
