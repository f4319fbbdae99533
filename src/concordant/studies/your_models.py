"""What studies at full scale take from environment variables: language models of yours, and items to ask them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError
from concordant.core.grading.default import default_grader
from concordant.core.grading.outcome import grade
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.models.causal import CausalLM
from concordant.models.language import GenerativeModel
from concordant.models.load import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MAX_TOKENS = 64
"""Longest answer."""


def named(study: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return what environment variables hold.

    Parameters
    ----------
    study
        Its name, for the message.
    variables
        Names of the variables, and what each names.

    Raises
    ------
    ConfigError
        If one is missing.
    """
    missing = [name for name in variables if not os.environ.get(name)]
    if missing:
        wanted = ", ".join(f"{what} in {name}" for name, what in variables.items())
        message = f"the study {study!r} at full scale needs {wanted}; there is no {' and no '.join(missing)}"
        raise ConfigError(message)
    return {name: os.environ[name] for name in variables}


def your_model(name: str) -> CausalLM:
    """Load a causal language model; one with a chat template is asked in turns of the user.

    Parameters
    ----------
    name
        A folder, or a name of the hub.

    Raises
    ------
    ConfigError
        If it is a model of another kind.
    """
    found = getattr(load(f"hf:{name}"), "language_model", None)
    if not isinstance(found, CausalLM):
        message = f"a causal language model is needed, and {name} is none"
        raise ConfigError(message)
    tokenizer = found.tokens.tokenizer
    chat = getattr(tokenizer, "chat_template", None) is not None
    return CausalLM(found.model, tokenizer, name=found.name, chat=chat)


def your_items(path: str | Path) -> Items:
    """Read items that can be graded.

    Raises
    ------
    ConfigError
        If they have no references.
    """
    items = Items.read(str(path))
    if items.reference is None:
        message = f"items need a reference, the right answer, and those of {path} have none"
        raise ConfigError(message)
    return items


def outcomes(model: CausalLM, items: Items) -> NDArray[np.bool_]:
    """Return which items a model answers rightly, asked greedily and graded as suits the items.

    Parameters
    ----------
    model
        What is asked.
    items
        With references.
    """
    found = GenerativeModel(model).respond(items, Request(max_tokens=MAX_TOKENS))
    graded = grade(found, items, default_grader(items, found["output"]))
    return (graded["outcome"] == "right").to_numpy()


def accuracy(model: CausalLM, items: Items) -> float:
    """Return the share of items that a model answers rightly; see :func:`outcomes`."""
    return float(outcomes(model, items).mean())
