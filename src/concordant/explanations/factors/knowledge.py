r"""Training with knowledge of which factors matter: a penalty on the shares that a network gives to its inputs.

The shares of a network in a batch are differentiable, so that they can be trained:

.. math:: I_j = E_x \Big| x_j \frac{\partial f}{\partial x_j} \Big|, \quad p_j = \frac{I_j}{\sum_i I_i}, \qquad
    L = L_\text{task} + \lambda\, \mathrm{KL}(q \,\|\, p)

Gradients of gradients are taken: a ReLU network has none almost everywhere, so use a smooth activation (tanh, GELU). q
should be of the same kind of attribution as p, and come from rows that are neither trained on nor tested. Any penalty
regularises a small network: before its knowledge is credited, train with `uniform_shares`, `reversed_shares` and tuned
weight decay, too.

X. Wu, L. Li, X. Tao, F. Xing, J. Yuan (2024), Primary and secondary factor consistency as domain knowledge to guide
happiness computing in online assessment, arXiv:2402.12398. We have only its abstract: the formulas are reconstructed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch  # this module is itself imported only when a network is trained

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.factors.shares import LEAST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from concordant.explanations.factors.shares import Importance

Loss = Callable[["nn.Module", Any], "Tensor | Mapping[str, Tensor]"]


def gradient_shares(model: nn.Module, x: Tensor) -> Tensor:
    """Return the shares of the inputs by gradient times input, which can be trained.

    Parameters
    ----------
    model
        A module with one output a row; of several, their sum is explained.
    x
        Rows, shape ``(n, n_factors)``, measured from the row that stands for "nothing known", such as z-scores.

    Returns
    -------
    Tensor of shape ``(n_factors,)``
        With sum 1.

    Examples
    --------
    >>> model = torch.nn.utils.skip_init(torch.nn.Linear, 2, 1)
    >>> _ = model.load_state_dict({"weight": torch.tensor([[3.0, -1.0]]), "bias": torch.zeros(1)})
    >>> gradient_shares(model, torch.tensor([[1.0, 1.0], [-1.0, 1.0]])).tolist()
    [0.75, 0.25]
    """
    with torch.enable_grad():
        rows = x if x.requires_grad else x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model(rows).sum(), rows, create_graph=True)
        total = (rows * gradient).abs().mean(0)
        return total / total.sum().clamp_min(torch.finfo(total.dtype).tiny)


def knowledge_loss(model: nn.Module, x: Tensor, shares: Tensor) -> Tensor:
    r"""Return :math:`\mathrm{KL}(q \,\|\, p)` of known shares q and those of the network: zero where they are the same.

    Parameters
    ----------
    model, x
        As for `gradient_shares`.
    shares
        Known shares, shape ``(n_factors,)``, with sum 1.

    Returns
    -------
    Tensor
        A scalar, nats; a share below 1e-4 counts as that.
    """
    known = shares.clamp_min(LEAST)
    known = known / known.sum()
    found = gradient_shares(model, x).clamp_min(LEAST)
    return (known * (known.log() - (found / found.sum()).log())).sum()


def with_knowledge(loss: Loss, known: Importance, weight: float) -> Loss:
    """Return a loss for `concordant.learn.train` with the penalty of `knowledge_loss` added.

    Parameters
    ----------
    loss
        ``loss(model, batch)``, where the rows are the batch, or its first part.
    known
        Shares over the columns of the rows.
    weight
        What the penalty is multiplied by, at least 0.

    Returns
    -------
    function
        Gives ``"loss"``, and beside it ``"task_loss"`` and ``"knowledge_loss"``, for the record of the run.

    Raises
    ------
    ConfigError
        If the weight is below 0.

    Examples
    --------
    >>> from concordant.explanations.factors import ranked_shares
    >>> from concordant.learn import MLP
    >>> squared = lambda model, batch: (model(batch[0])[:, 0] - batch[1]).square().mean()
    >>> guided = with_knowledge(squared, ranked_shares(["age", "children"]), 1.0)
    >>> found = guided(MLP(2, 1, hidden=(4,), activation=torch.tanh), (torch.ones(3, 2), torch.zeros(3)))
    >>> torch.isclose(found["loss"], found["task_loss"] + found["knowledge_loss"]).item()
    True
    """
    if weight < 0:
        message = f"the weight of knowledge must be at least 0, got {weight}"
        raise ConfigError(message)
    shares = torch.from_numpy(known.shares)

    def guided(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        rows = batch if isinstance(batch, torch.Tensor) else batch[0]
        if rows.ndim != 2 or rows.shape[1] != len(shares):
            message = (
                f"knowledge of {len(shares)} factors needs rows of as many columns, got {tuple(rows.shape)}"
            )
            raise DataError(message)
        found = loss(model, batch)
        parts = found if isinstance(found, Mapping) else {"loss": found}
        penalty = knowledge_loss(model, rows, shares.to(rows))
        total = parts["loss"] + weight * penalty
        return {**parts, "loss": total, "task_loss": parts["loss"], "knowledge_loss": penalty}

    return guided


def mutual_loss(models: Sequence[nn.Module], x: Tensor) -> Tensor:
    r"""Return :math:`\sum_{h \ne h'} \mathrm{KL}(p_h \,\|\, p_{h'})`, for networks that are trained together to agree.

    Parameters
    ----------
    models
        At least two.
    x
        As for `gradient_shares`.
    """
    found = torch.stack([gradient_shares(model, x).clamp_min(LEAST) for model in models])
    logs = (found / found.sum(1, keepdim=True)).log()
    # sum over pairs of p (log p - log p'): each log p is there as often as there are others
    others = logs.sum(0) - logs
    return (logs.exp() * ((len(models) - 1) * logs - others)).sum()
