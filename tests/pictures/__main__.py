"""`make pictures`: every state of every view, as the documentation shows them.

Each module beside this one with a list `PICTURES` takes part. Words after the command choose
pictures by the beginnings of their names.
"""

import importlib
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.pictures.picture import Picture, take
from tests.widgets.harness import launch

FOLDER = Path(__file__).parents[2] / "docs" / "images"


def all_pictures() -> list[Picture]:
    """Return the pictures of all views."""
    found: list[Picture] = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if not path.stem.startswith("_"):
            module = importlib.import_module(f"tests.pictures.{path.stem}")
            found.extend(getattr(module, "PICTURES", ()))
    return found


def main(wanted: list[str]) -> None:
    """Take the pictures whose names begin with one of `wanted`; all if there are none."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for picture in all_pictures():
            if not wanted or picture.name.startswith(tuple(wanted)):
                print(take(browser, picture, FOLDER).relative_to(FOLDER.parents[1]), flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
