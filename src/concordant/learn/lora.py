r"""Low-rank adapters through peft: a frozen :math:`W` becomes :math:`W + \frac{\alpha}{r} B A`, and A and B are trained.

The model stays what it is: its layers are replaced in place, so whatever takes the model takes it with adapters.
B starts at zero, so that training starts from the model as it was.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from concordant.core.errors import ConfigError, ModelError, StoreError, first_line, require
from concordant.learn.checkpoint import load_tensors, save_tensors
from concordant.learn.loop import own_generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
# Names in files are those of peft, which wraps a model twice and leaves out that the only adapter is "default".
PREFIX = "base_model.model."


def add_lora(
    model: nn.Module,
    rank: int | None = None,
    *,
    alpha: float | None = None,
    targets: str | Sequence[str] | None = None,
    dropout: float = 0.0,
    start: nn.Module | str | Path | None = None,
    seed: int = 0,
) -> None:
    r"""Put adapters into a model in place, and freeze everything else.

    Parameters
    ----------
    model
        Any module with linear layers.
    rank
        :math:`r`, at least 1; 8 by default.
    alpha
        :math:`\alpha`, greater than 0; twice the rank by default.
    targets
        Which layers: ``"all-linear"`` (the default: all but the head of a language model), or the ends of their
        names, such as ``["q_proj", "v_proj"]``.
    dropout
        On the input of the adapters, in [0, 1).
    start
        A model with adapters, or a folder of :func:`save_lora` or of peft: rank, alpha, targets and weights are
        copied from there. The base may be another of the same architecture.
    seed
        Of the first weights of A.

    Raises
    ------
    ConfigError
        If an option is outside its range, or given although `start` decides it.
    ModelError
        If the model has adapters already, has no such layers, or those of `start` are shaped otherwise.
    StoreError
        If there are no adapters in the folder.
    MissingExtraError
        If peft is not installed.

    References
    ----------
    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021.

    Examples
    --------
    >>> from concordant.learn import MLP
    >>> model, other = MLP(3, 2, hidden=(8,)), MLP(3, 2, hidden=(8,), seed=1)
    >>> add_lora(model, rank=2)
    >>> count_trained(model)
    (42, 92)
    >>> add_lora(other, start=model)
    """
    peft = require("peft", "torch", "adapters")
    if hasattr(model, "peft_config"):
        message = f"the {type(model).__name__} has adapters already: merge them by merge_lora first"
        raise ModelError(message)
    config, weights, where = _start(peft, start)
    if config is None:
        config = _config(peft, 8 if rank is None else rank, alpha, targets, dropout)
    elif any(option is not None for option in (rank, alpha, targets)) or dropout:
        message = (
            "add_lora takes rank, alpha, targets and dropout from start where one is given: leave them out"
        )
        raise ConfigError(message)
    try:
        with own_generator(torch.device("cpu"), seed), warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="fan_in_fan_out"
            )  # GPT-2's layers are transposed; peft sees to it
            peft.inject_adapter_in_model(config, model)
    except ValueError as error:
        message = f"the {type(model).__name__} takes no adapters: {first_line(error)}"
        raise ModelError(message) from None
    if weights is not None:
        _put(model, weights, where)


def save_lora(folder: str | Path, model: nn.Module) -> None:
    """Write the adapters of a model, without the model, to a folder that peft reads too.

    Parameters
    ----------
    folder
        For ``adapter_model.safetensors`` and ``adapter_config.json``. ``PeftModel.from_pretrained(base, folder)`` and
        ``add_lora(base, start=folder)`` put them into a base.
    model
        A model with adapters.

    Raises
    ------
    ModelError
        If it has none.
    StoreError
        If the folder cannot be written.
    """
    config = deepcopy(_config_of(model))
    config.base_model_name_or_path = getattr(model, "name_or_path", None) or config.base_model_name_or_path
    save_tensors(Path(folder) / WEIGHTS, {PREFIX + name: t for name, t in lora_weights(model).items()}, {})
    config.save_pretrained(str(folder))


def merge_lora(model: nn.Module) -> None:
    """Add the adapters of a model to its weights and take them out, in place: a model as before, all of it trainable.

    Raises
    ------
    ModelError
        If it has none, or what they add is not finite.

    Examples
    --------
    >>> import torch
    >>> from concordant.learn import MLP
    >>> model = MLP(3, 2, hidden=(8,))
    >>> names, before = list(model.state_dict()), model(torch.ones(1, 3))
    >>> add_lora(model, rank=2)
    >>> merge_lora(model)
    >>> list(model.state_dict()) == names, torch.equal(model(torch.ones(1, 3)), before)
    (True, True)
    """
    _config_of(model)
    layers: list[tuple[str, Any]] = [(n, m) for n, m in model.named_modules() if hasattr(m, "lora_A")]
    for name, layer in layers:
        try:
            layer.merge(safe_merge=True)
        except ValueError as error:
            message = f"the adapter of {name} cannot be merged: {first_line(error)}"
            raise ModelError(message) from None
    for name, layer in layers:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer.get_base_layer())
    del model.peft_config
    model.requires_grad_(True)


def lora_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of the adapters of a model by name, as they are (not copies).

    Raises
    ------
    ModelError
        If it has none.
    """
    _config_of(model)
    return {
        name.replace(".default.", "."): tensor
        for name, tensor in model.state_dict().items()
        if ".lora_" in name
    }


def count_trained(model: nn.Module) -> tuple[int, int]:
    """Return how many numbers of a model are trained, and how many it has.

    Examples
    --------
    >>> count_trained(nn.Linear(3, 2))
    (8, 8)
    """
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(n for n, is_trained in sizes if is_trained), sum(n for n, _ in sizes)


def _config(
    peft: Any, rank: int, alpha: float | None, targets: str | Sequence[str] | None, dropout: float
) -> Any:
    alpha = 2 * rank if alpha is None else alpha
    allowed = {
        "rank": (rank, rank >= 1, "at least 1"),
        "alpha": (alpha, alpha > 0, "greater than 0"),
        "dropout": (dropout, 0 <= dropout < 1, "from 0 to below 1"),
    }
    for name, (value, is_allowed, words) in allowed.items():
        if not is_allowed:
            message = f"{name} of add_lora must be {words}, got {value}"
            raise ConfigError(message)
    chosen = "all-linear" if targets is None else targets if isinstance(targets, str) else list(targets)
    return peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=chosen, lora_dropout=dropout)


def _start(peft: Any, start: nn.Module | str | Path | None) -> tuple[Any, dict[str, Tensor] | None, str]:
    """Return the configuration and the weights to start from, and where they are from."""
    if start is None:
        return None, None, ""
    if isinstance(start, nn.Module):
        return deepcopy(_config_of(start)), lora_weights(start), f"the {type(start).__name__} to start from"
    folder = Path(start)
    if not (folder / CONFIG).exists():
        message = f"there are no adapters in {folder}: {CONFIG} is not there"
        raise StoreError(message)
    config = peft.LoraConfig.from_pretrained(str(folder))
    config.inference_mode = False
    tensors, _ = load_tensors(folder / WEIGHTS, foreign=True)
    return config, {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}, str(folder)


def _config_of(model: nn.Module) -> Any:
    configs: Any = getattr(model, "peft_config", None)
    if not configs:
        message = f"the {type(model).__name__} has no adapters: add_lora puts them in"
        raise ModelError(message)
    return configs["default"]


def _put(model: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    have = lora_weights(model)
    for name in sorted(have.keys() | weights.keys()):
        here, there = (tuple(named[name].shape) if name in named else "absent" for named in (have, weights))
        if here != there:
            message = f"{where} has adapters for another model: {name} is {there} there and {here} here"
            raise ModelError(message)
    with torch.no_grad():
        for name, tensor in have.items():
            tensor.copy_(weights[name])
