"""Reward models: a decoder with a head that gives one score at the last token, trained on preference pairs.

They are the sequence classifiers of transformers with one output, so that what is trained here is saved, loaded and
served as any other.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError, ModelError, require
from concordant.learn.answers import answer_scores
from concordant.learn.loop import own_generator
from concordant.learn.losses import bradley_terry
from concordant.learn.losses.reduction import positive
from concordant.learn.preferences import by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn


def reward_head(model: Any, *, seed: int = 0) -> Any:
    """Return a reward model with the weights of a causal language model and a new head.

    Parameters
    ----------
    model
        A causal language model of transformers; it stays as it is.
    seed
        Of the weights of the head.

    Returns
    -------
    transformers.PreTrainedModel
        A model for sequence classification with one output, on the same device and of the same precision.
        Its configuration names token 0 as padding where the model names none.

    Raises
    ------
    ModelError
        If transformers has no sequence classifier of this architecture.

    Examples
    --------
    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> with torch.random.fork_rng():
    ...     judge = reward_head(LlamaForCausalLM(LlamaConfig(vocab_size=12, **sizes)))
    >>> type(judge).__name__, judge.score.weight.shape
    ('LlamaForSequenceClassification', torch.Size([1, 8]))
    """
    transformers = require("transformers", "torch", "reward models")
    config = deepcopy(model.config)
    config.num_labels = 1
    if config.pad_token_id is None:  # transformers asks for one; here places are counted, not looked for
        config.pad_token_id = 0
    with own_generator(torch.device("cpu"), seed):
        try:
            made = transformers.AutoModelForSequenceClassification.from_config(
                config, attn_implementation=config._attn_implementation
            )
        except ValueError:
            message = (
                f"transformers has no model for sequence classification of the kind of {type(model).__name__}"
            )
            raise ModelError(message) from None
    made.base_model.load_state_dict(model.base_model.state_dict())
    return made.to(device=model.device, dtype=model.dtype)


def reward_loss(
    *, scale: float = 1.0, centring: float = 0.0
) -> Callable[[nn.Module, Mapping[str, Tensor]], dict[str, Tensor]]:
    r"""Return the loss of a reward model, for :func:`concordant.learn.train` and batches of preference pairs.

    :func:`concordant.learn.bradley_terry` with the label, weight and margin that each pair carries, plus
    :math:`\gamma\,\overline{(r_c + r_r)^2}`, which holds the scores about 0.

    Parameters
    ----------
    scale
        The inverse temperature of the judge, greater than 0.
    centring
        :math:`\gamma`, at least 0. Pairs tell differences only: without it, the mean of the scores is free.

    Returns
    -------
    callable
        ``loss(model, batch)`` gives ``loss``; ``accuracy``, the share of pairs whose chosen answer has the higher
        score; and ``reward_margin``, the mean difference of scores.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    ModelError
        From the loss, if the model has no head for sequence classification, or several outputs.

    References
    ----------
    Ouyang et al., "Training language models to follow instructions with human feedback", 2022; centring: Eisenstein
    et al., "Helping or Herding?", 2023.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from concordant.learn import PreferencePairs, train
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> with torch.random.fork_rng():
    ...     judge = reward_head(LlamaForCausalLM(LlamaConfig(vocab_size=12, **sizes)))
    >>> pairs = PreferencePairs([[1, 5], [1, 6]], [[7, 2], [8, 2]], [[9, 2], [9, 10, 2]])
    >>> adam = partial(torch.optim.Adam, lr=0.01)
    >>> history = train(judge, reward_loss(), pairs.batches(2, model=judge), steps=20, optimizer=adam)
    >>> history.loss[-1] < 0.5 < history.loss[0], history.parts["accuracy"][-1]
    (True, 1.0)
    """
    positive("reward_loss", scale=scale)
    if not 0 <= centring < float("inf"):
        message = f"centring of reward_loss must be finite and at least 0, got {centring}"
        raise ConfigError(message)

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scores = answer_scores(model, batch)
        if scores.shape[1] != 1:
            message = f"reward_loss needs a model with one output, got {scores.shape[1]}"
            raise ModelError(message)
        chosen, rejected = by_side(scores[:, 0], shared="segments" in batch)
        value = bradley_terry(
            chosen,
            rejected,
            margin=batch.get("margin"),
            scale=scale,
            label_smoothing=1 - batch["label"] if "label" in batch else 0.0,
            weights=batch.get("weights"),
        )
        if centring:
            value = value + centring * (chosen + rejected).square().mean()
        difference = (chosen - rejected).detach()
        return {
            "loss": value,
            "accuracy": (difference > 0).float().mean(),
            "reward_margin": difference.mean(),
        }

    return loss
