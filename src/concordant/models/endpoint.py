"""Models behind an OpenAI-compatible server: chat or text completions over HTTP.

The usual way through `Endpoint.complete` is kept short, because thousands of prompts are in one process:
the fixed part of a request is written once, connections are kept open, and everything about failure
happens outside of it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import aiohttp  # this module is itself imported only when an endpoint is used
import numpy as np

from concordant.core.errors import ModelError
from concordant.core.model import Completion, digest
from concordant.models.completions import Failure, read_answer, shown
from concordant.models.connections import open_session
from concordant.models.retry import Backoff, TokenBucket, retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.core.model import Prompt, Request

OPENAI = "https://api.openai.com/v1"
ROUTES = {"chat": "/chat/completions", "completions": "/completions"}

LARGE = 2**20
"""Bytes from which on aiohttp wants a body in pieces."""

TRANSIENT = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
"""Answers that may be other ones a moment later: timeouts, conflicts, too many requests, overload."""


class Endpoint:
    """A model behind an OpenAI-compatible server, as a concurrent model.

    Parameters
    ----------
    model
        Name of the model, as the server knows it.
    base_url
        Where the server is, up to and without ``/chat/completions``. By default the environment variable
        ``OPENAI_BASE_URL``, or else OpenAI.
    key_env
        Environment variable that holds the key. It is read when a connection is made and kept nowhere
        else; a server that needs no key is asked without one where it is not set.
    api
        ``"chat"``, where a text is asked as one turn of the user, or ``"completions"``, where it is
        continued.
    concurrency
        How many prompts may be in flight.
    logprobs
        Whether to ask for log-probabilities; `Completion.logprob` is their sum over the tokens of the answer.
    retries
        How often to ask again after a transient failure (`TRANSIENT`, a broken or closed connection, half
        a body, an answer that is not JSON, a time-out).
    timeout
        Seconds for one attempt.
    deadline
        Seconds for one prompt, with all attempts and waits.
    requests_per_minute
        Bound on the rate of requests, or None.
    first_wait, longest_wait
        Seconds before the first retry, and bound on any wait, also on what the server asks for with
        Retry-After.
    max_tokens_field
        Name of the bound on the length of an answer: ``max_completion_tokens`` for the chat of OpenAI
        itself and ``max_tokens`` for others, by default.
    extra
        Further fields of each request, such as ``{"top_p": 0.9}``; or a JSON text of them.
    omit
        Fields to leave out, such as ``("temperature", "seed")`` for a server that refuses them; or one
        text with commas.
    trust_env
        Whether to use the proxies named in the environment.
    name
        What reports call it; `model` by default.

    Raises
    ------
    ModelError
        If `base_url` or an option cannot be used; on use, if the key or model is refused.

    Notes
    -----
    A server that answers with fewer than ``request.n`` completions is asked again for those that are
    missing, with further seeds.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        key_env: str = "OPENAI_API_KEY",
        api: Literal["chat", "completions"] = "chat",
        concurrency: int = 16,
        logprobs: bool = False,
        retries: int = 5,
        timeout: float = 120.0,
        deadline: float = 600.0,
        requests_per_minute: float | None = None,
        first_wait: float = 0.5,
        longest_wait: float = 60.0,
        max_tokens_field: str | None = None,
        extra: Mapping[str, Any] | str | None = None,
        omit: Sequence[str] | str = (),
        trust_env: bool = False,
        name: str | None = None,
    ) -> None:
        base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI).rstrip("/")
        _check(model, base_url, api, concurrency)
        self.name = name or model
        self.concurrency = concurrency
        self._model, self._base_url, self._api, self._key_env = model, base_url, api, key_env
        self._url = base_url + ROUTES[api]
        self._logprobs = logprobs
        self._backoff = Backoff(retries, first_wait, longest_wait)
        self._timeout, self._deadline = min(timeout, deadline), deadline
        self._bucket = None if requests_per_minute is None else TokenBucket(requests_per_minute)
        modern = base_url == OPENAI and api == "chat"
        self._max_tokens_field = max_tokens_field or ("max_completion_tokens" if modern else "max_tokens")
        self._extra = dict(json.loads(extra) if isinstance(extra, str) else extra or {})
        self._omit = frozenset(omit.split(",") if isinstance(omit, str) else omit)
        self._trust_env = trust_env
        self._generator = np.random.default_rng()
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._head: tuple[Any, bytes] = (None, b"")
        fields = (self._max_tokens_field, self._extra, sorted(self._omit))
        self.fingerprint = digest("openai", self._url, model, logprobs, fields)

    def __repr__(self) -> str:
        return f"Endpoint({self._model!r} at {self._base_url})"

    async def complete(self, prompt: Prompt, request: Request) -> list[Completion]:
        """Answer one prompt with `request.n` completions; see `ConcurrentModel.complete`."""
        completions = await self._ask(self._body(prompt, request, request.n, request.seed))
        while len(completions) < request.n and completions[-1].error is None:
            seed = None if request.seed is None else request.seed + len(completions)
            completions += await self._ask(self._body(prompt, request, request.n - len(completions), seed))
        completions += completions[-1:] * (request.n - len(completions))
        return completions[: request.n]

    async def aclose(self) -> None:
        """Close the connections of the running event loop; they are opened again when needed."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    # -- one request

    def _body(self, prompt: Prompt, request: Request, n: int, seed: int | None) -> bytes:
        """Write a request; all but the prompt is the same for most of them, and written once."""
        head = self._head
        if head[0] != (request, n, seed):
            head = self._head = ((request, n, seed), self._fixed(request, n, seed))
        if self._api == "chat":
            asked: Any = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        elif isinstance(prompt, str):
            asked = prompt
        else:
            message = (
                f"model {self.name!r} with api=completions takes texts, got a conversation; use api=chat"
            )
            raise ModelError(message)
        return head[1] + json.dumps(asked).encode() + b"}"

    def _fixed(self, request: Request, n: int, seed: int | None) -> bytes:
        fields = {
            "model": self._model,
            "temperature": request.temperature,
            self._max_tokens_field: request.max_tokens,
            "n": n if n > 1 else None,
            "seed": seed,
            "stop": list(request.stop) or None,
            "logprobs": (True if self._api == "chat" else 1) if self._logprobs else None,
            **self._extra,
        }
        kept = {key: value for key, value in fields.items() if value is not None and key not in self._omit}
        asked = "messages" if self._api == "chat" else "prompt"
        return (json.dumps(kept)[:-1] + f', "{asked}": ').encode()

    async def _ask(self, body: bytes) -> list[Completion]:
        """Send a request until it is answered, refused, or given up."""
        clock = asyncio.get_running_loop().time
        if self._bucket is not None:
            await self._bucket.take()
        end = clock() + self._deadline
        attempt, timeout = 1, self._timeout
        while not isinstance(answer := await self._attempt(body, timeout), list):
            wait = self._backoff.wait(attempt, answer.retry_after, self._generator)
            if not answer.is_transient or attempt > self._backoff.retries or clock() + wait >= end:
                times = f" (asked {attempt} times)" if attempt > 1 else ""
                return [Completion("", error=answer.reason + times)]
            await asyncio.sleep(wait)
            if self._bucket is not None:
                await self._bucket.take()
            attempt, timeout = attempt + 1, min(self._timeout, end - clock())
        return answer

    async def _attempt(self, body: bytes, timeout: float) -> list[Completion] | Failure:
        session = self._sessions.get(asyncio.get_running_loop()) or self._open()
        limit = _client_timeout(timeout)
        data = body if len(body) < LARGE else BytesIO(body)
        try:
            async with session.post(self._url, data=data, timeout=limit, allow_redirects=False) as response:
                content = await response.read()
        except Exception as error:
            return self._broken(error, timeout)
        if response.status == 200:
            return read_answer(content, logprobs=self._logprobs)
        return self._refused(response, content)

    def _open(self) -> aiohttp.ClientSession:
        """Open a session for the running event loop."""
        for loop in [loop for loop in self._sessions if loop.is_closed()]:
            del self._sessions[loop]
        headers = self._authorization()
        session = open_session(limit=self.concurrency, headers=headers, trust_env=self._trust_env)
        self._sessions[asyncio.get_running_loop()] = session
        return session

    # -- secrets and failures

    def _key(self) -> str:
        return os.environ.get(self._key_env, "").strip()

    def _authorization(self) -> dict[str, str]:
        key = self._key()
        if not key and self._base_url == OPENAI:
            message = f"{self._base_url} needs a key: the environment variable {self._key_env} is not set"
            raise ModelError(message)
        if not (key.isascii() and key.isprintable()):
            message = (
                f"the key in the environment variable {self._key_env} holds characters that no header can"
            )
            raise ModelError(message)
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _said(self, content: bytes) -> str:
        """Return what the server said, for a message; should it repeat the key, then without it."""
        key = self._key().encode()
        return shown(content.replace(key, b"(key)") if key else content) or "nothing"

    def _broken(self, error: Exception, timeout: float) -> Failure:
        """Return what has become of an attempt without a whole answer."""
        if isinstance(error, TimeoutError):
            return Failure(f"no answer within {timeout:g} s", is_transient=True)
        if isinstance(error, aiohttp.ClientSSLError):
            message = f"model {self.name!r}: {self._base_url} cannot be reached securely: {shown(str(error))}"
            raise ModelError(message) from None
        if isinstance(error, aiohttp.ClientPayloadError):
            return Failure("the answer broke off", is_transient=True)
        if isinstance(error, aiohttp.ClientConnectorError):
            return Failure(
                f"no connection to {self._base_url}: {shown(str(error.os_error))}", is_transient=True
            )
        if isinstance(error, aiohttp.ClientError | OSError):
            return Failure(f"the connection broke: {type(error).__name__}", is_transient=True)
        raise error

    def _refused(self, response: aiohttp.ClientResponse, content: bytes) -> Failure:
        """Return or raise what a status other than 200 means."""
        status, said = response.status, self._said(content)
        where = f"model {self.name!r}: {self._url} answered {status}"
        if status in (401, 403):
            state = "is set" if self._key() else "is not set"
            message = f"{where}: the key was refused; it is read from {self._key_env}, which {state}"
            raise ModelError(message)
        if status in (404, 405) or 300 <= status < 400:
            message = f"{where}: check base_url and the name of the model {self._model!r}; it said: {said}"
            raise ModelError(message)
        if status == 429 and b"insufficient_quota" in content:
            message = f"{where}: the quota of the key in {self._key_env} is spent; it said: {said}"
            raise ModelError(message)
        wait = retry_after(response.headers.get("Retry-After"))
        return Failure(f"HTTP {status}: {said}", is_transient=status in TRANSIENT, retry_after=wait)


@functools.lru_cache(maxsize=8)
def _client_timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=max(seconds, 0.001))


def _check(model: str, base_url: str, api: str, concurrency: int) -> None:
    """Refuse options that can never work, before anything is asked."""
    parts = urlsplit(base_url)
    if not model:
        message = "the name of the model of an endpoint is empty: allowed is openai:NAME"
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        message = f"model {model!r}: base_url must be like http://127.0.0.1:8000/v1, got {base_url!r}"
    elif parts.username or parts.password or parts.query:
        message = (
            f"model {model!r}: base_url must hold no user, password or query; put the key into OPENAI_API_KEY"
        )
    elif api not in ROUTES:
        message = f"model {model!r}: api must be chat or completions, got {api!r}"
    elif concurrency < 1:
        message = f"model {model!r}: concurrency must be at least 1, got {concurrency}"
    else:
        return
    raise ModelError(message)


load_endpoint = Endpoint
