"""When to ask a server again: exponential backoff, Retry-After, and a limit on the rate of requests.

A loop of our own and not a retry library, because a server's Retry-After and our own deadline have to be
weighed against each other *before* sleeping: a wait that would end after the deadline is not begun.
Libraries check the deadline after the sleep, and none of them may be switched off for the whole process
by somebody else's tests.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import numpy as np


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each further attempt.

    Parameters
    ----------
    retries
        Attempts after the first one.
    first
        Seconds before the first of them; doubled for each that follows.
    longest
        Bound on one wait, in seconds, also on what a server asks for.
    """

    retries: int = 5
    first: float = 0.5
    longest: float = 60.0

    def wait(self, attempt: int, asked_for: float | None, generator: np.random.Generator) -> float:
        """Return the seconds to wait after failed attempt number `attempt`, counted from 1.

        Parameters
        ----------
        attempt
            Number of the attempt that has failed.
        asked_for
            What the server asked for, which is the least; a tenth is added at random, so that those who were
            refused together do not come back together.
        generator
            Source of the jitter: without `asked_for` the wait is drawn from the upper half of its bound.
        """
        if asked_for is not None:
            return min(asked_for * generator.uniform(1.0, 1.1), self.longest)
        bound = min(self.first * 2.0 ** min(attempt - 1, 64), self.longest)
        return bound * generator.uniform(0.5, 1.0)


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or the time until an HTTP date.

    Examples
    --------
    >>> retry_after("2"), retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), retry_after("soon"), retry_after(None)
    (2.0, 0.0, None, None)
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if np.isfinite(seconds) else None


class TokenBucket:
    """A bound on the rate of requests: one second's worth may go at once, then one at a time.

    Parameters
    ----------
    per_minute
        Requests per minute, above 0.
    """

    def __init__(self, per_minute: float) -> None:
        self._interval = 60.0 / per_minute
        self._slack = (max(1, int(per_minute / 60.0)) - 1) * self._interval
        self._next = 0.0  # when the next request would go if all went at even distances

    async def take(self) -> None:
        """Wait for the turn of one request."""
        now = asyncio.get_running_loop().time()
        turn = max(self._next, now)
        self._next = turn + self._interval
        if turn - self._slack > now:
            await asyncio.sleep(turn - self._slack - now)
