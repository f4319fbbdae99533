"""Two versions made into one without training: the mean of what they say, or of what they are.

The rivals of every compatible update. An ensemble flips few items and costs two models at each call; weights can only
be averaged where the versions have one architecture, and help where they grew out of one another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def ensemble_log_probabilities(old: Tensor, new: Tensor, *, share: float = 0.5) -> Tensor:
    r"""Return the logarithm of the mean probability of two versions, :math:`\log[(1-s)\,p_1 + s\,p_2]`.

    Parameters
    ----------
    old, new
        Logits, shape ``(..., classes)``.
    share
        :math:`s`, how much of it is the new version, in [0, 1]; default a half.

    Returns
    -------
    Tensor
        Log-probabilities, nats, of the same shape.

    Raises
    ------
    ConfigError
        If the share is not in [0, 1].
    DataError
        If the shapes differ.

    Examples
    --------
    >>> old, new = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.3, 0.7]]).log()
    >>> ensemble_log_probabilities(old, new).exp()
    tensor([[0.6000, 0.4000]])
    """
    _check_share(share)
    if old.shape != new.shape:
        message = (
            f"an ensemble needs versions of one vocabulary, got logits old {tuple(old.shape)} "
            f"and new {tuple(new.shape)}"
        )
        raise DataError(message)
    shares = torch.tensor([1.0 - share, share], dtype=old.dtype, device=old.device).log()
    return torch.logaddexp(shares[0] + old.log_softmax(-1), shares[1] + new.log_softmax(-1))


def interpolated_weights(
    old: Mapping[str, Tensor], new: Mapping[str, Tensor], *, share: float = 0.5
) -> dict[str, Tensor]:
    r"""Return weights on the line between two versions, :math:`(1-s)\,\theta_1 + s\,\theta_2`.

    Parameters
    ----------
    old, new
        State dictionaries of one architecture. What is not a floating-point tensor is taken from the new one.
    share
        :math:`s`, how much of it is the new version, in [0, 1]; default a half.

    Raises
    ------
    ConfigError
        If the share is not in [0, 1].
    DataError
        If the architectures differ.

    References
    ----------
    R. Schumann et al. (2023), Backward compatibility during data updates by weight interpolation, arXiv 2301.10546.

    Examples
    --------
    >>> interpolated_weights({"w": torch.tensor([0.0])}, {"w": torch.tensor([4.0])}, share=0.25)
    {'w': tensor([1.])}
    """
    _check_share(share)
    for name in sorted(old.keys() | new.keys()):
        shapes = [tuple(state[name].shape) if name in state else "no such weight" for state in (old, new)]
        if shapes[0] != shapes[1]:
            message = (
                f"weights can be interpolated between versions of one architecture only, "
                f"got {name!r} with {shapes[0]} in the old one and {shapes[1]} in the new one"
            )
            raise DataError(message)
    return {
        name: torch.lerp(old[name].to(weight), weight, share)
        if weight.is_floating_point()
        else weight.clone()
        for name, weight in new.items()
    }


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        message = f"the share of the new version must be from 0 to 1, got {share}"
        raise ConfigError(message)
