"""A multilayer perceptron: linear maps with an activation between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import silu

from concordant.core.errors import ConfigError
from concordant.learn.randomness import Seed, generator_of, linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor


class MLP(nn.Module):
    """Linear maps with an activation between them, and none after the last.

    Parameters
    ----------
    n_inputs, n_outputs
        Widths of the two ends, at least 1.
    hidden
        Widths between them; none for a linear map.
    activation
        Any elementwise function of a tensor.
    seed
        A number or a generator for the initial weights.

    Raises
    ------
    ConfigError
        If a width is below 1.

    Examples
    --------
    >>> import torch
    >>> MLP(3, 2, hidden=(16, 16), seed=0)(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        hidden: Sequence[int] = (200, 200),
        activation: Callable[[Tensor], Tensor] = silu,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        generator = generator_of(seed)
        self.widths = checked_widths("MLP", n_inputs, *hidden, n_outputs)
        self.activation = activation
        self.layers = nn.ModuleList(
            linear(before, after, generator)
            for before, after in zip(self.widths, self.widths[1:], strict=False)
        )

    def maps(self) -> Iterator[nn.Linear]:
        """Go through the linear maps, from the input on."""
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            yield layer

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., n_inputs)`` to ``(..., n_outputs)``."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        result: Tensor = self.layers[-1](x)
        return result


def checked_widths(caller: str, *widths: int) -> tuple[int, ...]:
    """Refuse a width below 1."""
    if min(widths) < 1:
        message = f"the widths of {caller} must be at least 1, got {', '.join(map(str, widths))}"
        raise ConfigError(message)
    return widths
