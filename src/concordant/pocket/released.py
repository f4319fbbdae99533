"""The language models that ship with the package: where they are, and how they are loaded.

A folder is a model in the usual files: `AutoModelForCausalLM.from_pretrained(folder)` needs none of our code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from concordant.core.errors import ModelError, nearest

if TYPE_CHECKING:
    from concordant.models.language import GenerativeModel

FOLDER = Path(__file__).parent / "models"
"""Holds one folder for each released model."""

CHAT = "chat_template.jinja"
"""A file that chat models have and base models lack."""


def released() -> tuple[str, ...]:
    """Return the names of the models that ship, in alphabetical order.

    Examples
    --------
    >>> "1m-chat-v1" in released(), "1m-chat-v2" in released()
    (True, True)
    """
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/config.json")))


def model_folder(name: str) -> Path:
    """Return the folder of a released model.

    Parameters
    ----------
    name
        Such as "1m-chat-v2".

    Raises
    ------
    ModelError
        If none of that name ships.

    Examples
    --------
    >>> model_folder("1m-chat-v2").name
    '1m-chat-v2'
    """
    if name not in released():
        message = f"no pocket model {name!r} ships; {nearest(name, released())}"
        raise ModelError(message)
    return FOLDER / name


def load_pocket(source: str, *, device: str = "auto", name: str | None = None) -> GenerativeModel:
    """Load a released model, or a folder that `concordant pocket train` wrote; what ``pocket:NAME`` stands for.

    A chat model is asked texts as a turn of the user; a base model continues them.

    Parameters
    ----------
    source
        A released name, such as "1m-chat-v2", or a folder.
    device
        As for ``hf:``.
    name
        What reports call it; "pocket " and the name of the model by default.

    Raises
    ------
    ModelError
        If there is neither such a name nor such a folder, or it cannot be read.
    MissingExtraError
        If torch or transformers is not installed.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> from concordant.core.model import Request
    >>> model = load_pocket("1m-chat-v2")
    >>> items = Items.from_records([{"input": "What is 3 + 4?"}])
    >>> model.respond(items, Request(max_tokens=8))["output"].to_list()
    ['7']
    """
    from concordant.models.huggingface import load_huggingface

    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = model_folder(source)
    label = folder.resolve().name
    return load_huggingface(  # type: ignore[return-value]  # a pocket model is a causal language model
        folder, device=device, chat=(folder / CHAT).is_file(), name=name or f"pocket {label}"
    )
