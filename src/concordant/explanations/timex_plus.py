r"""TimeX++: an explainer whose masked series stay near the real ones, and are shown to the classifier itself.

A network writes a mask m for every series x, another makes a series x~ of both, and the frozen classifier must say of
x~ what it says of x. So nothing stands in for the classifier, and no latent is needed. The mask is the explanation.

.. math:: L = \lambda\,\mathrm{JS}(f(\tilde x), f(x)) + \beta\,(L_M + w\,L_{con}) + \gamma\,\left[
    v\,\mathrm{KL}(N_{\tilde x} \| \bar N_x) + \mathrm{mean}\left(\tilde x - m \odot x - (1 - m) \odot b\right)^2\right]

:math:`N` are normal numbers whose moments two small networks read off a series, :math:`\bar N` has the mean moments of a
batch; b is drawn with the moments of the training series. Nothing but this loss trains the two networks, so that they can
also make their term small by saying the same of every series. Where this departs from the code published with the
paper: the divergence of predictions is in nats a series (the code divides it by the number of classes and takes its
arguments the other way round), and the classifier is frozen in evaluation mode.

References
----------
Liu et al., "TimeX++: Learning Time-Series Explanations with Information Bottleneck", 2024.
"""

from __future__ import annotations

import copy
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.best_weights import BestWeights
from concordant.explanations.masking import Baseline, masked
from concordant.explanations.series_model import Series, as_series_model, evaluating
from concordant.explanations.timex_loss import Connection, connection_loss, mask_size_loss
from concordant.explanations.timex_plus_file import load_timex_plus, save_timex_plus
from concordant.explanations.timex_plus_network import TimeXPlusNetwork, jensen_shannon_loss
from concordant.learn.batches import Batches
from concordant.learn.loop import train
from concordant.learn.networks.masks import straight_through
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from concordant.learn.history import History


EPOCHS, FEWEST_STEPS = 50, 1000
NOT_KEPT = ("self", "classifier", "progress", "__class__")


class TimeXPlus:
    r"""Explain a classifier of series by masks of which series can be made that it takes for the whole ones.

    Parameters
    ----------
    classifier
        A torch module that maps ``(batch, time, channel)`` to logits, or a
        :class:`concordant.explanations.SeriesModel` about one. It is not changed.
    keep_rate
        r in (0, 1), the share of a series that is kept where nothing speaks for or against it.
    label_weight, mask_weight, similarity_weight
        Weights of the predictions (:math:`\lambda`), of the mask (:math:`\beta`) and of the series that are made
        (:math:`\gamma`), at least 0.
    connection_weight
        w >= 0, weight of the jumps of a mask along time, within those of the mask.
    normal_weight
        v >= 0, weight of the normal numbers, within those of the series that are made.
    connection
        ``"norm"`` as in the published code, or ``"absolute"``, which is far heavier and wants a small weight.
    layers, feedforward, dropout
        Of the network that writes masks.
    epochs, batch_size, learning_rate, weight_decay, schedule
        Of AdamW. By default 50 epochs, or as many as make 1,000 steps of a small set. With 0 epochs nothing is learnt:
        the explainer as it starts, for comparison.
    seed
        Decides weights, order, dropout and draws. All runs on the device of the classifier.
    progress
        Whether to draw a bar on a terminal.

    Attributes
    ----------
    history
        The record of the training, after `fit`: the loss and its parts ``label``, ``size``, ``connection``, ``normal``,
        ``reference``, and the mean ``keep_rate``, step by step.

    Raises
    ------
    ConfigError
        If an option is outside its range.

    Examples
    --------
    >>> from concordant.explanations.series_data import freq_shapes
    >>> from concordant.explanations.series_transformer import SeriesTransformer
    >>> data = freq_shapes(64, seed=0, length=20)
    >>> explainer = TimeXPlus(SeriesTransformer(1, 4, 20, seed=0), epochs=1).fit(data.x)
    >>> explainer.explain(data.x).shape
    (64, 20, 1)
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        keep_rate: float = 0.5,
        label_weight: float = 1.0,
        mask_weight: float = 2.0,
        similarity_weight: float = 1.0,
        connection_weight: float = 1.0,
        normal_weight: float = 0.1,
        connection: Connection = "norm",
        layers: int = 1,
        feedforward: int = 16,
        dropout: float = 0.1,
        epochs: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-3,
        schedule: str = "constant",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        given = dict(locals())
        self.options = {name: given[name] for name in given if name not in NOT_KEPT}
        self.model = as_series_model(classifier)
        if not 0 < keep_rate < 1:
            message = f"keep_rate of TimeX++ must be above 0 and below 1, got {keep_rate}"
            raise ConfigError(message)
        if connection not in get_args(Connection):
            message = f"connection of TimeX++ must be {' or '.join(map(repr, get_args(Connection)))}, got {connection!r}"
            raise ConfigError(message)
        self.weights = {
            "label": label_weight,
            "size": mask_weight,
            "connection": mask_weight * connection_weight,
            "normal": similarity_weight * normal_weight,
            "reference": similarity_weight,
        }
        for name, weight in self.weights.items():
            if not weight >= 0:
                message = f"the weight of {name} in TimeX++ must be at least 0, got {weight}"
                raise ConfigError(message)
        self.keep_rate, self.connection = keep_rate, connection
        self.size = {"layers": layers, "feedforward": feedforward, "dropout": dropout}
        self.epochs, self.batch_size, self.schedule = epochs, batch_size, schedule
        self.optimizer = partial(torch.optim.AdamW, lr=learning_rate, weight_decay=weight_decay, fused=True)
        self.seed, self.progress = seed, progress
        self.history: History | None = None
        self._net: TimeXPlusNetwork

    def fit(self, x: Series, y: object = None, *, validation: Series | None = None) -> TimeXPlus:
        """Learn to explain, from series alone.

        Parameters
        ----------
        x
            Training series, shape ``(n, time, channel)``.
        y
            Not used: what is explained is what the classifier does.
        validation
            Further series: the weights of the epoch with the lowest loss on them are kept. Without any, those of the
            last epoch.

        Raises
        ------
        DataError
            If the series cannot be used.
        """
        series = self.model.checked(x)
        net_seed, train_seed, self._draws_seed = child_seeds(self.seed, 3)
        self._baseline = Baseline.of(series)
        _, time, channels = series.shape
        self._net = TimeXPlusNetwork(channels, time, self.size, net_seed).to(series)
        if self.epochs == 0:
            return self
        # A copy, of which nothing is trained: else the slopes of its weights would be left in the classifier.
        self._frozen = copy.deepcopy(self.model).requires_grad_(requires_grad=False).eval()
        best = None
        if validation is not None:
            held_out = self._same_shape(self.model.checked(validation, "validation"), "validation")
            best = BestWeights(
                partial(self._validation_loss, batch=(held_out, self.model.behaviour(held_out)[0]))
            )
        batches = Batches((series, self.model.behaviour(series)[0]), self.batch_size)
        epochs = max(EPOCHS, ceil(FEWEST_STEPS / len(batches))) if self.epochs is None else self.epochs
        self.history = train(
            self._net,
            self._loss,
            batches,
            epochs=epochs,
            optimizer=self.optimizer,
            schedule=self.schedule,
            validate=best,
            validate_every=len(batches),
            device=series.device,
            seed=train_seed,
            progress=self.progress,
        )
        if best is not None:
            best.restore(self._net)
        return self

    def explain(self, x: Series, *, batch_size: int = 512) -> NDArray[np.float32]:
        """Return the probabilities of being kept: one forward pass a batch.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``, of the length of those that it was fitted on.
        batch_size
            Series a pass.

        Returns
        -------
        array of the shape of `x`, in [0, 1]; more is more important

        Raises
        ------
        DataError
            If the series cannot be used.
        ConfigError
            If it was not fitted.
        """
        return self._log_odds(self._fitted(x), batch_size).sigmoid().numpy(force=True)

    def masks(self, x: Series, *, seed: int | None = None) -> NDArray[np.float32]:
        """Return masks of zeros and ones.

        Parameters
        ----------
        x
            As for :meth:`explain`.
        seed
            Draws each number with its probability, as in training. None for 1 where keeping is more probable than not.

        Returns
        -------
        array of the shape of `x`
        """
        log_odds = self._log_odds(self._fitted(x)).cpu()
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return straight_through(log_odds, generator=generator).numpy()

    def made(self, x: Series, masks: Series | None = None) -> NDArray[np.float32]:
        """Return the series that the classifier is shown for masked ones.

        Parameters
        ----------
        x
            As for :meth:`explain`.
        masks
            What is kept of them, in [0, 1], same shape; by default its own :meth:`masks`.

        Returns
        -------
        array of the shape of `x`

        Raises
        ------
        DataError
            If the series or the masks cannot be used.
        ConfigError
            If it was not fitted.
        """
        series = self._fitted(x)
        kept = torch.as_tensor(self.masks(series) if masks is None else masks).to(series)
        if kept.shape != series.shape:
            message = (
                f"masks must have the shape of the series {tuple(series.shape)}, got {tuple(kept.shape)}"
            )
            raise DataError(message)
        with torch.no_grad():
            return self._net.made(series, kept).numpy(force=True)

    def save(self, folder: str | Path) -> Path:
        """Write the fitted explainer, without its training series, and return the file.

        Parameters
        ----------
        folder
            Where ``timex-plus.safetensors`` is written, all or nothing; it is made if it is not there.

        Raises
        ------
        ConfigError
            If it was not fitted.
        StoreError
            If the file cannot be written.
        """
        self._needs_fit()
        return save_timex_plus(self, folder)

    @classmethod
    def load(cls, folder: str | Path, classifier: nn.Module) -> TimeXPlus:
        """Read what :meth:`save` wrote; it explains as the one that was saved does.

        Parameters
        ----------
        folder
            Where ``timex-plus.safetensors`` is.
        classifier
            The classifier that it was fitted to explain, with the same weights.

        Raises
        ------
        StoreError
            If there is no such file, or it is damaged.
        ModelError
            If it explains another classifier, or the same with other weights.
        """
        return load_timex_plus(cls, folder, classifier)

    def _needs_fit(self) -> None:
        if not hasattr(self, "_net"):
            message = "this TimeX++ has not been fitted: call fit(X) with training series first"
            raise ConfigError(message)

    def _fitted(self, x: Series) -> Tensor:
        self._needs_fit()
        return self._same_shape(self.model.checked(x), "X")

    def _same_shape(self, x: Tensor, name: str) -> Tensor:
        wanted = tuple(self._baseline.mean.shape)
        if x.shape[1:] != wanted:
            message = (
                f"{name} must have the (time, channel) {wanted} of the series that TimeX++ was fitted on, "
                f"got {tuple(x.shape[1:])}"
            )
            raise DataError(message)
        return x

    def _log_odds(self, x: Tensor, batch_size: int = 512) -> Tensor:
        with evaluating(self._net), torch.no_grad():
            return torch.cat([self._net.masks(rows) for rows in torch.split(x, batch_size)])

    def _loss(self, net: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        device = batch[0].device
        generator = (
            torch.default_generator if device.type == "cpu" else torch.cuda.default_generators[device.index]
        )
        parts = self._parts(net, *batch, generator)
        return {"loss": self._total(parts), **parts}

    def _total(self, parts: dict[str, Tensor]) -> Tensor:
        return torch.stack([weight * parts[name] for name, weight in self.weights.items()]).sum()

    def _parts(
        self, net: nn.Module, x: Tensor, reference: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        assert isinstance(net, TimeXPlusNetwork)
        log_odds = net.masks(x)
        p = log_odds.sigmoid()
        mask = straight_through(log_odds, generator=generator)
        made = net.made(x, mask)
        replaced, _ = masked(x, mask, "input", self._baseline, generator)
        return {
            "label": jensen_shannon_loss(self._frozen(made)[0], reference),
            "size": mask_size_loss(log_odds, self.keep_rate),
            "connection": connection_loss(p, self.connection),
            "normal": net.normal_loss(made, x),
            "reference": mse_loss(made, replaced),
            "keep_rate": p.mean(),
        }

    def _validation_loss(self, net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        generator = torch.Generator(batch[0].device).manual_seed(self._draws_seed)  # the same at every epoch
        return self._total(self._parts(net, *batch, generator))
