r"""Direct logit attribution: how much of a logit each part of a causal language model writes.

The residual stream x at a position is a sum of writes: the embedding, and of each layer the heads :math:`r_h`, the bias of
their output projection, and the feed-forward part. The final norm divides by a scale :math:`\sigma(x)` and multiplies by a
gain g; with the scale of the item itself held, the logit of token t is linear in the writes r:

.. math:: \ell_t = \sum_r \left\langle \frac{g \odot U_t}{\sigma(x)},\, C r \right\rangle + \langle U_t, \beta \rangle + b_t

where C takes the mean away for a LayerNorm (with bias :math:`\beta`) and is the identity for an RMSNorm. That the parts add
up to the logit is checked at each call, so that a model of another build raises an error and is not told wrongly.

N. Elhage et al. (2021), A mathematical framework for transformer circuits; heads that copy or recall: Q. Yu, J. Merullo,
E. Pavlick (2023), Characterizing mechanisms for factual recall in language models, EMNLP, arXiv:2310.15910.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import nn

from concordant.core.errors import DataError, ModelError
from concordant.core.statistics import estimate_mean
from concordant.explanations.mechanisms.decoder import by_head, checked_rows, decoder_of, read_batches
from concordant.models.heads import recorded_heads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from concordant.explanations.mechanisms.decoder import Decoder

TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}
"""How far the parts may be from the logit by rounding, as a share of their summed sizes."""


@dataclass(frozen=True, eq=False)
class LogitAttribution:
    """What each part adds to a logit, or to the difference of two.

    Parameters
    ----------
    heads
        Of each attention head, shape ``(n, layers, heads)``.
    mlps
        Of each feed-forward part, shape ``(n, layers)``.
    embeddings
        Of the embedding of the token and its place, shape ``(n,)``.
    biases
        Of what no part has: the biases of output projections, of the final norm and of the unembedding, ``(n,)``.
    logits
        What the model itself gives, ``(n,)``.
    """

    heads: NDArray[np.float64]
    mlps: NDArray[np.float64]
    embeddings: NDArray[np.float64]
    biases: NDArray[np.float64]
    logits: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum of all parts, shape ``(n,)``: the logit, but for rounding."""
        total: NDArray[np.float64] = self.heads.sum((1, 2)) + self.mlps.sum(1) + self.embeddings + self.biases
        return total

    @property
    def most_for(self) -> tuple[int, int]:
        """The layer and head with the greatest mean attribution."""
        return _place(self.heads.mean(0).argmax(), self.heads)

    @property
    def most_against(self) -> tuple[int, int]:
        """The layer and head with the least mean attribution."""
        return _place(self.heads.mean(0).argmin(), self.heads)

    def table(self, *, level: float = 0.95) -> pl.DataFrame:
        """Return the mean attribution of each head over the rows with its interval, the greatest first.

        Parameters
        ----------
        level
            Confidence level, in (0, 1).
        """
        estimates = [
            (layer, head, estimate_mean(self.heads[:, layer, head], level=level, method="t"))
            for layer, head in np.ndindex(self.heads.shape[1:])
        ]
        rows = [(layer, head, e.value, e.low, e.high) for layer, head, e in estimates]
        columns = ["layer", "head", "attribution", "low", "high"]
        return pl.DataFrame(rows, columns, orient="row").sort("attribution", descending=True)


def direct_logit_attribution(
    model: Any,
    rows: Sequence[Sequence[int]],
    tokens: ArrayLike,
    *,
    against: ArrayLike | None = None,
    position: int = -1,
    batch_size: int = 64,
) -> LogitAttribution:
    """Share a logit out among the heads and the other parts of a model.

    Parameters
    ----------
    model
        A causal language model of transformers (LayerNorm or RMSNorm before each part and at the end), a `CausalLM`,
        or what `concordant.load` returns for either.
    rows
        Token ids, n rows of any lengths.
    tokens
        Whose logit: one token for all rows, or shape ``(n,)``.
    against
        Tokens whose logit is taken away, in the same form; None (default) for the logit alone. Differences are what
        decides between two answers; parts that raise all logits alike drop out.
    position
        Counted from the end of each row; -1 (default) is the last token.
    batch_size
        Rows in a forward pass.

    Raises
    ------
    ModelError
        If a part is not found, or the parts do not add up to the logit of this model.
    DataError
        If rows or tokens cannot be used.

    Examples
    --------
    >>> import concordant as cc
    >>> model = cc.load("pocket:250k-base")
    >>> found = direct_logit_attribution(model, [[4, 5, 6], [7, 8]], tokens=[9, 10], against=11)
    >>> found.heads.shape, bool(np.allclose(found.total, found.logits, atol=1e-4))
    ((2, 3, 4), True)
    """
    decoder = decoder_of(model)
    checked_rows(rows, position, decoder.module)
    wanted = _tokens(tokens, len(rows), "tokens", decoder)
    other = None if against is None else _tokens(against, len(rows), "against", decoder)
    layers = len(decoder.blocks)
    found = LogitAttribution(
        np.empty((len(rows), layers, decoder.n_heads)),
        np.empty((len(rows), layers)),
        *(np.empty(len(rows)) for _ in range(3)),
    )
    with _recorded(decoder) as seen, recorded_heads(decoder.module, range(layers)) as heads:
        for part, logits in read_batches(decoder.module, rows, batch_size, kept=-position):
            writes = {name: value[:, position].double() for name, value in seen.items()}
            values = [heads[layer][:, :, position].double() for layer in range(layers)]
            with torch.inference_mode():
                shared = _shared(
                    decoder, writes, values, wanted[part], None if other is None else other[part]
                )
                logit = _picked(logits[:, position].double(), wanted[part])
                if other is not None:
                    logit = logit - _picked(logits[:, position].double(), other[part])
            for name, value in {**shared, "logits": logit}.items():
                getattr(found, name)[part] = value.cpu().numpy()
    _check_sum(found, decoder)
    return found


def _shared(
    decoder: Decoder,
    writes: dict[str, Tensor],
    values: list[Tensor],
    wanted: Tensor,
    other: Tensor | None,
) -> dict[str, Tensor]:
    """Return the attributions of one batch."""
    unembedding = decoder.unembedding
    rows = unembedding.weight.detach()
    direction = rows[wanted].double()
    fixed = torch.zeros(len(wanted), dtype=torch.float64, device=rows.device)
    bias = getattr(unembedding, "bias", None)
    if bias is not None:
        fixed = fixed + bias.detach()[wanted].double()
    if other is not None:
        direction = direction - rows[other].double()
        if bias is not None:
            fixed = fixed - bias.detach()[other].double()
    along, constant = folded_norm(decoder.norm, writes["stream"], direction)
    fixed = fixed + constant
    by_layer = []
    for projection, value in zip(decoder.projections, values, strict=True):
        weight = by_head(projection, decoder.n_heads).double()
        by_layer.append(torch.einsum("nhi,hio,no->nh", value, weight, along))
        if projection.bias is not None:
            fixed = fixed + along @ projection.bias.detach().double()
    mlps = [(writes[f"mlp{layer}"] * along).sum(-1) for layer in range(len(values))]
    return {
        "heads": torch.stack(by_layer, 1),
        "mlps": torch.stack(mlps, 1),
        "embeddings": (writes["embeddings"] * along).sum(-1),
        "biases": fixed,
    }


def folded_norm(norm: Any, stream: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Fold a norm into directions behind it, with the scale of each row held.

    Parameters
    ----------
    norm
        A LayerNorm, or a norm by the root of the mean square with any gain.
    stream
        What the norm reads, shape ``(n, d)``.
    direction
        Directions in what it gives, shape ``(n, d)``.

    Returns
    -------
    along, constant
        Shapes ``(n, d)`` and ``(n,)``: ``(norm(stream) * direction).sum(-1)`` is
        ``(stream * along).sum(-1) + constant``.
    """
    constant = direction.new_zeros(len(direction))
    if isinstance(norm, nn.LayerNorm):
        scale = (stream.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
        if norm.bias is not None:
            constant = direction @ norm.bias.detach().double()
        along = direction if norm.weight is None else direction * norm.weight.detach().double()
        along = along - along.mean(-1, keepdim=True)
    else:
        # The gain is what the norm makes of ones, whose mean square is 1: some norms keep it as 1 + weight.
        epsilon = float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)) or 0.0)
        kind = next(norm.parameters(), stream).dtype
        ones = torch.ones(1, stream.shape[-1], dtype=kind, device=stream.device)
        gain = norm(ones)[0].detach().double() * (1 + epsilon) ** 0.5
        scale = (stream.square().mean(-1, keepdim=True) + epsilon).sqrt()
        along = direction * gain
    return along / scale, constant


@contextlib.contextmanager
def _recorded(decoder: Decoder) -> Iterator[dict[str, Tensor]]:
    """Record what the embedding and the feed-forward parts write, and what the final norm reads."""
    seen: dict[str, Tensor] = {}

    def reads(name: str) -> Any:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen[name] = args[0] if args else kwargs["hidden_states"]

        return hook

    def writes(name: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [
        decoder.blocks[0].register_forward_pre_hook(reads("embeddings"), with_kwargs=True),
        decoder.norm.register_forward_pre_hook(reads("stream"), with_kwargs=True),
    ]
    for layer, mlp in enumerate(decoder.mlps):
        handles.append(mlp.register_forward_hook(writes(f"mlp{layer}")))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _check_sum(found: LogitAttribution, decoder: Decoder) -> None:
    sizes = (
        np.abs(found.heads).sum((1, 2))
        + np.abs(found.mlps).sum(1)
        + np.abs(found.embeddings)
        + np.abs(found.biases)
    )
    apart = np.abs(found.total - found.logits)
    allowed = TOLERANCE.get(decoder.module.dtype, 0.2) * np.maximum(sizes, 1e-6)
    if not (apart <= allowed).all():
        worst = int((apart / allowed).argmax())
        message = (
            f"the parts of a {type(decoder.module).__name__} must add up to its logit, and give "
            f"{found.total[worst]:.4g} for {found.logits[worst]:.4g} in row {worst}: it scales or norms what its parts "
            "write in a way that is not known here"
        )
        raise ModelError(message)


def _tokens(tokens: ArrayLike, n: int, name: str, decoder: Decoder) -> Tensor:
    given = np.asarray(tokens)
    n_words = decoder.unembedding.weight.shape[0]
    if given.shape not in ((), (n,)) or given.dtype.kind not in "iu":
        message = f"{name} must be one token or {n} of them, as integers, got {tokens!r:.60}"
        raise DataError(message)
    if given.min() < 0 or given.max() >= n_words:
        message = f"{name} must be 0 to {n_words - 1}, got {given.min()} to {given.max()}"
        raise DataError(message)
    spread = np.array(np.broadcast_to(given, (n,)), dtype=np.int64)
    return torch.from_numpy(spread).to(decoder.unembedding.weight.device)


def _picked(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.gather(-1, tokens[:, None])[:, 0]


def _place(at: np.intp, heads: NDArray[np.float64]) -> tuple[int, int]:
    layer, head = np.unravel_index(at, heads.shape[1:])
    return int(layer), int(head)
