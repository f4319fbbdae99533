import asyncio

import pytest

from concordant.models.connections import _resumed


def begun(coroutine):
    """Start a coroutine here, and leave the rest of it to a task."""
    return asyncio.create_task(_resumed(coroutine, coroutine.send(None)))


def test_a_coroutine_goes_on_in_a_task_where_it_waited():
    seen = []

    async def write(*futures):
        for future in futures:
            seen.append(await future)

    async def run():
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        task = begun(write(*futures))
        for i, future in enumerate(futures):
            await asyncio.sleep(0)
            future.set_result(i)
        await task

    asyncio.run(run())
    assert seen == [0, 1, 2]


def test_cancelling_the_task_reaches_the_coroutine():
    seen = []

    async def write(first, second):
        try:
            await first
        except asyncio.CancelledError:
            seen.append("cancelled")
            seen.append(await second)
            raise

    async def run():
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
        task = begun(write(first, second))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        second.set_result("cleared up")
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert seen == ["cancelled", "cleared up"]


def test_what_the_coroutine_raises_is_raised_by_the_task():
    async def write(future):
        await future
        raise OSError("the connection is gone")

    async def run():
        future = asyncio.get_running_loop().create_future()
        task = begun(write(future))
        future.set_result(None)
        await task

    with pytest.raises(OSError, match="the connection is gone"):
        asyncio.run(run())
