"""What all errors of this package are; the tree of them is in `errors`."""

from __future__ import annotations

__all__ = ["DurableError", "DurableInternalError", "or_list"]


class DurableError(Exception):
    """Base of all errors of this package."""

    def _render_traceback_(self) -> list[str]:
        """Show the sentence without our own frames; IPython asks for this."""
        return [f"{type(self).__name__}: {self}"]


class DurableInternalError(DurableError):
    """A rule this package sets itself was broken: a bug here, not in the user's code."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what}. This is a bug in ipydurable; please report it."


def or_list(names: tuple[str, ...]) -> str:
    """Return names as people list them: `'a', 'b' or 'c'`."""
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]
