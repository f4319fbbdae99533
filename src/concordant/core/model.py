"""What the flow asks of a model: two small structural protocols, and the request both answer.

A *batch model* answers many items in one call: a predictor, a local language model, a recording. A *concurrent model*
answers one prompt at a time and many at once: a server. Everything that has behaviour is wrapped into one of the two
(`concordant.models`), and the runner knows nothing else about it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, runtime_checkable

if TYPE_CHECKING:
    import polars as pl

    from concordant.core.items import Items


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


Prompt = str | list[Message]
"""What a language model is asked: a text, or the turns of a conversation."""


def user(content: str) -> Message:
    """Make a user's turn: ``{"role": "user", "content": content}``."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """Make a model's turn: ``{"role": "assistant", "content": content}``."""
    return {"role": "assistant", "content": content}


def system(content: str) -> Message:
    """Make a system turn: ``{"role": "system", "content": content}``."""
    return {"role": "system", "content": content}


@dataclass(frozen=True, slots=True)
class Request:
    """How a model is to be asked. Two equal requests for the same input are the same question, and are asked once.

    Parameters
    ----------
    n
        Samples for each item, at least 1.
    temperature
        Sampling temperature; 0 is greedy.
    max_tokens
        Bound on the length of an answer, in tokens.
    seed
        Seed of the sampling, or None to leave it to the model.
    stop
        Texts that end an answer.
    repeat
        0 for the first asking; higher numbers ask the same again on purpose (the noise floor), so that neither the
        answer cache nor the sharing of equal questions serves the recorded answer.
    batch_size
        Rows in a call of a batch model, or None for the model's own.
    order_seed
        Seed of a shuffle of the rows before they are put into batches, or None for the given order. Answers are
        always returned in the order of the items.
    rewritten
        Whether a relation rewrote the items; set by the check. A recording then answers by the text of the input and
        not by the id, under which it holds the answer to the original.
    """

    n: int = 1
    temperature: float = 0.0
    max_tokens: int = 256
    seed: int | None = 0
    stop: tuple[str, ...] = ()
    repeat: int = 0
    batch_size: int | None = None
    order_seed: int | None = None
    rewritten: bool = False

    @property
    def is_deterministic(self) -> bool:
        """Whether the same answer is to be expected again: greedy decoding of one sample."""
        return self.temperature == 0.0 and self.n == 1

    def key(self) -> str:
        """Canonical text of the request, for digests."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer of a language model.

    Parameters
    ----------
    text
        The answer.
    logprob
        Sum of the log-probabilities of its tokens, in nats, where known.
    tokens
        Number of its tokens, where known.
    finish_reason
        Why it ended, in the words of the OpenAI interface: "stop", "length", ...
    error
        Why there is no answer; `text` is then empty.
    """

    text: str
    logprob: float | None = None
    tokens: int | None = None
    finish_reason: str | None = None
    error: str | None = None


@runtime_checkable
class BatchModel(Protocol):
    """A model that answers many items in one call.

    Attributes
    ----------
    name
        What people call it; shown in reports.
    fingerprint
        Digest of what decides its behaviour (weights, settings). Equal fingerprints mean equal models. No secret.
    batch_size
        Rows in one call when the request does not say.
    classes
        Optional: the names of the classes that the entries of `probabilities` stand for.
    """

    name: str
    fingerprint: str
    batch_size: int

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Answer all `items`.

        Returns
        -------
        pl.DataFrame
            ``len(items) * request.n`` rows: the samples of the first item, then of the second, ... Column `output`
            (any type) is required; optional are `correct` (bool), `score` (float), `probabilities` (array of
            floats over the model's `classes`), `logprob` (nats), `tokens`, `latency_s`, `error` (text;
            `output` is then null) and `transcript`.
        """
        ...


@runtime_checkable
class ConcurrentModel(Protocol):
    """A model that answers one prompt at a time, many at once.

    Attributes
    ----------
    name, fingerprint
        As for `BatchModel`.
    concurrency
        How many prompts may be in flight.
    """

    name: str
    fingerprint: str
    concurrency: int

    async def complete(self, prompt: Prompt, request: Request) -> list[Completion]:
        """Answer one prompt with `request.n` completions.

        A failure that concerns only this prompt (a time-out, a refusal, half a body, after the retries) is a
        `Completion` with its `error`; a failure that concerns all of them (401, no such model) is a `ModelError`.
        """
        ...

    async def aclose(self) -> None:
        """Close connections; the model can be used again afterwards."""
        ...


Model = BatchModel | ConcurrentModel


def digest(*parts: Any) -> str:
    """Return a short stable digest (16 hexadecimal digits) of texts, bytes and JSON-like values.

    Examples
    --------
    >>> digest("a", 1) == digest("a", 1), digest("a") == digest("b")
    (True, False)
    """
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode()
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()
