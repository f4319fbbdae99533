r"""Model surgery: an unwanted behaviour is turned down by adding its direction to a few rows of the gates.

A probe finds the direction :math:`v` of the behaviour in the last hidden states. A row :math:`g` of a gate that points
against it belongs to a neuron that closes when the behaviour comes near; over all layers together, the rows with the
highest :math:`-\cos(g, v)` are moved towards :math:`v`, so that these neurons open just then and push back:

.. math:: g \leftarrow g + \alpha\, v / |v|

Nothing is trained but the probe. The length :math:`\alpha` is told in mean lengths of a gate row, since that of
:math:`v` depends on how long the probe was trained. Rows that are drawn, or that point along the direction, are the
controls.

References
----------
Wang et al., "Model Surgery: Modulating LLM's Behavior Via Simple Parameter Editing", 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from concordant.core.errors import ConfigError, ModelError
from concordant.learn.randomness import generator_of
from concordant.versions.editing.making import edit_of_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from concordant.versions.editing.edit import Edit

Rule = Literal["opposed", "aligned", "random"]
SHARE = 0.05
"""Of the gate rows that the paper edits, about."""

NORMS = ("pre_feedforward_layernorm", "post_attention_layernorm")
"""What a layer may call the norm that its gate reads through."""


@dataclass(frozen=True)
class Gate:
    """The gate of one layer.

    Parameters
    ----------
    name
        Of its weight.
    weight
        Shape ``(n_rows, d)``.
    gain
        What the norm before it multiplies each channel by, shape ``(d,)``.
    """

    name: str
    weight: Tensor
    gain: Tensor


def gates_of(model: Any) -> list[Gate]:
    """Return the gates of all layers of a model, in order.

    Parameters
    ----------
    model
        A causal language model of transformers with gated feed-forward layers (the Llama family: Llama, Mistral, Qwen,
        Gemma, ...).

    Raises
    ------
    ModelError
        If it has none.
    """
    gates = []
    for name, layer in model.named_modules():
        mlp: Any = getattr(layer, "mlp", None)
        norm = next((getattr(layer, norm) for norm in NORMS if hasattr(layer, norm)), None)
        if norm is None or not isinstance(getattr(mlp, "gate_proj", None), torch.nn.Linear):
            continue
        weight = mlp.gate_proj.weight.detach()
        gates.append(Gate(f"{name}.mlp.gate_proj.weight", weight, gain_of(norm, weight)))
    if not gates:
        message = (
            f"model surgery edits the rows of gates (gate_proj in the layers of the Llama family), and the "
            f"{type(model).__name__} has none"
        )
        raise ModelError(message)
    return gates


@torch.no_grad()
def gain_of(norm: torch.nn.Module, like: Tensor) -> Tensor:
    """Return what a norm multiplies each channel by, asked of it with a state of plus and minus one.

    Parameters
    ----------
    norm
        A root-mean-square or layer norm.
    like
        A tensor of its width, type and device.

    Examples
    --------
    >>> norm = torch.nn.RMSNorm(4)
    >>> _ = norm.weight.data.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    >>> gain_of(norm, torch.zeros(1, 4)).round().tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    signs = torch.ones(like.shape[-1], dtype=like.dtype, device=like.device)
    signs[1::2] = -1
    gain: Tensor = (norm(signs[None])[0] - norm(-signs[None])[0]) / 2 * signs
    return gain


def row_scores(model: Any, direction: Tensor, *, fold_gain: bool = True) -> dict[str, Tensor]:
    r"""Return how far each gate row points against a direction.

    .. math:: s = -\cos(\gamma_l \circ g,\ \gamma \circ v)

    Parameters
    ----------
    model
        As for :func:`gates_of`.
    direction
        :math:`v`, in the last hidden states (behind the last norm), shape ``(d,)``.
    fold_gain
        Whether both are read in the residual stream: rows through the gain :math:`\gamma_l` of the norm before their
        gate, the direction through the gain :math:`\gamma` of the last norm. Without it the raw vectors are
        compared, as in the published code.

    Returns
    -------
    dict
        By the name of the gate's weight, in [-1, 1], shape ``(n_rows,)``.

    Raises
    ------
    ModelError
        If the model has no gates, or the direction is of another width.
    """
    scores = {}
    for gate in gates_of(model):
        if direction.shape != gate.gain.shape:
            message = f"the direction must have the width of the model, {len(gate.gain)}, got {tuple(direction.shape)}"
            raise ModelError(message)
        rows, towards = gate.weight.float(), direction.to(gate.weight.device).float()
        if fold_gain:
            rows = rows * gate.gain.float()
            towards = towards * gain_of(model.base_model.norm, gate.weight).float()
        scores[gate.name] = -torch.cosine_similarity(rows, towards[None], dim=1)
    return scores


def select_rows(
    scores: Mapping[str, Tensor], n: int, rule: Rule = "opposed", *, seed: int = 0
) -> dict[str, Tensor]:
    """Choose rows over all layers together.

    Parameters
    ----------
    scores
        From :func:`row_scores`.
    n
        How many, from 1 to all.
    rule
        ``"opposed"``: the highest scores; ``"aligned"``: the lowest; ``"random"``: drawn.
    seed
        Of the draw.

    Returns
    -------
    dict
        By the name of the weight, positions of its rows in ascending order; weights without a row are left out.

    Raises
    ------
    ConfigError
        If `n` or `rule` is outside what is allowed.

    Examples
    --------
    >>> scores = {"first": torch.tensor([0.1, 0.9]), "second": torch.tensor([0.8, -1.0])}
    >>> {name: rows.tolist() for name, rows in select_rows(scores, 2).items()}
    {'first': [1], 'second': [0]}
    >>> select_rows(scores, 1, "aligned")
    {'second': tensor([1])}
    """
    flat = torch.cat(list(scores.values()))
    if not 1 <= n <= len(flat):
        message = f"the number of rows to edit must be from 1 to the {len(flat)} there are, got {n}"
        raise ConfigError(message)
    if rule not in get_args(Rule):
        message = f"rule must be one of {', '.join(get_args(Rule))}, got {rule!r}"
        raise ConfigError(message)
    if rule == "random":
        chosen = torch.randperm(len(flat), generator=generator_of(seed))[:n]
    else:
        chosen = flat.argsort(descending=rule == "opposed", stable=True)[:n].cpu()
    rows, start = {}, 0
    for name, values in scores.items():
        mine = chosen[(chosen >= start) & (chosen < start + len(values))] - start
        if len(mine):
            rows[name] = mine.sort().values
        start += len(values)
    return rows


def surgery(
    model: Any,
    direction: Tensor,
    rows: Mapping[str, Tensor],
    strength: float,
    *,
    stored: Mapping[str, torch.dtype] | None = None,
    **about: Any,
) -> Edit:
    """Make the edit that adds a direction to gate rows; the model is left as it is.

    Parameters
    ----------
    model
        As for :func:`gates_of`.
    direction
        Of the behaviour, shape ``(d,)``; its length does not matter.
    rows
        From :func:`select_rows`.
    strength
        Length of what is added, in mean lengths of all gate rows of the model. Below 0 the behaviour is turned up.
    stored
        Precision of the weights in the model's files; see `~concordant.versions.editing.edit_of_rows`.
    about
        Further things to remember.

    Raises
    ------
    ModelError
        If the direction is nothing, or not finite.
    """
    norm = float(direction.float().norm())
    if not 0 < norm < float("inf"):
        message = f"the direction of the behaviour must have a finite length above 0, got {norm}"
        raise ModelError(message)
    gates = gates_of(model)
    length = strength * float(torch.cat([gate.weight.float().norm(dim=1) for gate in gates]).mean())
    step = direction.float() / norm * length
    new = {
        gate.name: (rows[gate.name], gate.weight[rows[gate.name]].float() + step.to(gate.weight.device))
        for gate in gates
        if gate.name in rows
    }
    n_rows = sum(map(len, rows.values()))
    settings = {"rows": n_rows, "strength": strength, "length": length, **about.pop("settings", {})}
    return edit_of_rows(model, new, stored=stored, method="surgery", settings=settings, **about)
