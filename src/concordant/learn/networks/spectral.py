r"""Spectral normalisation with a bound of one's choice: no linear map stretches a vector by more than :math:`\beta`.

PyTorch's own divides by the norm always, which is the bound 1 reached from below as well; here a map that is within
the bound is left as it is: :math:`W / \max(1, \sigma(W)/\beta)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from concordant.core.errors import ConfigError
from concordant.learn.randomness import Seed, generator_of

if TYPE_CHECKING:
    from torch import Tensor


def bound_spectral_norm(
    module: nn.Module, bound: float = 1.0, *, iterations: int = 1, warm_up: int = 30, seed: Seed = 0
) -> nn.Module:
    r"""Bound the largest singular value of the weight of every linear layer inside, in place.

    The product of the bounds bounds the Lipschitz constant of a network with 1-Lipschitz activations. The singular
    vectors are followed by power iteration, which goes on at each call in training mode and rests in evaluation mode.

    Parameters
    ----------
    module
        A module with linear layers.
    bound
        :math:`\beta > 0`.
    iterations
        Power iterations a call in training mode, at least 1.
    warm_up
        Power iterations before the first call.
    seed
        A number or a generator for the first guess of the singular vectors.

    Returns
    -------
    nn.Module
        The same module.

    Raises
    ------
    ConfigError
        If the bound is not positive, `iterations` is below 1, or there is no linear layer.

    References
    ----------
    Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018; with a bound: Zheng et al.,
    "Is Model Ensemble Necessary? Model-based RL via a Single Model with Lipschitz Regularized Value Function", 2023.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.utils.skip_init(torch.nn.Linear, 2, 2)
    >>> _ = layer.weight.data.copy_(torch.diag(torch.tensor([4.0, 1.0])))
    >>> bound_spectral_norm(layer, 2.0).weight.diagonal().detach()
    tensor([2.0000, 0.5000])
    """
    if not bound > 0 or iterations < 1:
        message = f"bound must be greater than 0 and iterations at least 1, got {bound} and {iterations}"
        raise ConfigError(message)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        message = f"bound_spectral_norm needs a module with linear layers, got a {type(module).__name__} without any"
        raise ConfigError(message)
    generator = generator_of(seed)
    for layer in layers:
        limit = SpectralBound(layer.weight, bound, iterations, warm_up, generator)
        parametrize.register_parametrization(layer, "weight", limit)
    return module


class SpectralBound(nn.Module):
    """The parametrisation behind :func:`bound_spectral_norm`."""

    left: Tensor
    right: Tensor

    def __init__(
        self, weight: Tensor, bound: float, iterations: int, warm_up: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.bound, self.iterations = bound, iterations
        rows, columns = weight.shape
        self.register_buffer("left", normalize(torch.randn(rows, generator=generator).to(weight), dim=0))
        self.register_buffer("right", normalize(torch.randn(columns, generator=generator).to(weight), dim=0))
        self._iterate(weight, warm_up)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, scaled down where it passes the bound."""
        if self.training:
            self._iterate(weight, self.iterations)
        sigma = self.left.clone() @ weight @ self.right.clone()  # the next call changes the buffers in place
        return weight / (sigma / self.bound).clamp(min=1)

    @torch.no_grad()
    def _iterate(self, weight: Tensor, times: int) -> None:
        for _ in range(times):
            self.left.copy_(normalize(weight @ self.right, dim=0))
            self.right.copy_(normalize(weight.T @ self.left, dim=0))
