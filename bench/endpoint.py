"""What asking a server costs: 2,000 prompts to a local one that answers after 20 ms, 64 at a time."""

from __future__ import annotations

import asyncio
import time

import concordant as cc
from bench.local_server import running
from bench.timing import Figure, peer
from concordant.core.passes import Pass
from concordant.core.run import run
from concordant.core.store import MemoryStore

N, LATENCY, CONCURRENCY = 2000, 0.020, 64
IDEAL = -(-N // CONCURRENCY) * LATENCY
REACH = 1.25
ROUNDS = 7


def main(peer_python: str | None = None) -> list[Figure]:
    """Measure wall seconds: the endpoint alone, the endpoint under the runner, and the peers without their start-up."""
    request = cc.Request()
    items = cc.Items.from_records([{"id": str(i), "input": f"What is {i}?"} for i in range(N)])
    with running(LATENCY) as url:
        model = cc.load("openai:m", base_url=url, concurrency=CONCURRENCY)

        async def asked(texts: list[str]) -> None:
            waiting = iter(texts)

            async def worker() -> None:
                for text in waiting:
                    (completion,) = await model.complete(text, request)
                    assert completion.text == "42"

            await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
            await model.aclose()

        async def recorded() -> None:
            work = Pass.of("asked", model, items, request)
            answers = await run([work], MemoryStore())
            await model.aclose()
            assert answers[work.key]["output"].to_list() == ["42"] * N

        # The best of interleaved rounds: on shared cores whoever else is running only ever adds time.
        clocks = [time.perf_counter, time.process_time]
        rounds = []
        for _ in range(ROUNDS):
            floor = asyncio.run(raw(url))
            before = [clock() for clock in clocks]
            asyncio.run(asked(items.inputs.to_list()))
            between = [clock() for clock in clocks]
            asyncio.run(recorded())
            rounds.append((floor, between[0] - before[0], between[1] - before[1], clocks[0]() - between[0]))
        floor, alone, alone_cpu, wall = map(min, zip(*rounds, strict=True))
        what = f"{N:,} prompts to a server with {LATENCY * 1000:.0f} ms, {CONCURRENCY} at a time"
        reach, ideal = f"{REACH} times the ideal {IDEAL:.2f} s", f"bare sockets: {floor:.2f} s"
        figures = [
            Figure(f"{what}, run and recorded", f"{wall:.2f} s", reach, ideal, wall <= REACH * IDEAL),
            Figure(f"{what}, the endpoint alone", f"{alone:.2f} s", reach, ideal, alone <= REACH * IDEAL),
            Figure(
                "client CPU a prompt",
                f"{alone_cpu / N * 1000:.2f} ms",
                "0.35 ms",
                holds=alone_cpu / N < 0.35e-3,
            ),
        ]
        for name, script in (("Inspect AI", "inspect_endpoint.py"), ("lm-eval", "lm_eval_endpoint.py")):
            if peer_python is None:
                break
            small, large = (
                peer(peer_python, script, n=n, url=url, concurrency=CONCURRENCY) for n in (CONCURRENCY, N)
            )
            if small is None or large is None:
                continue
            theirs = large["wall_s"] - small["wall_s"] + LATENCY
            figures.append(
                Figure(
                    f"the same beside {name} {large['version']}",
                    f"{theirs / wall:.1f} times as fast",
                    "faster",
                    f"{theirs:.2f} s",
                    theirs > wall,
                )
            )
    return figures


async def raw(url: str) -> float:
    """Return the wall seconds of the same over bare sockets: what the machine and the server allow."""
    port = int(url.split(":")[2].split("/")[0])
    waiting = iter(range(N))

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for i in waiting:
            body = b'{"prompt": "What is %d?"}' % i
            writer.write(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return time.perf_counter() - started
