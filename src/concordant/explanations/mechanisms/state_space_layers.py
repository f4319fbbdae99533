"""The selective state-space layers of a model, and the two matrices in each that say what its states take and give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


def state_space_layers(model: nn.Module) -> dict[str, Any]:
    """Return the layers that project tokens to steps, B and C at once, by name, in the order of the model.

    Known by their parts ``x_proj``, ``dt_proj`` and ``A_log``: Mamba, Falcon-Mamba and Jamba of transformers, Mamba of
    mamba_ssm, and any module that names its parts alike.

    Parameters
    ----------
    model
        The model, or such a layer itself, whose name is then empty.

    Raises
    ------
    ModelError
        If there are none. In Mamba-2 B and C pass a SiLU, so no matrix decides there; the message says so.

    Examples
    --------
    >>> import torch
    >>> from transformers import MambaConfig, MambaModel
    >>> with torch.random.fork_rng():
    ...     model = MambaModel(MambaConfig(vocab_size=8, hidden_size=4, state_size=2, num_hidden_layers=2))
    >>> list(state_space_layers(model))
    ['layers.0.mixer', 'layers.1.mixer']
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if all(hasattr(module, part) for part in ("x_proj", "dt_proj", "A_log"))
    }
    if not found:
        message = f"a {type(model).__name__} has no layer with x_proj, dt_proj and A_log, as Mamba's have"
        if any(hasattr(module, "A_log") for module in model.modules()):
            message += "; in Mamba-2 B and C pass a SiLU, so that no matrix decides"
        raise ModelError(message)
    return found


def write_read_matrices(layer: Any) -> tuple[Tensor, Tensor]:
    """Return what writes to the states of a layer and what reads from them: B = S_B x and C = S_C x.

    Learnt scales behind them (Jamba) are part of them. The norms of Falcon-Mamba and Jamba divide by what is above zero
    and differs from token to token, which changes no sign.

    Parameters
    ----------
    layer
        Of `state_space_layers`.

    Returns
    -------
    two tensors of shape ``(states, channels)``, without gradients
    """
    rank, states = layer.dt_proj.in_features, layer.A_log.shape[-1]
    _, s_b, s_c = layer.x_proj.weight.detach().split([rank, states, states])
    scales = (getattr(layer, name, None) for name in ("b_layernorm", "c_layernorm"))
    scaled = [
        matrix if scale is None else scale.weight.detach()[:, None] * matrix
        for matrix, scale in zip((s_b, s_c), scales, strict=True)
    ]
    return scaled[0], scaled[1]
