"""The answers of an OpenAI-compatible server, read into completions or into the reason why there are none."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from concordant.core.model import Completion

SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt brought no answer.

    Parameters
    ----------
    reason
        In words, without secrets.
    is_transient
        Whether another attempt may bring one.
    retry_after
        Seconds that the server asks to wait before it, where it does.
    """

    reason: str
    is_transient: bool
    retry_after: float | None = None


def read_answer(content: bytes, *, logprobs: bool) -> list[Completion] | Failure:
    """Read the body of an answer with status 200.

    Parameters
    ----------
    content
        The body, of a chat or of a text completion.
    logprobs
        Whether log-probabilities were asked for, and are to be summed.

    Returns
    -------
    list of Completion
        In the order of their `index`.
    Failure
        If the body is not JSON (transient: it may have been cut), or holds no choices.

    Examples
    --------
    >>> read_answer(b'{"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]}', logprobs=False)
    [Completion(text='42', logprob=None, tokens=None, finish_reason='stop', error=None)]
    >>> read_answer(b'{"choices": [{"mess', logprobs=False).is_transient
    True
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        what = f"begins with {shown(content[:80])!r}" if content else "is empty"
        return Failure(f"the answer is not JSON: it {what}", is_transient=True)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not choices or not isinstance(choices, list):
        return Failure(f"the answer has no choices: {shown(content)}", is_transient=False)
    try:
        if len(choices) > 1:
            choices.sort(key=lambda choice: choice.get("index", 0))
        completions = [_completion(choice, logprobs=logprobs) for choice in choices]
        if len(choices) == 1 and completions[0].tokens is None:
            tokens = (answer.get("usage") or {}).get("completion_tokens")  # of all choices together
            completions[0] = replace(completions[0], tokens=tokens if isinstance(tokens, int) else None)
    except (AttributeError, KeyError, TypeError, ValueError):
        return Failure(f"the answer has choices of another form: {shown(content)}", is_transient=False)
    return completions


def shown(content: bytes | str) -> str:
    """Return text of a server for a message: one line of printable characters, and not too many of them."""
    text = content[: 4 * SHOWN_CHARACTERS].decode(errors="replace") if isinstance(content, bytes) else content
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def _completion(choice: dict[str, Any], *, logprobs: bool) -> Completion:
    message = choice.get("message")
    text: Any = choice["text"] if message is None else message.get("content")
    if isinstance(text, list):  # parts, as some servers give them
        text = "".join(part.get("text", "") for part in text)
    if text is None and message is not None:  # a refusal, a tool call, or all was spent on thinking
        text = message.get("refusal") or ""
    logprob = tokens = None
    if logprobs and (found := choice.get("logprobs")):
        if found.get("content") is not None:
            values = [token["logprob"] for token in found["content"]]
        else:
            values = [value for value in found.get("token_logprobs") or [] if value is not None]
        logprob, tokens = float(sum(values)), len(values)
    return Completion(str(text), logprob, tokens, choice.get("finish_reason"))
