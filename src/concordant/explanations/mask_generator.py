r"""The network that writes TimeX's masks: for every step and channel the odds of being kept.

An encoder of its own reads the series, a decoder without causal mask reads the series again beside what the encoder
made of it, and a linear map gives log-odds. The probability is the explanation; zeros and ones drawn with it, with
the slope of the relaxed draw, are what the surrogate is fed while training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import relu, scaled_dot_product_attention

from concordant.explanations.series_transformer import SeriesEncoder
from concordant.learn.networks.dropout import Dropout
from concordant.learn.randomness import Seed, generator_of, linear

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class MaskGenerator(nn.Module):
    """Map series to the log-odds of keeping each of their numbers.

    Parameters
    ----------
    n_channels
        Channels of the series.
    length
        Steps of the series it is made for.
    layers, feedforward, dropout
        Of the encoder, see :class:`concordant.explanations.series_transformer.SeriesEncoder`.
    decoder_layers, decoder_feedforward, decoder_dropout
        Of the decoder.
    seed
        A number or a generator for the initial weights.

    References
    ----------
    Queen et al., "Encoding Time-Series Explanations through Self-Supervised Model Behavior Consistency", 2023.

    Examples
    --------
    >>> import torch
    >>> MaskGenerator(3, 20, seed=0)(torch.zeros(8, 20, 3)).shape
    torch.Size([8, 20, 3])
    """

    def __init__(
        self,
        n_channels: int,
        length: int,
        *,
        layers: int = 1,
        feedforward: int = 16,
        dropout: float = 0.1,
        decoder_layers: int = 2,
        decoder_feedforward: int = 32,
        decoder_dropout: float = 0.1,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        generator = generator_of(seed)
        self.encoder = SeriesEncoder(
            n_channels, length, layers=layers, feedforward=feedforward, dropout=dropout, seed=generator
        )
        self.decoder = nn.ModuleList(
            DecoderBlock(self.encoder.width, decoder_feedforward, decoder_dropout, generator)
            for _ in range(decoder_layers)
        )
        # One channel has the difference of two outputs as its log-odds, as in the release: it learns at twice the rate.
        self.head = linear(self.encoder.width, 2 if n_channels == 1 else n_channels, generator)
        nn.init.xavier_uniform_(self.head.weight, generator=generator)
        nn.init.constant_(self.head.bias, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, time, channel)`` to log-odds of the same shape."""
        hidden = self.encoder.with_time(x)
        memory = self.encoder.attended(hidden)
        for block in self.decoder:
            hidden = block(hidden, memory)
        outputs: Tensor = self.head(hidden)
        if self.encoder.n_channels == 1:
            return outputs[..., 1:] - outputs[..., :1]
        return outputs


class DecoderBlock(nn.Module):
    """Attention to itself, attention to a memory, and a feed-forward part: each added to what came in, then normalised.

    One head, and no dropout inside the attention, whose masks of (time, time) numbers would take most of the time.
    """

    def __init__(self, width: int, feedforward: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.own, self.own_merge = (linear(width, n * width, generator) for n in (3, 1))
        self.query, self.memory, self.memory_merge = (linear(width, n * width, generator) for n in (1, 2, 1))
        self.widen, self.narrow = linear(width, feedforward, generator), linear(feedforward, width, generator)
        self.norm_own, self.norm_memory, self.norm_feedforward = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Map ``(batch, time, width)`` to the same shape."""
        mixed = _attention(*self.own(x).chunk(3, dim=-1))
        x = self.norm_own(x + self.dropout(self.own_merge(mixed)))
        mixed = _attention(self.query(x), *self.memory(memory).chunk(2, dim=-1))
        x = self.norm_memory(x + self.dropout(self.memory_merge(mixed)))
        result: Tensor = self.norm_feedforward(x + self.dropout(self.narrow(relu(self.widen(x)))))
        return result


def _attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    # With an axis of heads, if only of one: without it the fused kernel is not used.
    return scaled_dot_product_attention(queries[:, None], keys[:, None], values[:, None])[:, 0]
