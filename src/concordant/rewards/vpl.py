r"""Variational preference learning: a reward that depends on who is asked, told from a few of their own comparisons.

One Bradley-Terry reward learns what people like on average, which may be what nobody likes. Here a set encoder reads
the answers of a person and gives a Gaussian over a hidden vector z, and the reward is a function of z. Both are learnt
at once, on answers that the encoder has not seen:

.. math::

    \max\; E_{q(z|\text{context})}\Big[\frac1{|T|}\sum_{(s, s') \in T} \log\sigma\big(r(s, z) - r(s', z)\big)\Big]
    - w\,\mathrm{KL}\big(q(z|\text{context})\,\|\,N(0, I)\big)

where T are the targets, s the preferred and s' the other side. With ``w = 1 / |T|`` this is the evidence lower bound
divided by the number of targets. The weight is annealed in cycles while training.

The encoder embeds each comparison as (preferred, other), so that exchanging the two sides of a question changes nothing,
and takes means over the set, so that neither does the order of the questions, whose number may vary from none.

References
----------
Poddar et al., "Personalizing Reinforcement Learning from Human Feedback with Variational Preference Learning", NeurIPS
2024. Annealing: Fu et al., "Cyclical Annealing Schedule", NAACL 2019. Sets: Zaheer et al., "Deep Sets", 2017.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.learn import Batches, cosine, train
from concordant.learn.randomness import child_seeds
from concordant.rewards.vpl_network import PreferenceNetwork, cyclic_cosine, elbo_loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from concordant.learn import History
    from concordant.rewards.comparisons import Comparisons

    Floats = NDArray[np.float32]


class Posterior(NamedTuple):
    """Gaussians over the hidden vectors of people, independent in each direction.

    Parameters
    ----------
    mean, log_variance
        Shape ``(people, latent)``.
    """

    mean: Floats
    log_variance: Floats

    def draw(self, n: int, seed: int) -> Floats:
        """Draw n hidden vectors of each person, shape ``(n, people, latent)``."""
        noise = np.random.default_rng(seed).standard_normal((n, *self.mean.shape), dtype=np.float32)
        return np.asarray(self.mean + np.exp(self.log_variance / 2) * noise)


class VariationalPreferences:
    """A reward that depends on a hidden vector of the person, and the posterior of that vector given their answers.

    Parameters
    ----------
    n_latent
        Length of the hidden vector.
    hidden
        Widths of the hidden layers.
    kl_weight
        :math:`w`, at least 0, on the divergence of a posterior (nats, summed over its directions) beside the **mean**
        over the targets of a person. Too large a weight makes the posterior forget the answers (it collapses), and
        what is learnt is the average reward.
    n_context
        Most answers of a person that the encoder reads in training; how many is drawn anew each time, from none to
        this. The targets are those left over, so a person needs more answers than that; one with fewer than the
        others keeps the same share.
    steps, batch_size, learning_rate
        Of Adam, with a cosine schedule; people a batch.
    cycles
        Times that the weight rises from 0; see :func:`cyclic_cosine`. 0 leaves it at `kl_weight` throughout.
    seed
        Decides the initial weights, the batches, the contexts and the noise.
    device
        As for :func:`~concordant.learn.train`.

    Attributes
    ----------
    network_
        The :class:`PreferenceNetwork`, after `fit`.
    history_
        Of the training: ``loss``, ``log_likelihood`` (nats a target) and ``kl`` (nats a person) by step.

    Raises
    ------
    ConfigError
        If an option is outside its range.

    Examples
    --------
    Two kinds of people: some like large numbers, the others small ones.

    >>> import numpy as np
    >>> from concordant.rewards.comparisons import Comparisons
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 200, 6, 1))
    >>> likes_large = rng.random(200) < 0.5
    >>> answers = Comparisons(a, b, (a > b)[..., 0] == likes_large[:, None])
    >>> model = VariationalPreferences(n_latent=2, hidden=(16,), n_context=3, steps=150, learning_rate=0.01)
    >>> model = model.fit(answers)
    >>> her = model.posterior(Comparisons([[[2.0]]], [[[1.0]]], [[True]]))  # she preferred 2 to 1
    >>> low, high = model.reward([[-3.0], [3.0]], her.mean)
    >>> bool(high > low)
    True
    """

    network_: PreferenceNetwork
    history_: History

    def __init__(
        self,
        *,
        n_latent: int = 8,
        hidden: Sequence[int] = (128, 128),
        kl_weight: float = 0.1,
        n_context: int = 8,
        steps: int = 1000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        cycles: int = 4,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        whole = {"n_latent": n_latent, "n_context": n_context, "steps": steps, "batch_size": batch_size}
        for name, number in whole.items():
            if number < 1:
                message = f"{name} of VariationalPreferences must be at least 1, got {number}"
                raise ConfigError(message)
        for name, value in {"kl_weight": kl_weight, "cycles": cycles}.items():
            if not value >= 0:
                message = f"{name} of VariationalPreferences must be at least 0, got {value}"
                raise ConfigError(message)
        self.n_latent, self.hidden, self.kl_weight, self.n_context = (
            n_latent,
            tuple(hidden),
            kl_weight,
            n_context,
        )
        self.steps, self.batch_size, self.learning_rate = steps, batch_size, learning_rate
        self.cycles, self.seed, self.device = cycles, seed, device

    def fit(self, answers: Comparisons) -> VariationalPreferences:
        """Learn from the answers of many people.

        Raises
        ------
        DataError
            If there are not more answers a person than go into the context, or somebody gave fewer than two.
        ModelError
            If the training diverges.
        """
        if answers.n <= self.n_context:
            message = (
                f"people need more answers than the {self.n_context} of the context, which leaves targets to learn "
                f"from, got {answers.n}"
            )
            raise DataError(message)
        counts = answers.given.sum(axis=1)
        if not answers.n_people or counts.min() < 2:
            message = f"each person needs at least 2 answers, got {counts.min() if answers.n_people else 'no people'}"
            raise DataError(message)
        network_seed, order_seed = child_seeds(self.seed, 2)
        network = PreferenceNetwork(answers.n_features, self.n_latent, self.hidden, network_seed)
        data = {
            "preferred": torch.from_numpy(answers.preferred),
            "other": torch.from_numpy(answers.other),
            "given": torch.from_numpy(answers.given),
        }
        step = 0

        def loss(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
            nonlocal step
            weight = self.kl_weight * (cyclic_cosine(step, self.steps, self.cycles) if self.cycles else 1.0)
            step += 1
            return elbo_loss(model, batch, self.n_context, weight)

        self.history_ = train(
            network,
            loss,
            Batches(data, min(self.batch_size, answers.n_people)),
            steps=self.steps,
            optimizer=partial(torch.optim.Adam, lr=self.learning_rate),
            schedule=cosine,
            clip=10.0,
            seed=order_seed,
            device=self.device,
            progress=False,
        )
        self.network_ = network.eval()
        return self

    def posterior(self, context: Comparisons) -> Posterior:
        """Return what is known of people by their answers.

        Parameters
        ----------
        context
            Any number of answers each, none included: then the posterior is what was learnt of people in general.

        Raises
        ------
        DataError
            If the features are not those that were learnt from.
        """
        n_features = self._fitted().of_comparison.widths[0] // 2
        if context.n_features != n_features:
            message = f"the comparisons must have the {n_features} features that were learnt, got {context.n_features}"
            raise DataError(message)
        parts = [context.preferred, context.other, context.given]
        with torch.inference_mode():
            mean, log_variance = self.network_.encode(*(self._tensor(part) for part in parts))
        return Posterior(mean.cpu().numpy(), log_variance.cpu().numpy())

    def reward(self, things: ArrayLike, z: ArrayLike) -> Floats:
        """Return rewards, which compare within one person only: see `win_rate`.

        Parameters
        ----------
        things
            Features of what is judged, shape ``(..., features)``.
        z
            Hidden vectors, shape ``(..., latent)``, such as the mean of a posterior; the leading axes broadcast.

        Returns
        -------
        ndarray
            Of the broadcast leading shape.
        """
        network = self._fitted()
        with torch.inference_mode():
            found: Floats = network.reward(self._tensor(things), self._tensor(z)).cpu().numpy()
        return found

    def win_rate(self, things: ArrayLike, z: ArrayLike, references: ArrayLike) -> Floats:
        r"""Return the rewards scaled to how often a thing is preferred to those of a reference set, in [0, 1].

        .. math:: r'(s, z) = \frac1{|R|}\sum_{s' \in R} \sigma\big(r(s, z) - r(s', z)\big)

        A Bradley-Terry reward is known up to a scale that differs between people; this one compares over them.

        Parameters
        ----------
        things, z
            As for `reward`.
        references
            R, shape ``(references, features)``, such as a sample of the data.
        """
        own = self.reward(things, z)
        of_references = self.reward(np.asarray(references), np.asarray(z)[..., None, :])
        return expected_win_rate(own, of_references)

    def probability(self, questions: Comparisons, z: ArrayLike) -> Floats:
        """Return the probabilities that people with hidden vectors ``(people, latent)`` prefer a, shape ``(people, n)``."""
        vectors = np.asarray(z)[:, None]
        difference = self.reward(questions.a, vectors) - self.reward(questions.b, vectors)
        return sigmoid(difference)

    def _fitted(self) -> PreferenceNetwork:
        network: PreferenceNetwork | None = getattr(self, "network_", None)
        if network is None:
            message = "VariationalPreferences has learnt nothing yet: call fit first"
            raise ConfigError(message)
        return network

    def _tensor(self, array: ArrayLike) -> Tensor:
        place = next(self.network_.parameters()).device
        made = np.asarray(array)
        return torch.as_tensor(made if made.dtype == bool else made.astype(np.float32)).to(place)


def expected_win_rate(own: ArrayLike, of_references: ArrayLike) -> Floats:
    """Return how often each reward beats those of references, in expectation.

    Parameters
    ----------
    own
        Rewards, shape ``(...)``.
    of_references
        Rewards of the references for the same people: the same shape and a last axis of references, or a shape
        that broadcasts to it.

    Examples
    --------
    >>> expected_win_rate([0.0, 50.0], [0.0, 0.0, 0.0]).tolist()
    [0.5, 1.0]
    """
    difference = np.asarray(own, dtype=np.float32)[..., None] - np.asarray(of_references, dtype=np.float32)
    rates: Floats = sigmoid(difference).mean(axis=-1)
    return rates


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """Return the logistic function, without overflow."""
    value: NDArray[Any] = (np.tanh(x / 2) + 1) / 2
    return value
