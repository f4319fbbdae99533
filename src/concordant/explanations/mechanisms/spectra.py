r"""Spectra of state-space layers: whether a layer draws its tokens to zero or drives them away.

A token meets itself in a layer with the weight :math:`x^\top S_C^\top S_B\, x`, whose sign is decided by the symmetric
part of :math:`S_C^\top S_B`: where all its eigenvalues are above zero tokens grow, where all are below they shrink.

References
----------
Vo et al., "Demystifying the Token Dynamics of Deep Selective State Space Models", 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.mechanisms.state_space_layers import state_space_layers, write_read_matrices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

Kind = Literal["positive", "negative", "mixed", "zero"]
KINDS: tuple[Kind, ...] = ("positive", "negative", "mixed", "zero")


@dataclass(frozen=True)
class SpectrumReport:
    r"""Eigenvalues of the symmetric part of :math:`S_C^\top S_B`, layer by layer; made by :func:`spectrum_report`.

    Parameters
    ----------
    eigenvalues
        By the name of the layer: those that can differ from zero, at most twice as many as there are states, ascending.
    channels
        Of each layer; all further eigenvalues are zero.
    tolerance
        What counts as zero, as a share of the largest of a layer.
    """

    eigenvalues: dict[str, Tensor]
    channels: dict[str, int]
    tolerance: float

    def table(self) -> pl.DataFrame:
        """One row a layer.

        Columns: ``layer``, ``kind``, ``n_positive``, ``n_negative``, ``n_zero``, ``smallest``, ``largest`` (of the
        eigenvalues), ``trace``, and ``positive_share``: the positive ones' share of the sum of absolute values, which
        tells mixed layers apart (missing where all are zero).
        """
        return pl.DataFrame(
            [self._row(name, values) for name, values in self.eigenvalues.items()],
            schema_overrides={"positive_share": pl.Float64},
        )

    @property
    def shares(self) -> dict[Kind, float]:
        """Share of the layers by kind."""
        kinds = self.table()["kind"].to_list()
        return {kind: kinds.count(kind) / len(kinds) for kind in KINDS}

    def _row(self, name: str, values: Tensor) -> dict[str, Any]:
        size = values.abs()
        counted = values[size > self.tolerance * size.max()]
        positive, negative = int((counted > 0).sum()), int((counted < 0).sum())
        kind = (
            "mixed"
            if positive and negative
            else "positive"
            if positive
            else "negative"
            if negative
            else "zero"
        )
        return {
            "layer": name,
            "kind": kind,
            "n_positive": positive,
            "n_negative": negative,
            "n_zero": self.channels[name] - positive - negative,
            "smallest": float(values.min()),
            "largest": float(values.max()),
            "trace": float(values.sum()),
            "positive_share": float(values.clamp(min=0).sum() / size.sum()) if len(counted) else None,
        }


def symmetric_eigenvalues(s_b: Tensor, s_c: Tensor) -> Tensor:
    r"""Return the eigenvalues of the symmetric part of :math:`S_C^\top S_B` that can differ from zero, ascending.

    The symmetric part is :math:`\tfrac12 W^\top J W` where W holds S_C above S_B and J swaps the two, so its eigenvalues
    are those of a matrix of twice as many rows as there are states, however many channels there are.

    Parameters
    ----------
    s_b, s_c
        Shape ``(states, channels)``.

    Returns
    -------
    tensor
        Of ``min(2 * states, channels)`` numbers in double precision.

    Examples
    --------
    >>> one = torch.tensor([[2.0, 0.0]])
    >>> symmetric_eigenvalues(one, -one).tolist()
    [-4.0, 0.0]
    """
    both = torch.cat([s_c, s_b]).double()
    upper = torch.linalg.qr(both.T, mode="r").R
    swapped = upper.roll(len(s_b), dims=1)
    eigenvalues: Tensor = torch.linalg.eigvalsh((upper @ swapped.T) / 2)
    return eigenvalues


def spectrum_report(
    model: nn.Module | Mapping[str, tuple[Tensor, Tensor]], *, tolerance: float | None = None
) -> SpectrumReport:
    """Say of each state-space layer which way it moves its tokens.

    What a whole layer does depends on more: on its convolution, gate, skip and output projection. Compare with
    :func:`~concordant.explanations.mechanisms.depth_norms.token_norms` of the same model.

    Parameters
    ----------
    model
        A model with layers as `state_space_layers` finds them, or pairs of S_B and S_C by name, each of shape
        ``(states, channels)``.
    tolerance
        An eigenvalue is zero below this share of the largest of its layer; by default ten times the rounding of the
        weights' precision. At most twice as many as there are states can be anything else.

    Raises
    ------
    ModelError
        If the model has no such layers.
    DataError
        If there are no pairs, or the two of a pair do not fit or are not finite.
    ConfigError
        If the tolerance is outside [0, 1).

    Examples
    --------
    >>> read = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    >>> report = spectrum_report({"first": (read, read), "second": (read, -read)})
    >>> report.table().select("layer", "kind", "n_positive", "n_negative", "n_zero").rows()
    [('first', 'positive', 2, 0, 1), ('second', 'negative', 0, 2, 1)]
    >>> report.shares["negative"]
    0.5
    """
    if tolerance is not None and not 0 <= tolerance < 1:
        message = f"tolerance of spectrum_report must be at least 0 and below 1, got {tolerance}"
        raise ConfigError(message)
    if isinstance(model, torch.nn.Module):
        pairs = {name: write_read_matrices(layer) for name, layer in state_space_layers(model).items()}
    else:
        pairs = dict(model)
    if not pairs:
        message = "spectrum_report needs at least one pair of matrices, got none"
        raise DataError(message)
    for name, (s_b, s_c) in pairs.items():
        if s_b.ndim != 2 or s_b.shape != s_c.shape:
            message = (
                f"the matrices of {name!r} must be of one shape (states, channels), "
                f"got {tuple(s_b.shape)} and {tuple(s_c.shape)}"
            )
            raise DataError(message)
        if not (s_b.isfinite().all() and s_c.isfinite().all()):
            message = f"the matrices of {name!r} must be finite"
            raise DataError(message)
    if tolerance is None:
        tolerance = max(10 * torch.finfo(s_b.dtype).eps for s_b, _ in pairs.values())
    return SpectrumReport(
        {name: symmetric_eigenvalues(*pair).cpu() for name, pair in pairs.items()},
        {name: s_b.shape[1] for name, (s_b, _) in pairs.items()},
        tolerance,
    )
