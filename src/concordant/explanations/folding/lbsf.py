r"""LBSF: predict from a long history of events by folding it by a key, such as the merchant of payments.

The history becomes a matrix of groups and of the latest events of each (:func:`concordant.explanations.folding.fold`). One
sequence network reads all rows side by side, groups attend to each other, and the pooled vector gives a probability,
trained by binary cross-entropy:

.. math:: u = \mathrm{pool}_m\,\mathrm{attend}\big(\mathrm{mean}_l\,\mathrm{GRU}(e_{m,1..L}) + g_m\big), \qquad
    p = \sigma(\mathrm{MLP}(u))

The cost of attention or recurrence is that of M short sequences instead of a long one. With ``by=None`` the same network
reads the plain sequence of the latest events. The layers are a reconstruction: the paper's text that was at hand names
folding, a shared encoder and relations among merchants, and not their sizes.

References
----------
Qiao, Tang, Ao, Yuan, Liu, Shen, Zheng, "Financial Risk Assessment via Long-term Payment Behavior Sequence Folding", 2024.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.best_weights import BestWeights
from concordant.explanations.folding.encoder import GroupedEncoder, Rows
from concordant.explanations.folding.fields import EventFields
from concordant.explanations.folding.folded import By, Folded, fold
from concordant.learn.batches import Batches
from concordant.learn.loop import train
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from concordant.learn.history import History

N_VALIDATIONS = 20


class FoldedClassifier:
    """Tell two kinds of units apart by their events, folded by a key.

    Parameters
    ----------
    by
        Column, or expression, of the groups; None for the plain sequence of the latest `max_len` events.
    unit, time
        Columns of the unit and of the time.
    categories, amounts
        Columns that describe an event: categories and numbers.
    max_groups, max_len
        Groups with a row of their own, and events a row.
    history
        Events that are read, as for :func:`concordant.explanations.folding.fold`; all by default.
    relative
        Whether amounts also come relative to the mean of their row.
    width, heads, layers, dropout
        Of the network.
    epochs, batch_size, learning_rate, weight_decay, schedule
        Of AdamW, and of :func:`concordant.learn.train`.
    positive_weight
        Weight of a positive in the loss; give the negatives per positive where positives are rare.
    validation_share
        Share of the units that are held out, in [0, 1): the weights that predict them best are kept, out of 20 tries.
    seed
        Decides weights, the units held out, their order, and dropout.
    device
        ``"auto"`` for a GPU where there is one.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    ConfigError
        If an option is outside its range.

    Examples
    --------
    >>> from concordant.explanations.folding.simulated_payments import payments
    >>> drawn = payments(60, 0, merchants=4, events=32)
    >>> model = FoldedClassifier("merchant", unit="user", time="day", amounts=["amount"], epochs=2)
    >>> model.fit(drawn.events, drawn.labels).predict(drawn.events, drawn.labels["user"]).shape
    (60,)
    """

    def __init__(
        self,
        by: By,
        *,
        unit: str,
        time: str,
        categories: Sequence[str] = (),
        amounts: Sequence[str] = (),
        max_groups: int = 64,
        max_len: int = 16,
        history: Any = None,
        relative: bool = True,
        width: int = 24,
        heads: int = 2,
        layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 25,
        batch_size: int = 64,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.01,
        schedule: str = "constant",
        positive_weight: float = 1.0,
        validation_share: float = 0.2,
        seed: int = 0,
        device: str = "auto",
        progress: bool = False,
    ) -> None:
        if width < 1 or heads < 1 or width % heads:
            message = f"width of FoldedClassifier must be a multiple of its heads, got {width} and {heads}"
            raise ConfigError(message)
        if not 0 <= validation_share < 1:
            message = (
                f"validation_share of FoldedClassifier must be from 0 to below 1, got {validation_share}"
            )
            raise ConfigError(message)
        if positive_weight <= 0:
            message = f"positive_weight of FoldedClassifier must be above 0, got {positive_weight}"
            raise ConfigError(message)
        self.by, self.unit, self.time = by, unit, time
        self.fields = EventFields(time, categories=categories, amounts=amounts)
        self.max_groups, self.max_len, self.history = max_groups, max_len, history
        self.architecture: dict[str, Any] = {
            "width": width,
            "heads": heads,
            "layers": layers,
            "dropout": dropout,
            "relative": relative,
        }
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate, self.weight_decay, self.schedule = learning_rate, weight_decay, schedule
        self.positive_weight, self.validation_share = positive_weight, validation_share
        self.seed, self.device, self.progress = seed, device, progress

    def fit(self, events: pl.DataFrame, labels: pl.DataFrame, *, before: Any = None) -> Self:
        """Train on units whose label is known.

        Parameters
        ----------
        events
            One row an event, with the columns that were named.
        labels
            One row a unit: the unit, and ``label``, 0 or 1.
        before
            Events at this time or later are not read: one time for all, or a table with the unit and a column ``before``,
            such as the day of a decision.

        Raises
        ------
        DataError
            If a column is missing, a unit comes twice, or the labels are not 0 and 1 and some of both.
        """
        units, y = self._labelled(labels)
        events = events.filter(pl.col(self.unit).is_in(units.implode()))
        self.fields.fit(events)
        folded = self._folded(events, units, before)
        self.names = folded.names
        weights_seed, split_seed, train_seed = child_seeds(self.seed, 3)
        self.net = GroupedEncoder(
            self.fields.sizes,
            len(self.fields.amounts),
            1 + len(self.names),
            **self.architecture,
            seed=weights_seed,
        )
        read = self._reader(folded)
        self.net.events.scale(read(*self._rows(folded)))
        data = (*self._rows(folded), torch.as_tensor(y, dtype=torch.float32))
        order = np.random.default_rng(split_seed).permutation(len(y))
        held_out, kept = np.split(order, [round(self.validation_share * len(y))])
        positive = torch.tensor(self.positive_weight)

        def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
            *rows, target = batch
            return binary_cross_entropy_with_logits(net(read(*rows)), target, pos_weight=positive.to(target))

        batches = Batches(tuple(part[kept] for part in data), self.batch_size)
        tested = tuple(part[held_out] for part in data)

        def held_out_loss(net: nn.Module) -> Tensor:
            device = next(net.parameters()).device
            return loss(net, tuple(part.to(device) for part in tested))

        best = BestWeights(held_out_loss)
        self.training: History = train(
            self.net,
            loss,
            batches,
            epochs=self.epochs,
            optimizer=partial(
                torch.optim.AdamW, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
            ),
            schedule=self.schedule,
            clip=1.0,
            validate=best if len(held_out) else None,
            validate_every=max(1, self.epochs * len(batches) // N_VALIDATIONS),
            device=self.device,
            seed=train_seed,
            progress=self.progress,
        )
        best.restore(self.net)
        self.net.eval()
        return self

    def predict(
        self, events: pl.DataFrame, units: Sequence[Any] | pl.Series, *, before: Any = None
    ) -> NDArray[np.float64]:
        """Return the probability that each unit is positive, shape ``(units,)``.

        Parameters
        ----------
        events, before
            As for :meth:`fit`.
        units
            Which units, in the order of the result; those without events get what their absence says.

        Raises
        ------
        ConfigError
            If it was not fitted.
        """
        if not hasattr(self, "net"):
            message = "this FoldedClassifier has not been fitted: call fit(events, labels) first"
            raise ConfigError(message)
        folded = self._folded(events, units, before)
        read, device = self._reader(folded), next(self.net.parameters()).device
        with torch.no_grad():
            parts = [
                self.net(read(*(part.to(device) for part in batch))).cpu()
                for batch in zip(*(torch.split(part, 256) for part in self._rows(folded)), strict=True)
            ]
        logits = torch.cat(parts).double()
        probabilities: NDArray[np.float64] = logits.sigmoid().numpy()
        return probabilities

    def _labelled(self, labels: pl.DataFrame) -> tuple[pl.Series, NDArray[np.int64]]:
        lacking = [name for name in (self.unit, "label") if name not in labels.columns]
        if lacking:
            message = (
                f"labels must have the columns {self.unit!r} and 'label', got none called {lacking[0]!r}"
            )
            raise DataError(message)
        units, y = labels[self.unit], labels["label"].cast(pl.Float64).to_numpy()
        if units.n_unique() < len(units):
            message = f"labels must have one row a {self.unit}, got {len(units) - units.n_unique()} more"
            raise DataError(message)
        if not np.isin(y, (0, 1)).all() or len(np.unique(y)) < 2:
            message = f"labels must be 0 and 1 and some of both, got {sorted(set(y.tolist()))[:5]}"
            raise DataError(message)
        return units, y.astype(np.int64)

    def _folded(self, events: pl.DataFrame, units: Sequence[Any] | pl.Series, before: Any) -> Folded:
        return fold(
            events,
            self.by,
            unit=self.unit,
            time=self.time,
            max_groups=self.max_groups,
            max_len=self.max_len,
            before=before,
            history=self.history,
            units=units,
        )

    def _rows(self, folded: Folded) -> tuple[Tensor, Tensor, Tensor]:
        """Return where the events are, and the group and number of events of each row."""
        seen = pl.DataFrame({"name": self.names, "code": np.arange(1, len(self.names) + 1)})
        codes = (
            folded.names.alias("name")
            .to_frame()
            .join(seen, on="name", how="left", maintain_order="left")["code"]
        )
        known = np.append(codes.fill_null(0).to_numpy(), 0)
        groups = known[np.where(folded.groups >= 0, folded.groups, len(known) - 1)]
        return tuple(torch.as_tensor(part) for part in (folded.index, groups, folded.counts))  # type: ignore[return-value]

    def _reader(self, folded: Folded) -> Any:
        """Return a function that looks up the events of some units; padding finds zeros, in a row after the last."""
        table = self.fields.table(folded.events)
        arrays = (table.codes, table.numbers, table.time)
        codes, numbers, time = (
            torch.as_tensor(np.concatenate([part, np.zeros_like(part, shape=(1, *part.shape[1:]))]))
            for part in arrays
        )

        def read(index: Tensor, groups: Tensor, counts: Tensor) -> Rows:
            nonlocal codes, numbers, time
            codes, numbers, time = (part.to(index.device) for part in (codes, numbers, time))
            return Rows(codes[index], numbers[index], time[index], index >= 0, groups, counts)

        return read
