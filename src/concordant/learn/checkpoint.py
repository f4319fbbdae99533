"""Checkpoints without pickles: one safetensors file holds all that a run needs to go on, bit for bit.

Weights, the tensors of the optimiser, the states of the generators and the history are tensors; numbers and the
settings are JSON in the file's header. A file is written beside its place, synced and renamed, so that a run killed
at any moment leaves the last whole one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError, ModelError, StoreError, require
from concordant.core.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

FORMAT = 1


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header to a safetensors file, all or nothing.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    safetensors = require("safetensors.torch", "torch", "checkpoints")
    # Tied weights share memory, which the format refuses: each name gets a copy.
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    data = safetensors.save(copies, metadata={"concordant": json.dumps({"format": FORMAT, **header})})
    try:
        write_whole(path, data)
    except OSError as error:
        message = f"the checkpoint {path} cannot be written: {error.strerror or error}"
        raise StoreError(message) from None


def load_tensors(path: Path, *, foreign: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote, or any safetensors file where one of others (`foreign`) will do.

    Raises
    ------
    StoreError
        If the file is not there, is damaged, or was not written by it.
    """
    safetensors = require("safetensors", "torch", "checkpoints")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            header = {"format": FORMAT} if foreign else json.loads(metadata["concordant"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        message = f"there is no checkpoint {path}"
        raise StoreError(message) from None
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        message = f"{path} is not a checkpoint of this package: {type(error).__name__} {error}"
        raise StoreError(message) from None
    if header.get("format") != FORMAT:
        message = f"the checkpoint {path} has format {header.get('format')}, this version reads {FORMAT}"
        raise StoreError(message)
    return tensors, header


def save_weights(path: str | Path, model: nn.Module, **about: Any) -> None:
    """Write the weights of a model, and a few words about them, to a safetensors file.

    Parameters
    ----------
    path
        The file.
    model
        Any module; its ``state_dict`` is written under its own names.
    about
        Values for the header, as JSON.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    save_tensors(Path(path), model.state_dict(), about)


def load_weights(path: str | Path, model: nn.Module) -> dict[str, Any]:
    """Read weights into a model in place, and return what was said about them.

    Raises
    ------
    StoreError
        If the file is not a checkpoint.
    ModelError
        If the weights are those of another module.

    Examples
    --------
    >>> import tempfile, torch
    >>> from concordant.learn.networks import MLP
    >>> first, second = MLP(2, 1, seed=0), MLP(2, 1, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/model.safetensors", first, skill="none")
    ...     load_weights(f"{folder}/model.safetensors", second)["skill"]
    'none'
    >>> torch.equal(first(torch.ones(1, 2)), second(torch.ones(1, 2)))
    True
    """
    tensors, header = load_tensors(Path(path))
    put_weights(model, tensors, str(path))
    return header


def put_weights(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy weights into a model in place; all names and shapes must be the same."""
    have = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(name for name in have.keys() | got.keys() if have.get(name) != got.get(name))
    if wrong:
        name = wrong[0]
        message = (
            f"{where} holds the weights of another model: {name} is {got.get(name, 'absent')} there and "
            f"{have.get(name, 'absent')} here"
        )
        raise ModelError(message)
    model.load_state_dict(tensors)


def optimizer_parts(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of an optimiser by name, and its numbers as JSON.

    Raises
    ------
    ConfigError
        If the optimiser keeps something that is neither a tensor nor a number.
    """
    state = optimizer.state_dict()
    tensors, numbers = {}, {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                numbers[f"{index}.{name}"] = value
    rest = {"numbers": numbers, "groups": state["param_groups"]}
    try:
        json.dumps(rest)
    except TypeError as error:
        message = f"{type(optimizer).__name__} keeps what a checkpoint cannot hold: {error}"
        raise ConfigError(message) from None
    return tensors, rest


def put_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Mapping[str, Any], where: str
) -> None:
    """Load what :func:`optimizer_parts` returned.

    Raises
    ------
    ConfigError
        If the optimiser has other parameters.
    """
    entries: dict[int, dict[str, Any]] = {}
    for key, value in (*tensors.items(), *rest["numbers"].items()):
        index, _, name = key.partition(".")
        entries.setdefault(int(index), {})[name] = value
    groups = [
        {
            name: tuple(value) if isinstance(value, list) and name != "params" else value
            for name, value in g.items()
        }
        for g in rest["groups"]
    ]
    try:
        optimizer.load_state_dict({"state": entries, "param_groups": groups})
    except ValueError as error:
        message = f"{where} holds the state of another optimiser: {error}"
        raise ConfigError(message) from None
