"""The card of an entity without a kernel: HTML that needs no script, and text for terminals."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from .entity_model import EntityHead, EntityModel, Happening
from .layout import duration_words
from .state_tree import tree_html

__all__ = ["changes_words", "entity_html", "entity_text", "happening_words"]

_DONE_SHOWN = 15
_DONE_IN_TEXT = 5
_QUEUE_SHOWN = 5
_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);line-height:1.6"
)
_MUTED = "opacity:.7"
_CELL = "text-align:left;padding:1px 16px 1px 0;border:0;vertical-align:top"
_WRAPPED = "overflow-wrap:anywhere"
_LAST = "last operations (times in UTC)"
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace)"
_SIGNS = {"completed": "✓", "failed": "✗", "running": "‖"}


def entity_html(model: EntityModel) -> str:
    """Return the card as HTML; what holds others opens and closes."""
    head = model.head()
    rows = [_row(node.name, tree_html(node)) for node in model.state()]
    rows += [_row(label, escape(words)) for label, words in _facts(head)]
    table = "border-collapse:collapse;margin:2px 0 0"
    html = (
        f'<div class="ipd-entity-stored" style="{_FONT}"><b>{escape(head.title)}</b>'
        f'<table style="{table};{_FONT}">{"".join(rows)}</table>'
    )
    done = model.happenings()[::-1][:_DONE_SHOWN]
    if done:
        inside = "".join(_done_row(one) for one in done)
        html += (
            f'<details open><summary style="cursor:pointer;{_MUTED}">{_LAST}</summary>'
            f'<table style="{table};{_FONT}">{inside}</table></details>'
        )
    return html + "</div>"


def entity_text(model: EntityModel) -> str:
    """Return the card as lines of text."""
    head = model.head()
    found = [*model.state_words(), *_facts(head)]
    width = max((len(label) for label, _ in found), default=0)
    text = [head.title, *(f"  {one:<{width}}  {two}" for one, two in found)]
    done = model.happenings()[::-1][:_DONE_IN_TEXT]
    if done:
        text += [
            f"  {_LAST}",
            *(f"    {happening_words(one)}" for one in done),
        ]
    return "\n".join(text)


def happening_words(one: Happening) -> str:
    """Return a happening in a line."""
    parts = [_SIGNS[one.state], _clock(one.at), _title(one)]
    if one.result:
        parts.append(f"{'→' if one.state == 'completed' else '✗'} {one.result}")
    if one.changes:
        parts.append(f"· {changes_words(one)}")
    parts.append(f"· {_who(one)}")
    if one.took is not None:
        parts.append(f"· {duration_words(one.took)}")
    return " ".join(parts)


def changes_words(one: Happening) -> str:
    """Return what a happening changed: `balance 5 → 7`."""
    words = [
        f"{name} = {after}" if before is None else f"{name} {before} → {after}"
        for name, before, after in one.changes
    ]
    if one.more_changes:
        words.append(f"{one.more_changes} more")
    found = ", ".join(words)
    return f"{found} (with {one.together} before it)" if one.together and found else found


def _facts(head: EntityHead) -> list[tuple[str, str]]:
    if not head.exists:
        return [("state", "none: nothing has reached it yet")]
    lock = head.locked_by
    if lock and head.locked_at is not None:
        lock += f", since {_time(head.locked_at)}"
    queue = ", ".join(head.lock_queue[:_QUEUE_SHOWN])
    more = len(head.lock_queue) - _QUEUE_SHOWN
    facts = [
        ("state", "" if head.has_state else "none"),
        ("kept aside", ", ".join(f"{name}={value}" for name, value in head.kept_aside)),
        ("locked by", lock),
        ("next in line", queue + (f" and {more:,} more" if more > 0 else "")),
        ("waiting", f"{head.pending} message{'s' * (head.pending != 1)}" * bool(head.pending)),
        ("modified", "" if head.modified is None else _time(head.modified)),
    ]
    return [(label, words) for label, words in facts if words]


def _done_row(one: Happening) -> str:
    took = "" if one.took is None else f" · {duration_words(one.took)}"
    result = f"→ {one.result}" if one.result and one.state == "completed" else one.result
    effect = "; ".join(part for part in (result, changes_words(one)) if part)
    cells = [
        f'<td style="{_CELL}">{_SIGNS[one.state]}</td>',
        f'<td style="{_CELL};{_MONO};{_WRAPPED}">{escape(_title(one))}</td>',
        f'<td style="{_CELL};{_WRAPPED}">{escape(effect)}</td>',
        f'<td style="{_CELL};{_MUTED};{_WRAPPED};min-width:8em">{escape(_who(one))}</td>',
        f'<td style="{_CELL};{_MUTED};white-space:nowrap">{_clock(one.at)}{escape(took)}</td>',
    ]
    return f'<tr style="background:none">{"".join(cells)}</tr>'


def _title(one: Happening) -> str:
    if one.kind == "lock":
        return "locked" if one.state == "running" else "was locked"
    return f"{one.name}({one.input})"


def _who(one: Happening) -> str:
    return f"by {one.who}" if one.who else "by a client"


def _clock(ms: float) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}"


def _time(ms: float) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _row(label: str, inside: str) -> str:
    return (
        f'<tr style="background:none"><td style="{_CELL};{_MUTED};white-space:nowrap">'
        f'{escape(label)}</td><td style="{_CELL};{_WRAPPED}">{inside}</td></tr>'
    )
