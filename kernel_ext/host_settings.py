"""Settings of the background host, as `%config DurableMagics` has them.

A host reads them from its environment when it starts: `kernel_ext/host_main.py`.
"""

from __future__ import annotations

import os
from typing import Any, Final

from traitlets import Bool, Float, HasTraits, Int, default, observe

from .display import Line, show

__all__ = ["HostSettings"]

_VARIABLES: Final = {
    "resident": "IPYDURABLE_RESIDENT",
    "turn_limit": "IPYDURABLE_TURN_LIMIT_S",
    "strict_replay": "IPYDURABLE_STRICT_REPLAY",
}


class HostSettings(HasTraits):
    """What the next host that is started here is told; one that runs keeps what it was told."""

    # A value like the first one given here is no change to traitlets; so these are the usual ones.
    resident = Int(
        10_000,
        min=0,
        help="How many waiting instances keep their code in memory; 0: each step is a replay.",
    ).tag(config=True)
    turn_limit = Float(
        1.0,
        min=0.01,
        help="Seconds orchestrator code may run without waiting before its instance is parked.",
    ).tag(config=True)
    strict_replay = Bool(
        False,
        help="Whether an instance whose code no longer fits its history fails instead of parking.",
    ).tag(config=True)

    @default("resident")
    def _resident(self) -> int:
        return int(os.environ.get(_VARIABLES["resident"], "10000"))

    @default("turn_limit")
    def _turn_limit(self) -> float:
        return float(os.environ.get(_VARIABLES["turn_limit"], "1"))

    @default("strict_replay")
    def _strict_replay(self) -> bool:
        return os.environ.get(_VARIABLES["strict_replay"], "") not in ("", "0")

    @observe(*_VARIABLES)
    def _on_setting(self, change: Any) -> None:
        value = change["new"]
        text = str(int(value)) if isinstance(value, bool) else str(value)
        os.environ[_VARIABLES[change["name"]]] = text
        if self.__dict__.get("session") is not None:  # None while the configuration is being read
            detail = "is for the next host: %durable stop ends this one, and what runs goes on"
            show(Line("setting", f"{change['name']} = {value}", detail))
