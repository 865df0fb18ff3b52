"""Shows the output of an attempt below a cell, as if the cell itself had printed it."""

# as IPython's functions are:
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import sys

from ipydurable.runtime.core.output import AttemptOutput, OutputItem
from ipydurable.runtime.signing import load_signer

__all__ = ["show_output"]


def show_output(output: AttemptOutput) -> None:
    """Print and display the pieces of an attempt's output, in order.

    Displays that were not stored with this user's key are shown as text.
    """
    for item in output.items:
        if item.dropped:
            print(f"\n[... {item.dropped:,} characters left out ...]")  # noqa: T201
        if item.kind == "display" and item.data:
            _display(item)
        else:
            stream = sys.stdout if item.kind in ("stdout", "display") else sys.stderr
            print(item.text, end="\n" if item.kind == "display" else "", file=stream, flush=True)


def _display(item: OutputItem) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    # What a cell publishes the page trusts: HTML out of somebody else's store could run script.
    if not InteractiveShell.initialized() or not load_signer().trusts_display(item):
        print(item.text)  # noqa: T201
        return
    from IPython.display import publish_display_data

    publish_display_data(data=dict(item.data), metadata=dict(item.metadata))
