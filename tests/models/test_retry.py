import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest

from concordant.models.retry import Backoff, TokenBucket, retry_after


def test_waits_double_up_to_the_longest():
    backoff, generator = Backoff(first=0.5, longest=3.0), np.random.default_rng(0)
    for attempt, bound in [(1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (5000, 3.0)]:
        waits = [backoff.wait(attempt, None, generator) for _ in range(50)]
        assert bound / 2 <= min(waits) < max(waits) <= bound


def test_what_the_server_asks_for_is_the_least():
    backoff, generator = Backoff(first=0.5, longest=30.0), np.random.default_rng(0)
    waits = [backoff.wait(1, 10.0, generator) for _ in range(50)]
    assert 10.0 <= min(waits) < max(waits) <= 11.0
    assert backoff.wait(1, 3600.0, generator) == 30.0
    assert backoff.wait(1, 0.0, generator) == 0.0


def test_retry_after_as_a_date():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after(date) == pytest.approx(90, abs=2)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1.5", 1.5), ("-3", 0.0), ("inf", None), ("nan", None), ("", None), ("soon", None)],
)
def test_retry_after_as_seconds_or_nonsense(header, seconds):
    assert retry_after(header) == seconds


@pytest.mark.parametrize(
    ("per_minute", "waits"),
    [
        (30, [0.0, 2.0, 4.0, 6.0]),  # one each two seconds
        (90, [0.0, 2 / 3, 4 / 3, 2.0]),  # less than two in a second: one at a time
        (180, [0.0, 0.0, 0.0, 1 / 3]),  # three in a second may go at once
    ],
)
def test_a_bucket_lets_one_seconds_worth_go_at_once(monkeypatch, per_minute, waits):
    waited = []

    async def sleep(seconds):
        waited[-1] = seconds

    async def run():
        bucket = TokenBucket(per_minute)
        for _ in waits:
            waited.append(0.0)
            await bucket.take()

    monkeypatch.setattr("concordant.models.retry.asyncio.sleep", sleep)
    asyncio.run(run())
    assert waited == pytest.approx(waits, abs=0.1)
