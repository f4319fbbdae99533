r"""TimeX: an explainer of series that is trained to behave as the classifier does.

A network writes a mask for every series; a copy of the classifier's encoder, fed with masked series, learns to place
them relative to each other as the frozen classifier places the whole ones. The mask that lets it do so is the
explanation, and explaining is one forward pass.

.. math:: L = L_{MBC} + \lambda L_{LC} + \beta\,(L_M + w\,L_{con}), \qquad
    L_{MBC} = \mathrm{mean}_{ij}\left(\cos(z_i, z_j) - \cos(z^E_i, z^E_j)\right)^2

Series are ``(batch, time, channel)``. Where this departs from the code published with the paper: label consistency is
over pairs (an option), jumps of a mask are absolute and along time (the first is an option), the classifier is frozen
in evaluation mode, so without dropout in its latents, and explanations are the probabilities, without any draw.

References
----------
Queen et al., "Encoding Time-Series Explanations through Self-Supervised Model Behavior Consistency", 2023.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.best_weights import BestWeights
from concordant.explanations.landmarks import Landmarks, found_landmarks, stratified_rows
from concordant.explanations.masking import Baseline, Masking, masked, masking_of
from concordant.explanations.plateau import Plateau
from concordant.explanations.series_model import Latent, Series, as_series_model, evaluating
from concordant.explanations.timex_file import load_timex, save_timex
from concordant.explanations.timex_network import Behaviour, TimeXNetwork
from concordant.explanations.timex_objective import Objective
from concordant.learn.batches import Batches
from concordant.learn.loop import train
from concordant.learn.networks.masks import straight_through
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from concordant.explanations.timex_loss import Connection, LabelRelation
    from concordant.learn.history import History
    from concordant.learn.schedules import Schedule

NOT_KEPT = ("self", "classifier", "latent", "progress", "__class__")


class TimeX:
    r"""Explain a classifier of series by masks under which a copy of it behaves as it does.

    Parameters
    ----------
    classifier
        A torch module that maps ``(batch, time, channel)`` to logits, or a
        :class:`concordant.explanations.SeriesModel` about one. It is not changed.
    latent
        Where its representation of a series is, as for `SeriesModel`.
    masking
        How masks are applied to what the copy is fed: ``"attention"``, ``"input"`` or ``"both"``; ``"auto"`` is
        attention alone for one channel and both for more where the classifier takes `keep`, and else the input.
    keep_rate
        r in (0, 1), the share of a series that is kept where nothing speaks for or against it.
    connection_weight
        w >= 0, weight of the jumps of a mask along time.
    behaviour_weight, label_weight, mask_weight
        Weights of :math:`L_{MBC}` (1 in the paper; 0 leaves it out), of the labels (:math:`\lambda`) and of the mask
        (:math:`\beta`).
    label_relation
        ``"pairwise"``, or ``"scalar"`` as in the published code.
    connection
        ``"absolute"``, or ``"norm"`` as in the published code.
    n_landmarks
        Vectors that stand for kinds of explanations, 0 for none; at most one a training row.
    layers, feedforward, dropout
        Of the network that writes masks.
    epochs, batch_size, learning_rate, weight_decay, schedule
        Of AdamW; schedules are those of :func:`concordant.learn.train`, and ``"plateau"`` as in the published code: a
        tenth whenever the loss on `validation` has long not fallen. With 0 epochs nothing is learnt, for comparison.
    seed
        Decides weights, order, dropout and draws. All runs on the device of the classifier.
    progress
        Whether to draw a bar on a terminal.

    Attributes
    ----------
    history
        The record of the training, after `fit`: the loss and its parts ``behaviour``, ``label``, ``size``,
        ``connection``, ``landmark``, and the mean ``keep_rate``, step by step.

    Raises
    ------
    ConfigError
        If the classifier has no latent, with candidates, or an option is outside its range.

    Examples
    --------
    >>> import torch
    >>> from concordant.explanations.series_data import freq_shapes
    >>> from concordant.explanations.series_transformer import SeriesTransformer, fit_classifier
    >>> data = freq_shapes(64, seed=0, length=20)
    >>> x, labels = torch.tensor(data.x), torch.tensor(data.labels)
    >>> model = SeriesTransformer(1, 4, 20, seed=0)
    >>> _ = fit_classifier(
    ...     model, x, labels, validation=(x, labels), epochs=8, batch_size=16, learning_rate=0.01
    ... )
    >>> explainer = TimeX(model, epochs=1, n_landmarks=4).fit(x)
    >>> explainer.explain(x).shape
    (64, 20, 1)
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        latent: Latent | None = None,
        masking: Masking = "auto",
        keep_rate: float = 0.5,
        connection_weight: float = 2.0,
        behaviour_weight: float = 1.0,
        label_weight: float = 1.0,
        mask_weight: float = 2.0,
        label_relation: LabelRelation = "pairwise",
        connection: Connection = "absolute",
        n_landmarks: int = 50,
        layers: int = 1,
        feedforward: int = 16,
        dropout: float = 0.1,
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-3,
        schedule: str = "constant",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        given = dict(locals())
        self.options = {name: given[name] for name in given if name not in NOT_KEPT}
        self.model = as_series_model(classifier, latent=latent)
        self.model.needs_latent()
        weights = {
            "behaviour": behaviour_weight,
            "label": label_weight,
            "size": mask_weight,
            "connection": mask_weight * connection_weight,
        }
        self.objective = Objective(keep_rate, label_relation, connection, weights)
        if n_landmarks < 0:
            message = f"n_landmarks of TimeX must be at least 0, got {n_landmarks}"
            raise ConfigError(message)
        self.masking, self.n_landmarks = masking, n_landmarks
        self.size = {"layers": layers, "feedforward": feedforward, "dropout": dropout}
        self.epochs, self.batch_size, self.seed, self.progress = epochs, batch_size, seed, progress
        self.schedule: str | Schedule = schedule
        self.optimizer = partial(torch.optim.AdamW, lr=learning_rate, weight_decay=weight_decay, fused=True)
        self.history: History | None = None
        self._net: TimeXNetwork
        self._landmarks: Landmarks | None = None

    def fit(self, x: Series, y: object = None, *, validation: Series | None = None) -> TimeX:
        """Learn to explain, from series alone.

        Parameters
        ----------
        x
            Training series, shape ``(n, time, channel)``.
        y
            Not used: what is explained is what the classifier does.
        validation
            Further series: the weights of the epoch with the lowest loss of consistency on them are kept. Without
            any, those of the last epoch.

        Raises
        ------
        DataError
            If the series cannot be used, or the classifier gives all of them one class.
        """
        series = self.model.checked(x)
        seen = self._reference(series)
        classes = seen.probabilities.argmax(-1)
        if classes.min() == classes.max():
            given = f"the {type(self.model.module).__name__} gives all {len(series)} series class {int(classes[0])}"
            message = f"TimeX compares how a classifier tells series apart, and {given}"
            raise DataError(message)
        net_seed, landmark_seed, train_seed, self._draws_seed = child_seeds(self.seed, 4)
        self._masking = masking_of(self.masking, self.model, series.shape[-1])
        self._baseline = Baseline.of(series)
        chosen = stratified_rows(classes, self.n_landmarks, torch.Generator().manual_seed(landmark_seed))
        widths = (series.shape[-1], series.shape[1], seen.latent.shape[-1], seen.probabilities.shape[-1])
        net = TimeXNetwork(self.model, widths, seen.latent[chosen], self.size, net_seed)
        self._net, self._training, self._landmarks = net.to(series), series, None
        if self.epochs == 0:
            return self
        batches = Batches((series, seen.latent, seen.probabilities), self.batch_size)
        best, schedule = None, self.schedule
        if validation is not None:
            held_out = self._same_shape(self.model.checked(validation, "validation"), "validation")
            best = BestWeights(partial(self._validation_loss, x=held_out, seen=self._reference(held_out)))
        validate: Callable[[nn.Module], float] | None = best
        if schedule == "plateau":
            if best is None:
                message = "the schedule 'plateau' of TimeX looks at a validation: give fit(X, validation=...)"
                raise ConfigError(message)
            validate = plateau = Plateau(best)
            schedule = plateau.schedule
        self.history = train(
            self._net,
            self._loss,
            batches,
            epochs=self.epochs,
            optimizer=self.optimizer,
            schedule=schedule,
            validate=validate,
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

    def surrogate(self, x: Series, masks: Series | None = None) -> Behaviour:
        """Return what the explainer's copy of the classifier does with masked series.

        Its latents and probabilities keep the relations between series, and nothing else: its classes may have other
        names than those of the classifier.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``.
        masks
            What is kept of them, in [0, 1], same shape; by default its own :meth:`masks`.

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
        generator = torch.Generator().manual_seed(self._draws_seed)
        with evaluating(self._net), torch.no_grad():
            logits, latent = self._net.act(*masked(series, kept, self._masking, self._baseline, generator))
        return Behaviour(latent, logits.softmax(-1))

    def landmarks(self) -> Landmarks:
        """Return the landmarks that are in use, and the training rows nearest to each.

        Raises
        ------
        ConfigError
            If it was not fitted, or has none.
        """
        if not self.n_landmarks:
            message = "this TimeX has no landmarks: give n_landmarks"
            raise ConfigError(message)
        self._needs_fit()
        if self._landmarks is None:
            latent = self.surrogate(self._training).latent
            self._landmarks = found_landmarks(self._net.landmarks.detach(), latent)
        return self._landmarks

    def save(self, folder: str | Path) -> Path:
        """Write the fitted explainer, with its landmarks and without its training series, and return the file.

        Parameters
        ----------
        folder
            Where ``timex.safetensors`` is written, all or nothing; it is made if it is not there.

        Raises
        ------
        ConfigError
            If it was not fitted.
        StoreError
            If the file cannot be written.
        """
        self._needs_fit()
        return save_timex(self, folder)

    @classmethod
    def load(cls, folder: str | Path, classifier: nn.Module, *, latent: Latent | None = None) -> TimeX:
        """Read what :meth:`save` wrote; it explains as the one that was saved does.

        Parameters
        ----------
        folder
            Where ``timex.safetensors`` is.
        classifier, latent
            The classifier that it was fitted to explain, with the same weights.

        Raises
        ------
        StoreError
            If there is no such file, or it is damaged.
        ModelError
            If it explains another classifier, or the same with other weights.
        """
        return load_timex(cls, folder, classifier, latent=latent)

    def _reference(self, x: Tensor) -> Behaviour:
        logits, latent = self.model.behaviour(x)
        assert latent is not None
        return Behaviour(latent, logits.softmax(-1))

    def _needs_fit(self) -> None:
        if not hasattr(self, "_net"):
            message = "this TimeX has not been fitted: call fit(X) with training series first"
            raise ConfigError(message)

    def _fitted(self, x: Series) -> Tensor:
        self._needs_fit()
        return self._same_shape(self.model.checked(x), "X")

    def _same_shape(self, x: Tensor, name: str) -> Tensor:
        n_channels, length = self._net.widths[:2]
        if x.shape[1:] != (length, n_channels):
            message = (
                f"{name} must have the (time, channel) {(length, n_channels)} of the series "
                f"that TimeX was fitted on, got {tuple(x.shape[1:])}"
            )
            raise DataError(message)
        return x

    def _log_odds(self, x: Tensor, batch_size: int = 512) -> Tensor:
        with evaluating(self._net), torch.no_grad():
            return torch.cat([self._net.masks(rows) for rows in torch.split(x, batch_size)])

    def _loss(self, net: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        assert isinstance(net, TimeXNetwork)
        x, latent, probabilities = batch
        on_cpu = x.device.type == "cpu"
        generator = torch.default_generator if on_cpu else torch.cuda.default_generators[x.device.index]
        parts = self._parts(net, x, Behaviour(latent, probabilities), generator)
        return {"loss": self.objective.total(parts), **parts}

    def _parts(
        self, net: TimeXNetwork, x: Tensor, seen: Behaviour, draws: torch.Generator
    ) -> dict[str, Tensor]:
        return self.objective.parts(net, x, seen, self._masking, self._baseline, draws)

    def _validation_loss(self, net: TimeXNetwork, x: Tensor, seen: Behaviour) -> Tensor:
        generator = torch.Generator(x.device).manual_seed(self._draws_seed)  # the same draws at every epoch
        return self.objective.consistency(self._parts(net, x, seen, generator))
