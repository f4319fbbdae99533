"""A critic for PPO: a head on a language model that says, before each token, what reward is still to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from concordant.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


class WithCritic(nn.Module):
    """A causal language model and a linear head on its last hidden states; both share what they compute.

    The head starts at zero, so that the first advantages are the rewards themselves.

    Parameters
    ----------
    model
        A causal language model of transformers. It is used as it is: training this module trains it.

    Raises
    ------
    ModelError
        If the model does not say how wide its hidden states are.

    Examples
    --------
    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> with torch.random.fork_rng():
    ...     both = WithCritic(LlamaForCausalLM(LlamaConfig(vocab_size=12, **sizes)))
    >>> logits, values = both.logits_and_values(torch.tensor([[1, 5, 7]]))
    >>> logits.shape, values.tolist()
    (torch.Size([1, 3, 12]), [[0.0, 0.0, 0.0]])
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        config: Any = getattr(model, "config", None)
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        width = getattr(text, "hidden_size", None)
        if width is None:
            message = (
                f"a critic needs a model whose configuration has a hidden_size, got a {type(model).__name__}"
            )
            raise ModelError(message)
        self.model = model
        first = next(model.parameters())
        skip_init: Any = nn.utils.skip_init  # has no types
        self.head = skip_init(nn.Linear, width, 1, device=first.device, dtype=first.dtype)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, **options: Any) -> Any:
        """Return what the language model returns."""
        return self.model(tokens, **options)

    def logits_and_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``(batch, time, vocabulary)`` and values ``(batch, time)``.

        The value at a token is about the state before it, from which the logits before it predict it: entry i
        depends on tokens before i only. The first is 0.
        """
        output = self.model(tokens, use_cache=False, output_hidden_states=True)
        values = self.head(output.hidden_states[-1][:, :-1]).squeeze(-1)
        return output.logits, torch.cat([values.new_zeros(len(values), 1), values], dim=1)
