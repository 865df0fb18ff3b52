"""Forms as HTML and as text that need no kernel: what was asked, and what was answered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from ipydurable.runtime.core.asked_forms import AskedField

from .form_model import FormView
from .views import PREVIEW_CHARS, shorten

__all__ = ["SIGNS", "STATE_WORDS", "forms_html", "forms_text", "outcome_words"]

SIGNS = {"open": "?", "answered": "✓", "expired": "‖", "withdrawn": "⊘", "ended": "⊘"}
STATE_WORDS = {
    "open": "open",
    "answered": "answered",
    "expired": "expired, nobody answered in time",
    "withdrawn": "withdrawn, the code does not wait for it any more",
    "ended": "not answered before the instance ended",
}
_COLOURS = {
    "open": "#3a7fd5",
    "answered": "#2b9457",
    "expired": "#b07a00",
    "withdrawn": "#858a93",
    "ended": "#858a93",
}
_BOX = "margin:6px 0;padding:6px 10px;border:1px solid rgba(128,128,128,.4);border-radius:4px"
_TEXT_CHARS = 2_000
_DIM = "opacity:.7"
_LABEL = "display:inline-block;min-width:130px;opacity:.7"
_KINDS = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no",
    "date": "a date",
}


def forms_html(forms: Iterable[FormView]) -> list[str]:
    """Return forms as pieces of self-contained HTML; text of users stays text."""
    return [_html(form) for form in forms]


def forms_text(forms: Iterable[FormView]) -> list[str]:
    """Return forms as lines of text."""
    lines = []
    for form in forms:
        title = (form.form.title or form.name) + (f" in {form.instance}" if form.instance else "")
        lines.append(f"  {SIGNS[form.state]} {title}: {outcome_words(form)}")
        if form.state == "open":
            asked = [one for one in form.form.fields if one.name] or form.form.fields
            lines += [f"      {one.words}: {_wanted(one)}".replace(" : ", " ") for one in asked]
    return lines


def outcome_words(form: FormView) -> str:
    """Return what became of a form, in words."""
    if form.state == "open":
        until = f", open until {_clock(form.until)}" if form.until is not None else ""
        return f"asked since {_clock(form.since)}{until}"
    words = STATE_WORDS[form.state]
    if form.state == "answered":
        said = ", ".join(f"{label}: {text}" if label else text for label, text in form.answer)
        words = f"{words} {said}" if said else words
        words += f", by {form.by}" if form.by else ""
    return words + (f", {_clock(form.closed)}" if form.closed is not None else "")


def _html(form: FormView) -> str:
    colour = _COLOURS[form.state]
    title = escape(form.form.title or form.name)
    if form.instance:
        title += f' <span style="{_DIM};font-weight:400">in {escape(form.instance)}</span>'
    sign = f'<b style="color:{colour}">{SIGNS[form.state]}</b>'
    parts = [f'<div style="{_BOX}"><div>{sign} <b>{title}</b></div>']
    if form.form.text and form.state == "open":
        parts.append(
            f'<div style="white-space:pre-line">{escape(form.form.text[:_TEXT_CHARS])}</div>'
        )
    rows: list[tuple[str, str]] = []
    if form.state == "answered":
        rows = [(label, f"<b>{escape(text or '—')}</b>") for label, text in form.answer]
    elif form.state == "open":
        fields = form.form.fields
        rows = [
            (one.words, f'<span style="{_DIM}">{escape(_wanted(one))}</span>') for one in fields
        ]
    for label, text in rows:
        what = f'<span style="{_LABEL}">{escape(label)}</span> ' if label else ""
        parts.append(f'<div style="white-space:pre-line">{what}{text}</div>')
    plain = outcome_words(form)
    if form.state == "answered":
        by = f" by {form.by}" if form.by else ""
        at = f", {_clock(form.closed)}" if form.closed is not None else ""
        plain = f"answered{by}{at}"
    parts.append(f'<div style="{_DIM};font-size:12px">{escape(plain)}</div></div>')
    return "".join(parts)


def _wanted(field: AskedField) -> str:
    if field.kind == "choice":
        return shorten(" | ".join(one.words for one in field.choices), PREVIEW_CHARS)
    return _KINDS[field.kind]


def _clock(at_ms: int | None) -> str:
    at = datetime.fromtimestamp((at_ms or 0) / 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
