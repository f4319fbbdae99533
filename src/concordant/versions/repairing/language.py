"""Repairs of causal language models: an adapter that is trained, both models at once, or weights between them."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.core.errors import ConfigError, DataError, require
from concordant.core.model import digest
from concordant.learn import TokenBatches, add_lora, answer_rows, cosine, lora_weights, merge_lora, save_lora
from concordant.models.causal import CausalLM
from concordant.models.huggingface import no_progress_bars
from concordant.models.language import GenerativeModel
from concordant.models.same_tokenizer import same_tokenizer
from concordant.versions.averages import interpolated_weights
from concordant.versions.muscle_adapter import compatible_adapter, copied_adapter
from concordant.versions.repairing.ensemble import EnsembleLM
from concordant.versions.repairing.lessons import OLD, Replies, better_reply, references, replies
from concordant.versions.repairing.way import Way

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from concordant.core.behaviours import Behaviours
    from concordant.core.model import Prompt
    from concordant.learn.sequences import Row
    from concordant.versions.repairing.settings import Method, RepairSettings

EPOCHS, RATE, BATCH = 4, 2e-3, 1024
"""Where nothing is said."""

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""


def language_way(
    method: Method,
    models: tuple[GenerativeModel, GenerativeModel],
    behaviours: tuple[Behaviours, Behaviours],
    settings: RepairSettings,
    *,
    cut_at: int,
    seed: int,
    checkpoint: Path | None,
    progress: bool,
) -> Way:
    """Make a way of repairing ready.

    Parameters
    ----------
    method
        Which.
    models
        The old and the new version, of one tokenizer.
    behaviours
        What they did on the items to train on.
    settings
        How it is trained.
    cut_at
        Tokens after which an answer was cut off.
    seed
        Of the adapter and of the order of the lessons.
    checkpoint
        A folder from which a training goes on that was stopped, or None.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    ConfigError
        If the tokenizers differ, or the models answer by the scores of options in a blank.
    DataError
        If there is nothing to learn, or weights between the two are asked for and they have not one architecture.
    """
    old, new = (_causal(model) for model in models)
    same_tokenizer(old, new)
    if models[1].options == "blank":
        message = (
            "a repair cannot teach options in a blank: allowed are answers that are written, letter and cloze"
        )
        raise ConfigError(message)

    name = f"{new.name}, {method}"

    def as_new(model: CausalLM) -> GenerativeModel:
        return _as(models[1], model, name)

    if method == "ensemble":
        return Way(lambda strength: spoken_together(*models, strength, name=name), calls=2)
    if method == "interpolation":
        interpolated_weights(old.model.state_dict(), new.model.state_dict())  # refuses two architectures
        return Way(
            lambda strength: as_new(_between(old, new, strength)),
            lambda folder, strength: _save(folder / "model", _between(old, new, strength).model, new),
        )
    lessons = language_lessons(method, behaviours, settings, cut_at=cut_at, way=models[1].options)
    rows, from_old, too_long = _rows(new, lessons)
    by_owner = method == "muscle" and settings.lessons == "replies" and settings.rule in (None, "reply")
    rule: Any = (
        "all" if method == "distil" else "current_wrong" if by_owner else settings.rule or "current_wrong"
    )
    batches = TokenBatches(rows, max(settings.batch or BATCH, *(len(ids) for ids, _ in rows)))
    epochs, weight = settings.epochs or EPOCHS, settings.cross_entropy_weight
    update = compatible_adapter(
        old.model,
        new.model,
        batches,
        rank=settings.rank,
        rule=rule,
        from_old=from_old if by_owner else None,
        cross_entropy_weight=float(by_owner) if weight is None else weight,
        epochs=epochs,
        optimizer=partial(torch.optim.AdamW, lr=settings.rate or RATE),
        schedule=partial(cosine, warm_up=round(WARM_UP * epochs * len(batches))),
        clip=1.0,
        seed=seed,
        device=next(new.model.parameters()).device,
        checkpoint=checkpoint,
        resume=checkpoint is not None,
        progress=progress,
    )
    adapted = update.model.eval()
    about = {
        "lessons": len(rows),
        "lessons_from_old": sum(from_old),
        "left_out": lessons.left_out + too_long,
        "tokens": sum(len(ids) - prompt for ids, prompt in rows),
        "steps": update.history.steps,
        "masked_rates": list(update.masked_rates),
    }

    def save(folder: Path, strength: float) -> None:
        scaled = _scaled(adapted, strength)
        save_lora(folder / "adapter", scaled)
        merged = copy.deepcopy(new.model)
        add_lora(merged, start=scaled)
        merge_lora(merged)
        _save(folder / "model", merged, new)

    return Way(
        lambda strength: as_new(_with(new, _scaled(adapted, strength), *_weights(adapted), strength)),
        save,
        about=about,
    )


def spoken_together(
    old: GenerativeModel, new: GenerativeModel, share_of_old: float, *, name: str
) -> GenerativeModel:
    """Return the ensemble of two versions as one model, asked as the new one is.

    Parameters
    ----------
    old, new
        Causal language models of one tokenizer.
    share_of_old
        How much of the probability is the old one's, in [0, 1].
    name
        What reports call it.
    """
    return _as(new, EnsembleLM(_causal(old), _causal(new), share=1 - share_of_old), name)


def _as(model: GenerativeModel, language_model: CausalLM, name: str) -> GenerativeModel:
    """Return a language model that answers items as another model does."""
    norm = model.norm if model.options else None
    return GenerativeModel(language_model, name=name, options=model.options, norm=norm)


def language_lessons(
    method: Method,
    behaviours: tuple[Behaviours, Behaviours],
    settings: RepairSettings,
    *,
    cut_at: int,
    way: str | None,
) -> Replies:
    """Choose what an adapter learns from: of ``"distil"`` all replies of the old version.

    Parameters
    ----------
    method, behaviours, settings, cut_at
        As for `language_way`.
    way
        As for `concordant.versions.repairing.lessons.replies`.
    """
    old, new = behaviours
    if settings.lessons == "references":
        return references(old.items, way=way)
    use = np.full(len(old.items), OLD, np.int8) if method == "distil" else better_reply(old, new)
    return replies(old, new, use, cut_at=cut_at, way=way)


def _causal(model: GenerativeModel) -> CausalLM:
    language_model = model.language_model
    if not isinstance(language_model, CausalLM):
        message = (
            f"a repair trains causal language models of torch (hf:, pocket:), got {model.name!r}, "
            f"a {type(language_model).__name__}"
        )
        raise ConfigError(message)
    return language_model


def _rows(model: CausalLM, taught: Replies) -> tuple[list[Row], list[bool], int]:
    """Return rows of tokens, whose each is, and how many did not fit into the model."""
    tokenizer = model.tokens.tokenizer
    asked: list[Prompt] = list(taught.prompts)
    if model.chat:
        asked = [[{"role": "user", "content": p}] if isinstance(p, str) else p for p in asked]
    texts = [_set_off(p, text) for p, text in zip(asked, taught.texts, strict=True)]
    rows = answer_rows(tokenizer, asked, texts)
    longest = getattr(model.model.config.get_text_config(), "max_position_embeddings", None) or 2**31
    fit = [len(ids) <= longest and prompt < len(ids) for ids, prompt in rows]
    if not any(fit):
        message = f"there is nothing to learn: no lesson fits into the {longest} tokens of the model"
        raise DataError(message)
    kept: list[Row] = [row for row, fits in zip(rows, fit, strict=True) if fits]
    return kept, [own for own, fits in zip(taught.from_old, fit, strict=True) if fits], fit.count(False)


def _set_off(prompt: Prompt, reply: str) -> str:
    """Return a reply with the space that sets it off from a text that it continues."""
    joined = not isinstance(prompt, str) or prompt[-1:].isspace() or reply[:1].isspace()
    return reply if joined else f" {reply}"


def _weights(adapted: nn.Module) -> tuple[bytes, ...]:
    return tuple(w.detach().cpu().float().numpy().tobytes() for w in lora_weights(adapted).values())


def _scaled(adapted: nn.Module, strength: float) -> nn.Module:
    """Return the model with its adapter at a strength; all other weights are shared."""
    scaled = copied_adapter(adapted).eval()
    with torch.no_grad():
        for name, weight in lora_weights(scaled).items():
            if "lora_B" in name:
                weight.mul_(strength)
    return scaled


def _between(old: CausalLM, new: CausalLM, strength: float) -> CausalLM:
    module = copy.deepcopy(new.model)
    module.load_state_dict(
        interpolated_weights(old.model.state_dict(), module.state_dict(), share=1 - strength)
    )
    return _with(new, module, "between", old.fingerprint, strength)


def _with(model: CausalLM, module: nn.Module, *made_by: Any) -> CausalLM:
    """Return a language model that is asked as another is."""
    return CausalLM(
        module,
        model.tokens.tokenizer,
        fingerprint=digest(model.fingerprint, *made_by),
        batch_size=model.batch_size,
        chat=model.chat,
    )


def _save(folder: Path, module: Any, model: CausalLM) -> None:
    """Write a model in the usual files, with the tokenizer of another."""
    transformers = require("transformers", "torch", "language models")
    with no_progress_bars(transformers.utils.logging):
        module.save_pretrained(folder)
    model.tokens.tokenizer.save_pretrained(folder)
