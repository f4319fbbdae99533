"""The setting of the paper on compatible updates: two language models, adapters for one task, questions with options.

The recipe is that of the paper as far as it is known: low-rank adapters on all linear layers of a frozen base, trained on
the tokens of the right answers; an answer is the option that the model holds for most probable.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.answers.options import named_option
from concordant.core.errors import ConfigError, DataError
from concordant.learn import TokenBatches, answer_rows, sft, train
from concordant.learn.lora import add_lora
from concordant.learn.randomness import child_seeds
from concordant.models.causal import CausalLM
from concordant.models.option_scores import option_scores
from concordant.models.same_tokenizer import same_tokenizer
from concordant.studies.update_setting import UpdateSetting
from concordant.versions.muscle_adapter import compatible_adapter, copied_adapter

if TYPE_CHECKING:
    from torch import Tensor, nn

    from concordant.core.items import Items
    from concordant.versions.muscle import CompatibleUpdate, RuleName

NAMES = {
    "old": "CONCORDANT_MUSCLE_OLD",
    "new": "CONCORDANT_MUSCLE_NEW",
    "train": "CONCORDANT_MUSCLE_TRAIN",
    "test": "CONCORDANT_MUSCLE_TEST",
}
"""Environment variables that name the two models (folders or names of the hub) and the items, as `Items.read` takes them."""


@dataclass(frozen=True)
class AdapterRecipe:
    """How adapters are trained; the defaults are the paper's where they are known (rank and alpha).

    Parameters
    ----------
    rank, alpha
        Of the adapters.
    epochs, update_epochs
        Times through the lessons: of the task, and of a repair.
    rate
        Learning rate.
    tokens, accumulate
        Tokens in a batch, and batches a step.
    chat
        Whether a question is asked as a turn of the user, in the chat template.
    """

    rank: int = 128
    alpha: float = 256.0
    epochs: int = 3
    update_epochs: int = 3
    rate: float = 1e-4
    tokens: int = 4096
    accumulate: int = 4
    chat: bool = False


def language_setting(
    old: CausalLM, new: CausalLM, lessons: Items, questions: Items, recipe: AdapterRecipe, *, seed: int
) -> UpdateSetting:
    """Make a setting of two language models.

    Parameters
    ----------
    old, new
        Two models of one tokenizer.
    lessons, questions
        Items with `choices` and the right one as reference, to train and to test.
    recipe
        How adapters are trained.
    seed
        Of the repairs.

    Raises
    ------
    ConfigError
        If the tokenizers differ.
    DataError
        If an item has no choices, or a reference that is none of them.
    """
    same_tokenizer(old, new)
    tokenizer = new.tokens.tokenizer
    questioned = lessons.inputs.to_list()
    prompts = [[{"role": "user", "content": text}] for text in questioned] if recipe.chat else questioned
    space = "" if recipe.chat else " "
    options = zip(_choices(lessons), _right(lessons), strict=True)
    answers = [f"{space}{choices[right]}" for choices, right in options]
    batches = TokenBatches(answer_rows(tokenizer, prompts, answers), recipe.tokens)
    right = torch.tensor(_right(questions))
    (update_seed,) = child_seeds(seed, 1)
    training: dict[str, Any] = {
        "optimizer": partial(torch.optim.AdamW, lr=recipe.rate),
        "accumulate": recipe.accumulate,
        "clip": 1.0,
        "progress": False,
    }
    repairing = training | {"epochs": recipe.update_epochs, "seed": update_seed}

    def teach(base: nn.Module, seed: int) -> nn.Module:
        model = copy.deepcopy(base, memo={id(weight): weight for weight in base.parameters()})
        add_lora(model, recipe.rank, alpha=recipe.alpha, seed=seed)
        train(model, sft, batches, epochs=recipe.epochs, seed=seed, **training)
        return model

    def taught_further(model: nn.Module) -> nn.Module:
        model = copied_adapter(model)
        train(model, sft, batches, **repairing)
        return model

    def repair(before: nn.Module, after: nn.Module, rule: RuleName) -> CompatibleUpdate:
        return compatible_adapter(before, after, batches, rule=rule, **repairing)

    def said(model: nn.Module) -> Tensor:
        asked = CausalLM(model, tokenizer, name="taught", fingerprint="taught", chat=recipe.chat)
        scores = [torch.from_numpy(item.scores) for item in option_scores(asked, questions)]
        return torch.nn.utils.rnn.pad_sequence(scores, batch_first=True, padding_value=-torch.inf)

    return UpdateSetting(old.model, new.model, teach, taught_further, repair, said, right)


def named_setting(*, seed: int) -> UpdateSetting:
    """Make the setting of the models and items that environment variables name.

    Raises
    ------
    ConfigError
        If one of the variables is missing, or names a model that is not a causal language model.
    """
    from concordant.core.items import Items
    from concordant.models.load import load
    from concordant.studies.your_models import named

    wanted = {NAMES[which]: f"the {which} language model" for which in ("old", "new")}
    wanted |= {NAMES[which]: f"items with choices to {which}" for which in ("train", "test")}
    found = named("muscle", wanted)
    old, new = (
        getattr(load(f"hf:{found[NAMES[which]]}"), "language_model", None) for which in ("old", "new")
    )
    for which, model in (("old", old), ("new", new)):
        if not isinstance(model, CausalLM):
            message = f"{NAMES[which]} must name a causal language model, got {found[NAMES[which]]!r}"
            raise ConfigError(message)
    lessons, questions = (Items.read(found[NAMES[which]]) for which in ("train", "test"))
    return language_setting(old, new, lessons, questions, AdapterRecipe(), seed=seed)  # type: ignore[arg-type]


def _choices(items: Items) -> list[list[str]]:
    if items.choices is None:
        message = (
            "compatible updates of language models are measured on items with choices, got items without any"
        )
        raise DataError(message)
    return [list(choices) for choices in items.choices]


def _right(items: Items) -> list[int]:
    """Return the position of the right option of each item."""
    choices = _choices(items)
    if items.reference is None or items.choices is None:
        message = "compatible updates need items with a reference, the right one of their choices"
        raise DataError(message)
    found = named_option(items.reference, items.choices)
    if found.null_count():
        at = int(found.is_null().arg_max() or 0)
        message = (
            f"the reference of item {items.ids[at]!r} must be one of its {len(choices[at])} choices, "
            f"got {items.reference[at]!r}"
        )
        raise DataError(message)
    return [int(place) for place in found]
