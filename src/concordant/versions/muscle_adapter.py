"""MUSCLE for causal language models: an adapter that starts as a copy of the new one, on a base that stays frozen.

Old and new are two bases that the same recipe gave an adapter for the same task. What is trained is a copy of the new
one: its adapter is its own, its frozen weights are the very ones of the new model, so that little memory is added.
Both versions read the right answer (teacher forcing), and are compared at its tokens only.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from concordant.core.errors import ConfigError, ModelError
from concordant.learn.lora import add_lora
from concordant.learn.sequences import logits_of
from concordant.models.same_tokenizer import same_tokenizer
from concordant.versions.muscle import CompatibleUpdate, Predictions, Rule, distilled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from concordant.learn.batches import Epoch


def compatible_adapter(
    old: Any,
    new: Any,
    batches: Sequence[Any] | Epoch,
    *,
    rank: int | None = None,
    rule: Rule = "current_wrong",
    from_old: Sequence[bool] | None = None,
    cross_entropy_weight: float = 0.0,
    **options: Any,
) -> CompatibleUpdate:
    """Train an adapter that keeps the new language model and what the old one did right.

    Parameters
    ----------
    old, new
        Causal language models of one tokenizer: modules of transformers, with adapters in place or merged, or loaded
        models (``cc.load("hf:...")``, `concordant.models.CausalLM`), whose tokenizers are then compared. Both are moved
        to the device of the training and are otherwise left as they were.
    batches
        Of the data that both adapters were trained on: mappings with ``tokens`` and ``mask``, shape ``(batch, time)``,
        as `concordant.learn.TokenBatches` makes them.
    rank
        Of a fresh adapter, for a new model without any; it starts at nothing, which is the new model too.
    rule, cross_entropy_weight
        As for `concordant.versions.muscle.compatibility_loss`.
    from_old
        Of each row of `TokenBatches`, whether the old model is its teacher, in place of a rule: for rows that are
        replies of the two versions themselves, each taught by its own.
    options
        Of `concordant.learn.train`: `steps` or `epochs`, `optimizer`, `seed`, `device`, `validate`, ...

    Returns
    -------
    CompatibleUpdate
        Its model is a module with the compatible adapter in place: `concordant.learn.save_lora` writes it,
        `concordant.learn.merge_lora` adds it to the weights (which it shares with `new`: copy it first).

    Raises
    ------
    ConfigError
        If the tokenizers differ, or `rank` is given for a model with an adapter, or is missing for one without.
    DataError
        If the two versions have different vocabularies.
    ModelError
        If a version is neither a module nor holds one.

    Examples
    --------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from concordant.learn import TokenBatches
    >>> from concordant.learn.loop import own_generator
    >>> config = LlamaConfig(vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
    ...                      num_attention_heads=2)
    >>> with own_generator(torch.device("cpu"), 0):
    ...     old, new = LlamaForCausalLM(config), LlamaForCausalLM(config)
    >>> batches = TokenBatches([([1, 2, 3], 1), ([4, 5, 6], 1)])
    >>> update = compatible_adapter(old, new, batches, rank=2, epochs=2, progress=False)
    >>> update.history.parts["tokens"], len(update.masked_rates)
    ([4.0, 4.0], 2)
    """
    old_module, new_module = _module_of(old), _module_of(new)
    if not (isinstance(old, nn.Module) or isinstance(new, nn.Module)):
        same_tokenizer(old, new)
    student = _student(new_module, rank, options.get("seed", 0))

    owners = None if from_old is None else torch.as_tensor(from_old, dtype=torch.bool)

    def read(model: nn.Module, batch: Any) -> Predictions:
        tokens, counts = batch["tokens"], batch["mask"][:, 1:].bool()
        if owners is not None:
            theirs = owners.to(tokens.device)[batch["rows"]]
            said, is_old = _said_by_owner((old_module, new_module), tokens, counts, theirs)
            current = logits_of(model, tokens)[:, :-1][counts]
            return Predictions(current, said, said, tokens[:, 1:][counts], from_old=is_old)
        said_old, said_new = (_said(teacher, tokens)[:, :-1][counts] for teacher in (old_module, new_module))
        current = logits_of(model, tokens)[:, :-1][counts]
        return Predictions(current, said_old, said_new, tokens[:, 1:][counts])

    return distilled(student, read, batches, rule=rule, cross_entropy_weight=cross_entropy_weight, **options)


def copied_adapter(model: nn.Module) -> nn.Module:
    """Copy a model with adapters: what is trained is copied, what is frozen is shared.

    Parameters
    ----------
    model
        With adapters in place, by `concordant.learn.add_lora` or of peft.

    Returns
    -------
    nn.Module
        A model whose adapters are its own and can be trained. To merge it, copy it whole first: the weights of the
        base are those of `model` too.

    Raises
    ------
    ModelError
        If it has no adapters.
    """
    if not hasattr(model, "peft_config"):
        message = f"the {type(model).__name__} has no adapters to copy: add_lora puts them in"
        raise ModelError(message)
    frozen = {name: weight for name, weight in model.named_parameters() if ".lora_" not in name}
    copied = copy.deepcopy(model, memo={id(weight): weight for weight in frozen.values()})
    for name, weight in copied.named_parameters():
        if name not in frozen:
            weight.requires_grad_(True)
    return copied


def _student(new: nn.Module, rank: int | None, seed: int) -> nn.Module:
    if hasattr(new, "peft_config"):
        if rank is not None:
            message = (
                f"rank is that of the adapter of the new model, which is copied; leave it out, got {rank}"
            )
            raise ConfigError(message)
        return copied_adapter(new)
    if rank is None:
        message = (
            "the new model has no adapter: give the rank of a fresh one, or add_lora to both versions first"
        )
        raise ConfigError(message)
    student = copy.deepcopy(new)
    add_lora(student, rank, seed=seed)
    return student


def _said_by_owner(
    teachers: tuple[nn.Module, nn.Module], tokens: Tensor, counts: Tensor, from_old: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what the teacher of each row says at the tokens that count, and whether that is the old one."""
    said = None
    for teacher, rows in zip(teachers, (from_old, ~from_old), strict=True):
        if rows.any():
            logits = _said(teacher, tokens[rows])[:, :-1]
            said = logits.new_empty(*counts.shape, logits.shape[-1]) if said is None else said
            said[rows] = logits
    assert said is not None
    return said[counts], from_old[:, None].expand_as(counts)[counts]


@torch.no_grad()
def _said(teacher: nn.Module, tokens: Tensor) -> Tensor:
    was_training = teacher.training
    teacher.to(tokens.device).eval()
    try:
        return logits_of(teacher, tokens)
    finally:
        teacher.train(was_training)


def _module_of(model: Any) -> nn.Module:
    """Return the module of a loaded language model, or a module as it is."""
    if isinstance(model, nn.Module):
        return model
    module = getattr(getattr(model, "language_model", model), "model", None)
    if not isinstance(module, nn.Module):
        message = f"a compatible adapter needs causal language models of torch, got a {type(model).__name__}"
        raise ModelError(message)
    return module
