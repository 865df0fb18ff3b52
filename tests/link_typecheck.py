"""Lay the four folders out as the package `ipydurable`, for tools that read and do not import.

The folders are not named like the packages they hold, and mypy does not follow setuptools'
editable import hook; a tree of links under build/typecheck is what it can read.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def link_packages(target: Path) -> None:
    """Rebuild `target` as a tree of symbolic links that reads as the import package."""
    shutil.rmtree(target, ignore_errors=True)
    package = target / "ipydurable"
    package.mkdir(parents=True)
    for entry in (ROOT / "kernel_ext").iterdir():
        if entry.name != "__pycache__":
            (package / entry.name).symlink_to(entry)
    for folder in ("runtime", "store", "widgets"):
        (package / folder).symlink_to(ROOT / folder)


if __name__ == "__main__":
    link_packages(ROOT / "build" / "typecheck")
