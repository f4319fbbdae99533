r"""Ordering the tokens of a block by what it thinks of them, softly, so that the order is learnt.

A token scores :math:`s_l = K S_\Delta x_l`; tokens are put in the order of their scores, lowest first, by

.. math:: P_{il} = \mathrm{softmax}_l\left(-\,|s_{(i)} - s_l| / \tau\right), \qquad x \leftarrow P x

It is for blocks over tokens that are all there at once, such as patches of an image. A model that predicts the next
token must not have its tokens reordered: later tokens would come before earlier ones, and be seen.

References
----------
Vo et al., "Demystifying the Token Dynamics of Deep Selective State Space Models", 2025; Prillo and Eisenschlos,
"SoftSort: A Continuous Relaxation for the argsort Operator", 2020.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from concordant.core.errors import ConfigError
from concordant.explanations.series_model import evaluating
from concordant.learn.randomness import Seed, generator_of, uniform

if TYPE_CHECKING:
    from collections.abc import Callable

N_PROBED = 5
"""Tokens of the input by which a block is asked whether it looks ahead."""


def soft_permutation(scores: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Return the soft permutation that puts tokens in the order of their scores, lowest first.

    Parameters
    ----------
    scores
        Shape ``(batch, tokens)``.
    temperature
        :math:`\tau` above 0; towards 0 it becomes the permutation itself.

    Returns
    -------
    tensor of shape ``(batch, tokens, tokens)`` whose rows sum to 1

    Raises
    ------
    ConfigError
        If the temperature is not above 0.

    Examples
    --------
    >>> soft_permutation(torch.tensor([[3.0, 1.0, 2.0]]), temperature=0.01)[0].argmax(-1).tolist()
    [1, 2, 0]
    """
    if not temperature > 0:
        message = f"temperature of soft_permutation must be above 0, got {temperature}"
        raise ConfigError(message)
    ordered = scores.sort(-1).values
    distances = (ordered[:, :, None] - scores[:, None, :]).abs()
    return (-distances / temperature).softmax(-1)


class SoftSort(nn.Module):
    r"""A bidirectional block whose tokens are put in a learnt order before it sees them.

    Parameters
    ----------
    block
        Maps tokens ``(batch, tokens, channels)`` to a tensor of as many tokens. Its own steps, B and C are made of the
        reordered tokens.
    steps
        What the block makes its step sizes of, :math:`S_\Delta`: maps tokens to ``(batch, tokens, n_steps)``.
    channels, n_steps
        Of the tokens and of the steps.
    temperature
        Of :func:`soft_permutation`.
    one_way
        Says that a block which only looks back is meant: it scans in one direction over tokens that are all there, as in
        vision. Such a block is refused otherwise.
    seed
        Decides the scoring weights K.

    Raises
    ------
    ConfigError
        If the block is, or holds, a causal language model; or if it only looks back and `one_way` is not given.

    Examples
    --------
    >>> block = nn.GRU(4, 2, batch_first=True, bidirectional=True)
    >>> sorts = SoftSort(lambda x: block(x)[0], nn.Linear(4, 3), channels=4, n_steps=3)
    >>> sorts(torch.zeros(2, 5, 4)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        block: Callable[[Tensor], Tensor],
        steps: Callable[[Tensor], Tensor],
        *,
        channels: int,
        n_steps: int,
        temperature: float = 1.0,
        one_way: bool = False,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.block, self.steps, self.temperature = block, steps, temperature
        if _predicts_next(block):
            message = f"the tokens of a {type(block).__name__} cannot be reordered: {_LEAK}"
            raise ConfigError(message)
        if not one_way and looks_only_back(block, channels):
            message = (
                f"the block only looks back, and its tokens cannot be reordered if it is part of a model that predicts "
                f"them: {_LEAK}; one_way=True says that it is not"
            )
            raise ConfigError(message)
        self.score = uniform((n_steps,), n_steps, generator_of(seed))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the block gives for the reordered tokens."""
        return self.block(self.order(tokens) @ tokens)

    def order(self, tokens: Tensor) -> Tensor:
        """Return the soft permutation of tokens, shape ``(batch, tokens, tokens)``."""
        steps: Tensor = self.steps(tokens)
        return soft_permutation(steps @ self.score, temperature=self.temperature)


_LEAK = "later tokens would come before earlier ones, so a token would be predicted from itself"


def looks_only_back(block: Callable[[Tensor], Tensor], channels: int) -> bool:
    """Say whether what a block gives for a token depends on no later token, by changing the last of a few.

    Parameters
    ----------
    block
        Maps tokens ``(batch, tokens, channels)`` to a tensor of as many tokens.
    channels
        Of the tokens.

    Examples
    --------
    >>> looks_only_back(lambda x: x.cumsum(1), 3), looks_only_back(lambda x: x - x.mean(1, keepdim=True), 3)
    (True, False)
    """
    weight = next(block.parameters(), None) if isinstance(block, nn.Module) else None
    tokens = torch.randn(2, N_PROBED, channels, generator=torch.Generator().manual_seed(0))
    tokens[1, :-1] = tokens[0, :-1]
    if weight is not None:
        tokens = tokens.to(weight)
    mode = evaluating(block) if isinstance(block, nn.Module) else nullcontext()
    with mode, torch.no_grad():
        first, second = block(tokens)
    return torch.equal(first[:-1], second[:-1])


def _predicts_next(block: Any) -> bool:
    """Say whether a module holds a model of transformers that generates text."""
    modules: list[Any] = list(block.modules()) if isinstance(block, nn.Module) else []
    return any(hasattr(module, "can_generate") and module.can_generate() for module in modules)
