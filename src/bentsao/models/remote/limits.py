"""Rate limits: requests and tokens a minute. How many calls are out at once is the number of workers (`running.py`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

BURST_SECONDS = 1.0
"""What may go out at once after a rest: one second's worth. More would be refused by servers that count by second."""


MOMENT = 1e-6  # seconds; what rounding leaves over is not waited for


class Bucket:
    """A token bucket: refilled evenly, and `per_minute` is not exceeded in any 60 seconds.

    It holds a burst's worth (at least one unit) and fills so that both together make `per_minute` in 60 seconds. An
    amount beyond what it holds is let through when it is full and leaves a debt that those after it wait for; 60
    seconds may see one such amount too many.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        burst = per_minute * BURST_SECONDS / (60 + BURST_SECONDS)
        # With one unit at a time, equal distances make `per_minute` in 60 seconds; what is held adds nothing to it.
        self._holds, self._rate = (burst, (per_minute - burst) / 60) if burst > 1 else (1.0, per_minute / 60)
        self._level, self._at = self._holds, clock()

    def wait(self, amount: float) -> float:
        """Seconds until this amount may be taken; 0: now."""
        self._fill()
        return max(0.0, (min(amount, self._holds) - self._level) / self._rate)

    def take(self, amount: float) -> None:
        """Take an amount out; a negative one puts back."""
        self._fill()
        self._level = min(self._holds, self._level - amount)

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._holds, self._level + (now - self._at) * self._rate)
        self._at = now


class Limits:
    """Lets calls through one after the other, in the order they came. None: no limit."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = None if requests_per_minute is None else Bucket(requests_per_minute, clock)
        self._tokens = None if tokens_per_minute is None else Bucket(tokens_per_minute, clock)
        self._turn = asyncio.Lock()
        self._clock = clock
        self._paused_until = 0.0

    async def admit(self, tokens: int) -> None:
        """Returns when a call of about so many tokens may go out."""
        async with self._turn:  # the lock wakes its waiters first come, first served
            while (seconds := self._wait(tokens)) > MOMENT:
                await asyncio.sleep(seconds)
            if self._requests:
                self._requests.take(1)
            if self._tokens:
                self._tokens.take(tokens)

    def correct(self, admitted: int, used: int) -> None:
        """A call that was let through for `admitted` tokens used so many."""
        if self._tokens:
            self._tokens.take(used - admitted)

    def pause(self, seconds: float) -> None:
        """Let nothing through for so long: the server asked for it, and would refuse every call alike."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _wait(self, tokens: int) -> float:
        return max(
            self._paused_until - self._clock(),
            self._requests.wait(1) if self._requests else 0.0,
            self._tokens.wait(tokens) if self._tokens else 0.0,
        )
