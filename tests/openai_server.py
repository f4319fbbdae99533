"""A real OpenAI-compatible server on a free loopback port, with faults by script.

``with serve() as server: Endpoint("m", base_url=server.url)``. It speaks HTTP/1.1 over plain asyncio
streams, so that it can break every rule: cut a body in half, close a connection, send what is not JSON,
wait.
"""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What is sent in the place of an answer."""

    status: int = 200
    body: bytes | None = None  # None: the answer that would have been given
    headers: dict = field(default_factory=dict)
    keep: float = 1.0  # the share of the body that is sent before the connection is closed
    close: bool = False  # close without a word
    delay: float = 0.0


class Server:
    """What a running server knows: its `url`, and the `requests` (bodies), `headers` and `paths` it got."""

    def __init__(self, answer, faults, latency):
        self.answer, self.latency = answer, latency
        self.faults = faults if callable(faults) else _in_turn(list(faults))
        self.requests, self.headers, self.paths = [], [], []
        self.asked = Counter()
        self.connections = 0
        self.in_flight = self.most_in_flight = 0
        self.url = ""

    async def connected(self, reader, writer):
        self.connections += 1
        try:
            while await self.serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def serve_one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.requests.append(body)
        self.headers.append(headers)
        self.paths.append(head[0].split()[1])
        key = json.dumps(body.get("messages", body.get("prompt")))
        self.asked[key] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.reply(writer, body, self.faults(body, self.asked[key]) or Fault())
        finally:
            self.in_flight -= 1

    async def reply(self, writer, body, fault):
        await asyncio.sleep(fault.delay + self.latency)
        if fault.close:
            return False
        content = fault.body
        if content is None:
            content = b'{"error": {"message": "no"}}' if fault.status != 200 else await self.completion(body)
        headers = {"Content-Type": "application/json", "Content-Length": len(content), **fault.headers}
        lines = [f"HTTP/1.1 {fault.status} Scripted", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + content[: int(len(content) * fault.keep)])
        await writer.drain()
        return fault.keep == 1.0

    async def completion(self, body):
        choices = await asyncio.to_thread(self.answer, body) if self.answer is not echo else echo(body)
        choices = [
            {"index": i, **(choice if isinstance(choice, dict) else text_choice(body, choice))}
            for i, choice in enumerate(choices)
        ]
        return json.dumps({"choices": choices, "usage": {"completion_tokens": 3}}).encode()


def text_choice(body, text):
    """Make a choice of the form that the request wants."""
    said = {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
    return {**said, "finish_reason": "stop"}


def echo(body):
    """Answer with what was asked, in capitals."""
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    return [asked.upper()] * body.get("n", 1)


def _in_turn(faults):
    waiting = iter(faults)
    return lambda body, attempt: next(waiting, None)


@contextlib.contextmanager
def serve(answer=echo, faults=(), latency=0.0):
    """Run a server in a thread until the end of the block.

    `answer(body)` returns the texts (or whole choices) of one request. `faults` are sent in the place of
    the first answers, in order (None for an answer), or are given by ``faults(body, attempt)``, where
    `attempt` counts how often this prompt has been asked, from 1. `latency` is waited before every
    answer.
    """
    server, loop, started = Server(answer, faults, latency), asyncio.new_event_loop(), threading.Event()

    async def run():
        listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        server.stop = asyncio.Event()
        started.set()
        await server.stop.wait()
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.stop.set)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
