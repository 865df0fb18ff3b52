"""Forms in their states, in the timeline."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.pictures.picture import Picture
from tests.pictures.timeline import stored, told
from tests.widgets.form_stories import REVIEW, asking, escalated, reviewed
from tests.widgets.harness import Kernel
from tests.widgets.scenarios import Story


def review() -> Story:
    """A review that waits to be written."""
    return asking(REVIEW, None)


def unfinished(page: Page, kernel: Kernel) -> None:
    """Send a form that is not complete."""
    page.fill(".ipd-form input[type=number]", "9")
    page.click("text=Send review")


PICTURES = [
    Picture("form-choice", "timeline", told(asking, 90)),
    Picture("form-choice-dark", "timeline", told(asking, 90), dark=True),
    Picture("form-fields", "timeline", told(review, 90)),
    Picture("form-fields-dark", "timeline", told(review, 90), dark=True),
    Picture("form-fields-narrow", "timeline", told(review, 90), width=380),
    Picture("form-problems", "timeline", told(review, 90, unfinished)),
    Picture("form-answered", "timeline", told(reviewed, 60)),
    Picture("form-escalated", "timeline", told(escalated, 200)),
    Picture("form-stored", "timeline", stored(escalated, 400)),
    Picture("form-stored-open", "timeline", stored(review, 90), dark=True),
]
