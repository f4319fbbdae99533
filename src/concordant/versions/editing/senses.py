r"""Which sense vectors of a Backpack an example is about: those that it weighs more than any text does.

.. math:: s(w, l) = \frac{1}{|S|} \sum_{i \in S} \sum_{j \le i,\, x_j = w} \alpha_{l,i,j}
    - \lambda\, \overline{\alpha}(w, l)

with :math:`S` the places that predict the suffix of the example, and :math:`\overline{\alpha}` the mean of the same sum
over the places of general text. Words of the suffix that must not come (`bad`) count against.

References
----------
Hewitt et al., "Model Editing with Canonical Examples", 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from concordant.learn.networks.backpack import Backpack
    from concordant.learn.sequences import Row, TokenBatches
    from concordant.versions.editing.examples import CanonicalExample


def select_senses(
    model: Backpack,
    examples: Sequence[CanonicalExample],
    general: TokenBatches,
    *,
    per_example: int = 8,
    penalty: float = 100.0,
) -> Tensor:
    r"""Choose the senses of each example, and return all that were chosen.

    Parameters
    ----------
    model
        A Backpack.
    examples
        What it is to learn.
    general
        General text.
    per_example
        Senses of one example, at least 1; the paper takes 5 to 11.
    penalty
        :math:`\lambda`, at least 0; the paper searches 100 to about 3,000.

    Returns
    -------
    Tensor
        Rows of ``model.sense_changes``, ``word * k + sense``, ascending.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    """
    if per_example < 1 or not penalty >= 0:
        message = f"select_senses needs per_example >= 1 and penalty >= 0, got {per_example} and {penalty}"
        raise ConfigError(message)
    usual = usual_weights(model, general)
    chosen = []
    for example in examples:
        scores = example_weights(model, example.good)
        if example.bad is not None:
            scores = scores - example_weights(model, example.bad)
        chosen.append((scores - penalty * usual).topk(min(per_example, len(usual))).indices)
    rows: Tensor = torch.unique(torch.cat(chosen))
    return rows


@torch.no_grad()
def example_weights(model: Backpack, row: Row) -> Tensor:
    """Return how much each sense weighs in the prediction of a row's suffix, the mean over its places; ``(words * k,)``."""
    ids, n_prompt = row
    tokens = torch.tensor([list(ids)])
    places = torch.zeros(1, len(ids), dtype=torch.bool)
    places[0, max(0, n_prompt - 1) : len(ids) - 1] = True  # the place before a token predicts it
    total, n = _summed(model, tokens, places)
    return total / max(1, n)


@torch.no_grad()
def usual_weights(model: Backpack, general: TokenBatches) -> Tensor:
    """Return how much each sense weighs at a place of general text, the mean over places; ``(words * k,)``."""
    total, count = torch.zeros(len(model.sense_changes)), 0
    for batch in general(torch.Generator()):
        summed, n = _summed(model, batch["tokens"], batch["real"])
        total, count = total + summed, count + n
    return total / max(1, count)


def _summed(model: Backpack, tokens: Tensor, places: Tensor) -> tuple[Tensor, int]:
    """Sum the weights of each sense over some places of texts."""
    device = model.embedding.device
    weights = model.sense_weights(tokens.to(device)).cpu()  # (batch, k, place, word before)
    summed = (weights * places[:, None, :, None]).sum(2)  # (batch, k, word before)
    rows = tokens[:, None, :] * model.n_senses + torch.arange(model.n_senses)[:, None]
    total = torch.zeros(len(model.sense_changes)).index_add_(0, rows.flatten(), summed.flatten())
    return total, int(places.sum())
