"""The two lengths of time in scenarios; imported by the code that travels to the host."""

from datetime import timedelta

__all__ = ["LONG", "TICK"]

TICK = timedelta(milliseconds=40)
"""Short enough to be waited for in real time."""

LONG = timedelta(days=30)
"""Never over while a test runs, unless a virtual clock is moved."""
