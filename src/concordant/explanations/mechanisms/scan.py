r"""The scan of a selective state-space layer in plain PyTorch, and transformers' Mamba with it.

.. math:: h_t = \exp(\Delta_t A) \odot h_{t-1} + \Delta_t x_t\, B_t^\top, \qquad y_t = h_t C_t

The recurrence is solved step by step, which does least work, or by doubling the span that is summed up, which takes
``log2(time)`` passes and suits an accelerator. Its gradient is the same recurrence backwards, so neither keeps a graph.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from concordant.core.errors import ConfigError

Route = Literal["auto", "sequential", "doubling"]


def selective_scan(
    x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, *, route: Route = "auto"
) -> Tensor:
    r"""Return what a selective state-space layer gives.

    Parameters
    ----------
    x
        Tokens, shape ``(batch, time, channels)``.
    delta
        Step sizes :math:`\Delta`, above 0, of the shape of `x`.
    a
        Decays, below 0, shape ``(channels, states)``.
    b, c
        What is written to the states and read from them, shape ``(batch, time, states)``.
    route
        ``"sequential"``, ``"doubling"``, or ``"auto"``: sequential on a processor, doubling elsewhere.

    Returns
    -------
    tensor of the shape of `x`

    Raises
    ------
    ConfigError
        If shapes do not fit together, or there is no such route.

    Examples
    --------
    With one state that hardly decays the scan is a running sum.

    >>> ones = torch.ones(1, 3, 1)
    >>> selective_scan(ones, ones, torch.tensor([[-1e-9]]), ones, ones).flatten().tolist()
    [1.0, 2.0, 3.0]
    """
    batch, time, channels = x.shape
    states = a.shape[-1]
    for name, given, shape in (
        ("delta", delta, (batch, time, channels)),
        ("a", a, (channels, states)),
        ("b", b, (batch, time, states)),
        ("c", c, (batch, time, states)),
    ):
        if tuple(given.shape) != shape:
            message = f"{name} of selective_scan must have the shape {shape}, got {tuple(given.shape)}"
            raise ConfigError(message)
    # Time first: a step of the recurrence is one piece of memory.
    x, delta, b, c = (part.transpose(0, 1) for part in (x, delta, b, c))
    kept = torch.exp(delta[..., None] * a)
    written = (delta * x)[..., None] * b[:, :, None]
    h = linear_recurrence(kept, written, route=route)
    return (h @ c[..., None]).squeeze(-1).transpose(0, 1)


def linear_recurrence(kept: Tensor, written: Tensor, *, route: Route = "auto") -> Tensor:
    r"""Return the states of :math:`h_t = k_t \odot h_{t-1} + w_t`, from :math:`h_0 = 0`.

    Parameters
    ----------
    kept, written
        :math:`k` and :math:`w`, of one shape, ``(time, ...)``.
    route
        As for `selective_scan`.

    Examples
    --------
    >>> linear_recurrence(torch.full((4,), 0.5), torch.ones(4)).tolist()
    [1.0, 1.5, 1.75, 1.875]
    """
    if route not in ("auto", "sequential", "doubling"):
        message = f"route of selective_scan must be 'auto', 'sequential' or 'doubling', got {route!r}"
        raise ConfigError(message)
    if route == "auto":
        route = "sequential" if kept.device.type == "cpu" else "doubling"
    solved: Tensor = _Recurrence.apply(kept, written, _sequential if route == "sequential" else _doubling)  # type: ignore[no-untyped-call]
    return solved


class _Recurrence(torch.autograd.Function):
    """The recurrence, whose gradient runs backwards: g_t = grad_t + k_{t+1} g_{t+1}."""

    @staticmethod
    def forward(ctx: Any, kept: Tensor, written: Tensor, solve: Any) -> Tensor:
        h: Tensor = solve(kept, written)
        ctx.save_for_backward(kept, h)
        ctx.solve = solve
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        kept, h = ctx.saved_tensors
        to_written = ctx.solve(kept, grad, backwards=True)
        to_kept = torch.zeros_like(h)
        torch.mul(to_written[1:], h[:-1], out=to_kept[1:])
        return to_kept, to_written, None


def _sequential(kept: Tensor, written: Tensor, *, backwards: bool = False) -> Tensor:
    n = len(written)
    h = torch.empty_like(written)
    h[-1 if backwards else 0] = written[-1 if backwards else 0]
    for t in range(n - 2, -1, -1) if backwards else range(1, n):
        before, k = (t + 1, kept[t + 1]) if backwards else (t - 1, kept[t])
        torch.addcmul(written[t], k, h[before], out=h[t])
    return h


def _doubling(kept: Tensor, written: Tensor, *, backwards: bool = False) -> Tensor:
    """Let each step take over what the span before its own has summed up, and double the spans."""
    if backwards:
        turned = torch.cat([kept[:1], kept[1:].flip(0)])  # the first is never used
        return _doubling(turned, written.flip(0)).flip(0)
    span = 1
    while span < len(written):
        written = torch.cat([written[:span], written[span:] + kept[span:] * written[:-span]])
        kept = torch.cat([kept[:span], kept[span:] * kept[:-span]])
        span *= 2
    return written


def with_selective_scan(model: nn.Module) -> nn.Module:
    """Let the layers of transformers' Mamba that it holds use the scan of this module, in place.

    Without its kernels for CUDA, transformers runs every step of the recurrence through the graph of gradients. What is
    computed is the same; generation with a cache goes on as before.

    Parameters
    ----------
    model
        A ``MambaForCausalLM``, or any module that holds ``MambaMixer`` layers.

    Returns
    -------
    the model

    Raises
    ------
    ConfigError
        If there is no such layer.
    """
    from transformers.models.mamba.modeling_mamba import MambaMixer

    mixers = [module for module in model.modules() if isinstance(module, MambaMixer)]
    if not mixers:
        message = (
            f"a {type(model).__name__} holds no MambaMixer of transformers, whose scan could be replaced"
        )
        raise ConfigError(message)
    for mixer in mixers:
        mixer.forward = _Mixed(mixer, mixer.forward)
    return model


class _Mixed:
    """The forward pass of a mixer with our scan where no cache and no mask are given, and its own elsewhere."""

    def __init__(self, mixer: Any, own: Any) -> None:
        self.mixer, self.own = mixer, own

    def __call__(
        self, hidden_states: Tensor, cache: Any = None, attention_mask: Any = None, **more: Any
    ) -> Any:
        if cache is not None or attention_mask is not None:
            return self.own(hidden_states, cache=cache, attention_mask=attention_mask, **more)
        m = self.mixer
        x, gate = m.in_proj(hidden_states).chunk(2, dim=-1)
        x = m.act(m.conv1d(x.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        rank, states = m.dt_proj.in_features, m.A_log.shape[1]
        step, b, c = m.x_proj(x).split([rank, states, states], dim=-1)
        delta = nn.functional.softplus(m.dt_proj(step))
        # States add up many small steps: at least single precision.
        precise = torch.promote_types(x.dtype, torch.float32)
        y = selective_scan(*(part.to(precise) for part in (x, delta, -m.A_log.to(precise).exp(), b, c)))
        return m.out_proj((y.to(x.dtype) + m.D * x) * m.act(gate))
