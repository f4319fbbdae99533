"""A server for timing clients: answers every completion a fixed time after it was asked, at next to no cost.

``python -m bench.local_server SECONDS`` prints its port and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

CHOICE = {
    "index": 0,
    "message": {"role": "assistant", "content": "42"},
    "text": "42",
    "finish_reason": "stop",
}
USAGE = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [CHOICE],
    "usage": USAGE,
}
BODY = json.dumps(ANSWER).encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
REPLY = HEAD.encode() + BODY


class Connection(asyncio.Protocol):
    """Finds the end of each request, and answers later."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request, later."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n") + 4) > 3:
            length = self.received[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            if len(self.received) < end + int(length):
                return
            self.received = self.received[end + int(length) :]
            asyncio.get_running_loop().call_later(self.latency, self.reply)

    def reply(self) -> None:
        """Answer one request."""
        if not self.transport.is_closing():
            self.transport.write(REPLY)


async def serve(latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(latency: float):
    """Run the server in a process of its own; give its base URL."""
    command = [sys.executable, "-m", "bench.local_server", str(latency)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
