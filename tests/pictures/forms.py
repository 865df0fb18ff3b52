"""Forms in their states, in the timeline."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.pictures.picture import Picture
from tests.pictures.timeline import stored, told
from tests.widgets.form_stories import REVIEW, asking, asking_below, escalated, reviewed
from tests.widgets.harness import Kernel
from tests.widgets.scenarios import Story


def review() -> Story:
    """A review that waits to be written."""
    return asking(REVIEW, None)


def unfinished(page: Page, kernel: Kernel) -> None:
    """Send a form that is not complete."""
    page.fill(".ipd-form input[type=number]", "9")
    page.click("text=Send review")


def sent_without_host(page: Page, kernel: Kernel) -> None:
    """Answer while another host is being started."""
    kernel.widget.disconnect("The background host ended; another one is being started.")
    kernel.flush()
    kernel.settle()
    page.click("text=approve")
    page.wait_for_selector(".ipd-form-said:visible")


PICTURES = [
    Picture("form-of-child", "timeline", told(asking_below, 90)),
    Picture("form-sent-without-host", "timeline", told(asking, 90, sent_without_host)),
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
