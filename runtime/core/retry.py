"""Retry policies: the next delay from given facts. No clock: times come from history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .failure import FailureDetails

__all__ = ["RetryOptions", "RetryPolicy"]

_LONGEST = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When and how often a failed activity or sub-orchestration is tried again.

    Attributes:
        first_retry_interval: Delay before the first retry.
        max_number_of_attempts: Attempts including the first.
        backoff_coefficient: Factor from one delay to the next; at least 1.
        max_retry_interval: Longest delay.
        retry_timeout: No retry is begun later than this after the first attempt was scheduled.
        retry_on: Exception classes, or names of such, that are retried; empty for all.
        retry_filter: Called with the `FailureDetails`; a retry happens only if it returns True.
            It is run again at replay, so it must depend on nothing but its argument.

    Raises:
        TypeError: A duration is no timedelta; the message names it. Seconds are not taken, since
            the retry options of Azure Durable Functions are in milliseconds.
        ValueError: A value makes no sense; the message names it.

    Example:
        >>> RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3)
        ... # doctest: +ELLIPSIS
        RetryPolicy(...)
    """

    first_retry_interval: timedelta
    max_number_of_attempts: int
    backoff_coefficient: float = 1.0
    max_retry_interval: timedelta | None = None
    retry_timeout: timedelta | None = None
    retry_on: tuple[type[BaseException] | str, ...] = ()
    retry_filter: Callable[[FailureDetails], bool] | None = None

    def __post_init__(self) -> None:
        zero = timedelta(0)
        for name in ("first_retry_interval", "max_retry_interval", "retry_timeout"):
            _check_duration(name, getattr(self, name))
        if self.first_retry_interval < zero:
            raise ValueError("first_retry_interval must not be negative")
        if self.max_number_of_attempts < 1:
            raise ValueError("max_number_of_attempts counts the first attempt: at least 1")
        if not self.backoff_coefficient >= 1.0:
            raise ValueError("backoff_coefficient must be at least 1")
        for name in ("max_retry_interval", "retry_timeout"):
            value = getattr(self, name)
            if value is not None and value <= zero:
                raise ValueError(f"{name} must be positive, or None for no limit")
        if isinstance(self.retry_on, (str, type)):
            raise ValueError("retry_on takes a tuple of exception classes or names")  # noqa: TRY004

    def next_delay(
        self, attempt: int, failure: FailureDetails, elapsed: timedelta
    ) -> timedelta | None:
        """Return how long to wait before the next attempt, or None to give up.

        Args:
            attempt: Number of the attempt that failed, from 1.
            failure: How it failed.
            elapsed: History time since the first attempt was scheduled.
        """
        if attempt >= self.max_number_of_attempts or failure.non_retriable:
            return None
        if self.retry_on and not any(failure.is_caused_by(one) for one in self.retry_on):
            return None
        if self.retry_filter is not None and not self.retry_filter(failure):
            return None
        delay = self._delay_after(attempt)
        if self.retry_timeout is not None and elapsed + delay > self.retry_timeout:
            return None
        return delay

    def _delay_after(self, attempt: int) -> timedelta:
        limit = self.max_retry_interval or _LONGEST
        if not self.first_retry_interval:
            return self.first_retry_interval
        try:
            delay = self.first_retry_interval * self.backoff_coefficient ** (attempt - 1)
        except OverflowError:
            return limit
        return min(delay, limit)


def _check_duration(name: str, value: Any) -> None:
    if isinstance(value, timedelta) or (value is None and name != "first_retry_interval"):
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    example = (
        f"write timedelta(seconds={value})" if is_number else "for example timedelta(seconds=5)"
    )
    raise TypeError(f"{name} is a timedelta, not a {type(value).__name__}: {example}")


def RetryOptions(  # noqa: N802  (the name it has in Azure Durable Functions)
    first_retry_interval_in_milliseconds: int, max_number_of_attempts: int
) -> RetryPolicy:
    """Return a retry policy, in the words of Azure Durable Functions for Python.

    Args:
        first_retry_interval_in_milliseconds: Delay before each retry.
        max_number_of_attempts: Attempts including the first.
    """
    return RetryPolicy(
        first_retry_interval=timedelta(milliseconds=first_retry_interval_in_milliseconds),
        max_number_of_attempts=max_number_of_attempts,
    )
