"""A hypernetwork: a network whose outputs are the weights of another, so that one condition is one network.

At the start every condition gives nearly the weights the target was made with: the last layer starts with them
as its bias and with small weights, so training begins where the target alone would.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call, vmap

from concordant.core.errors import ConfigError, DataError
from concordant.learn.networks.mlp import MLP
from concordant.learn.randomness import Seed, generator_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class HyperNetwork(nn.Module):
    """Generates the weights of a target module from a condition, such as the embedding of a task.

    Parameters
    ----------
    target
        The module whose weights are generated; it has parameters and no buffers. Its own weights are the starting
        point and are not trained.
    n_conditions
        Width of the condition.
    hidden
        Widths of the generating perceptron.
    spread
        How far the weights of two conditions differ at the start, relative to usual weights of the last layer.
    seed
        A number or a generator for the initial weights.

    Raises
    ------
    ConfigError
        If the target has buffers, or nothing to generate.

    References
    ----------
    Ha, Dai, Le, "HyperNetworks", 2016; von Oswald et al., "Continual learning with hypernetworks", 2020.

    Examples
    --------
    >>> import torch
    >>> from concordant.learn.networks import MLP
    >>> net = HyperNetwork(MLP(3, 1, hidden=(8,)), 10, seed=0)
    >>> task = torch.zeros(10)
    >>> net(task, torch.zeros(5, 3)).shape
    torch.Size([5, 1])
    >>> {name: tuple(weight.shape) for name, weight in net.weights(task).items()}
    {'layers.0.weight': (8, 3), 'layers.0.bias': (8,), 'layers.1.weight': (1, 8), 'layers.1.bias': (1,)}
    """

    def __init__(
        self,
        target: nn.Module,
        n_conditions: int,
        *,
        hidden: Sequence[int] = (64, 64),
        spread: float = 0.1,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        started = {name: weight.detach() for name, weight in target.named_parameters()}
        if not started or any(True for _ in target.buffers()):
            what = "no parameters" if not started else "buffers, which cannot be generated"
            message = f"the target of a hypernetwork must have parameters and no buffers, got one with {what}"
            raise ConfigError(message)
        self.shapes = {name: weight.shape for name, weight in started.items()}
        self._target = (target,)  # in a tuple, so that its weights are not parameters of this module
        n_weights = sum(weight.numel() for weight in started.values())
        self.body = MLP(n_conditions, n_weights, hidden=hidden, seed=generator_of(seed))
        with torch.no_grad():
            *_, last = self.body.maps()
            last.weight.mul_(spread)
            last.bias.copy_(torch.cat([weight.flatten() for weight in started.values()]))

    def weights(self, condition: Tensor) -> dict[str, Tensor]:
        """Return the weights by name, for a condition ``(d,)``, or for several ``(n, d)`` with a leading axis."""
        width = self.body.widths[0]
        if condition.ndim not in (1, 2) or condition.shape[-1] != width:
            message = f"a condition must have shape ({width},) or (n, {width}), got {tuple(condition.shape)}"
            raise DataError(message)
        flat = self.body(condition).split([math.prod(shape) for shape in self.shapes.values()], dim=-1)
        return {
            name: part.view(*condition.shape[:-1], *shape)
            for part, (name, shape) in zip(flat, self.shapes.items(), strict=True)
        }

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """Return the output of the generated network; with n conditions, `x` and the output have a leading axis n."""
        return self.call(self.weights(condition), x)

    def call(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the output of the target with weights that were generated before."""
        (target,) = self._target

        def one(given: dict[str, Tensor], inputs: Tensor) -> Tensor:
            result: Tensor = functional_call(target, given, (inputs,))
            return result

        name, shape = next(iter(self.shapes.items()))
        if weights[name].ndim == len(shape):
            return one(weights, x)
        result: Tensor = vmap(one)(weights, x)
        return result
