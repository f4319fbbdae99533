"""A world of facts with confusable values, and a ladder of small language models that learn it.

Every entity has one value for each relation. Values come in clusters, and the value that a text names wrongly is one of
the same cluster: what a model must learn last is which of a few likely values is right. Entities come up by Zipf's law.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.learn import train
from concordant.learn.losses.language import sft_nll
from concordant.learn.randomness import child_seeds
from concordant.learn.sequences import logits_of
from concordant.pocket.recipes import Size
from concordant.pocket.training import new_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

FIRST_ID = 7
"""The first token id that stands for a thing of this world; those before it are special."""


@dataclass(frozen=True)
class ConfusableFacts:
    """Who has which value.

    Parameters
    ----------
    values
        Shape (entities, relations): the right value, a number below ``n_clusters * cluster_size``.
    cluster_size
        Values of a cluster: v and w are confusable if they agree in ``v // cluster_size``.
    n_clusters
        Number of clusters.
    noise
        How often a text names another value of the cluster.
    """

    values: NDArray[np.int64]
    cluster_size: int
    n_clusters: int
    noise: float

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        n_entities: int,
        n_relations: int,
        n_clusters: int,
        cluster_size: int,
        noise: float,
    ) -> ConfusableFacts:
        """Draw a world; all values are equally frequent on average."""
        values = rng.integers(n_clusters * cluster_size, size=(n_entities, n_relations))
        return cls(values, cluster_size, n_clusters, noise)

    def rows(self, rng: np.random.Generator, n: int) -> Tensor:
        """Draw `n` facts as they are told, shape (n, 3): the tokens of entity, relation and value."""
        n_entities, n_relations = self.values.shape
        weights = 1.0 / np.arange(1, n_entities + 1)
        entities = rng.choice(n_entities, size=n, p=weights / weights.sum())
        relations = rng.integers(n_relations, size=n)
        right = self.values[entities, relations]
        other = (right + rng.integers(1, self.cluster_size, size=n)) % self.cluster_size
        wrong = right // self.cluster_size * self.cluster_size + other
        told = np.where(rng.random(n) < self.noise, wrong, right)
        return torch.from_numpy(np.stack(self._ids(entities, relations, told), axis=1))

    def questions(
        self, rng: np.random.Generator, n: int, n_options: int
    ) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
        """Draw `n` different facts to ask about.

        Returns
        -------
        prompts, options, right
            Shapes (n, 2), (n, n_options) and (n,): tokens asked, tokens of the options (all of one cluster, in random
            order), and the position of the right one.
        """
        n_entities, n_relations = self.values.shape
        chosen = rng.choice(n_entities * n_relations, size=n, replace=False)
        entities, relations = np.divmod(chosen, n_relations)
        truth = self.values[entities, relations]
        steps = rng.permuted(np.tile(np.arange(1, self.cluster_size), (n, 1)), axis=1)[:, : n_options - 1]
        start = truth // self.cluster_size * self.cluster_size
        wrong = start[:, None] + (truth[:, None] + steps) % self.cluster_size
        order = rng.permuted(np.tile(np.arange(n_options), (n, 1)), axis=1)
        options = np.take_along_axis(np.concatenate([truth[:, None], wrong], axis=1), order, axis=1)
        entity_ids, relation_ids, option_ids = self._ids(entities, relations, options)
        prompts = np.stack([entity_ids, relation_ids], axis=1)
        return torch.from_numpy(prompts), torch.from_numpy(option_ids), (order == 0).argmax(axis=1)

    def _ids(self, entities: Any, relations: Any, values: Any) -> tuple[Any, Any, Any]:
        n_entities, n_relations = self.values.shape
        return (
            FIRST_ID + entities,
            FIRST_ID + n_entities + relations,
            FIRST_ID + n_entities + n_relations + values,
        )


@dataclass(frozen=True)
class Rung:
    """One model of a ladder: its compute, and the log-probability of every option of every question.

    Parameters
    ----------
    compute
        Operations of its training, 6 * parameters * tokens.
    logprobs
        Shape (questions, options), nats.
    """

    compute: float
    logprobs: NDArray[np.float64]


def ladder(
    world: ConfusableFacts,
    prompts: Tensor,
    options: Tensor,
    *,
    widths: tuple[int, ...],
    checkpoints: tuple[int, ...],
    batch: int,
    rate: float,
    seed: int,
) -> list[Rung]:
    """Train models of several widths and ask each at several steps of its training.

    Parameters
    ----------
    world
        What they learn.
    prompts, options
        What they are asked, as `ConfusableFacts.questions` gives it.
    widths
        One model each, of one layer, and of two from a width of 24 on.
    checkpoints
        Steps after which a model is asked; it is trained to the last.
    batch
        Facts a step.
    rate
        Learning rate, after a tenth of the steps.
    seed
        Decides weights and facts.
    """
    rungs = []
    for width, model_seed in zip(widths, child_seeds(seed, len(widths)), strict=True):
        layers = 1 if width < 24 else 2
        model = new_model(Size(width, layers, 2 if width < 16 else 4, 2 * width), seed=model_seed)
        tokens_a_step = 3 * batch
        rungs += [
            Rung(6.0 * model.num_parameters() * tokens_a_step * step, table)
            for step, table in _trained(model, world, prompts, options, checkpoints, batch, rate, model_seed)
        ]
    return rungs


def _trained(
    model: nn.Module,
    world: ConfusableFacts,
    prompts: Tensor,
    options: Tensor,
    checkpoints: tuple[int, ...],
    batch: int,
    rate: float,
    seed: int,
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98))
    done = 0
    for step in checkpoints:
        rows = torch.split(world.rows(rng, (step - done) * batch), batch)
        warm = partial(_warm_up, before=done, until=checkpoints[-1] // 10)
        train(
            model,
            _fact_loss,
            list(rows),
            epochs=1,
            optimizer=optimizer,
            schedule=warm,
            clip=1.0,
            device="cpu",
            progress=False,
        )
        done = step
        yield step, _asked(model, prompts, options)


def _warm_up(step: int, steps: int, *, before: int, until: int) -> float:
    return min(1.0, (before + step + 1) / max(1, until))


def _fact_loss(model: nn.Module, rows: Tensor) -> Tensor:
    """Return the loss on the value alone: entity and relation are drawn by chance."""
    mask = torch.zeros_like(rows, dtype=torch.bool)
    mask[:, 2] = True
    return sft_nll(logits_of(model, rows), rows, mask)


@torch.no_grad()
def _asked(model: nn.Module, prompts: Tensor, options: Tensor) -> NDArray[np.float64]:
    model.eval()
    said = logits_of(model, prompts)[:, -1].double().log_softmax(dim=-1)
    found: NDArray[np.float64] = said.gather(1, options).numpy()
    return found
