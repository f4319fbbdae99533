"""Any torch classifier of series, seen as explainers need it: logits and a latent from one pass, and what may be masked."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from concordant.core.errors import ConfigError, DataError, ModelError, first_line
from concordant.explanations.classifiers import checked_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

Series: TypeAlias = "NDArray[Any] | Tensor"
Latent: TypeAlias = "str | Callable[[nn.Module, Tensor], Tensor]"

N_CANDIDATES = 8


class SeriesModel(nn.Module):
    """A classifier of series and its latent.

    Parameters
    ----------
    module
        Maps ``(batch, time, channel)`` to one number a class. It is not changed.
    latent
        Where the representation of a series is: the name of a submodule, whose output is taken (all but its first
        axis flattened), or a function ``(module, x) -> (batch, d)``. By default the module's ``latent_module``, if it
        has one; without any, only what needs no latent works.
    channels_first
        Whether the module wants ``(batch, channel, time)``, as convolutions do.
    flat
        Whether the module wants ``(batch, time * channel)``, as networks of table rows do.
    outputs
        What the module gives: ``"logits"`` or ``"probabilities"``.
    name
        What reports call it; by default its type.

    Raises
    ------
    ConfigError
        If there is no submodule of that name.

    Examples
    --------
    >>> import torch
    >>> from concordant.explanations.series_transformer import SeriesTransformer
    >>> model = SeriesModel(SeriesTransformer(1, 4, 50, seed=0))
    >>> logits, latent = model(torch.zeros(8, 50, 1))
    >>> logits.shape, latent.shape, model.takes_keep
    (torch.Size([8, 4]), torch.Size([8, 17]), True)
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        latent: Latent | None = None,
        channels_first: bool = False,
        flat: bool = False,
        outputs: Literal["logits", "probabilities"] = "logits",
        name: str | None = None,
    ) -> None:
        super().__init__()
        latent = latent if latent is not None else getattr(module, "latent_module", None)
        if isinstance(latent, str) and latent not in dict(module.named_modules()):
            message = (
                f"{_name(module)} has no module {latent!r} to take the latent from: {_candidates(module)}"
            )
            raise ConfigError(message)
        if outputs not in ("logits", "probabilities"):
            message = f"outputs of a SeriesModel must be 'logits' or 'probabilities', got {outputs!r}"
            raise ConfigError(message)
        self.module, self.latent = module, latent
        self.channels_first, self.flat, self.outputs = channels_first, flat, outputs
        self.name = name or type(module).__name__
        self.takes_keep = "keep" in inspect.signature(module.forward).parameters

    def forward(self, x: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return logits and the latent.

        Parameters
        ----------
        x
            Shape ``(batch, time, channel)``.
        keep
            Weight in [0, 1] a step for the attention, shape ``(batch, time)``, where the module takes one.

        Returns
        -------
        logits of shape ``(batch, classes)``, latent of shape ``(batch, d)`` or None where none is named
        """
        x = x.transpose(1, 2) if self.channels_first else x
        x = x.flatten(1) if self.flat else x
        arguments = {} if keep is None else {"keep": keep}
        caught: list[Tensor] = []
        hook = None
        if isinstance(self.latent, str):
            place = self.module.get_submodule(self.latent)
            hook = place.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
        try:
            logits = self.module(x, **arguments)
        finally:
            if hook is not None:
                hook.remove()
        if self.outputs == "probabilities":
            logits = logits.clamp(min=torch.finfo(logits.dtype).tiny).log()
        if callable(self.latent):
            caught = [self.latent(self.module, x)]
        return logits, caught[-1].flatten(1) if caught else None

    def needs_latent(self) -> None:
        """Refuse a classifier without a latent, and list where there might be one.

        Raises
        ------
        ConfigError
            If none is named.
        """
        if self.latent is None:
            message = (
                f"{_name(self.module)} has no latent that is named, and behaviour is compared there: "
                f"name a module with latent=, {_candidates(self.module)}"
            )
            raise ConfigError(message)

    def checked(self, x: Series, name: str = "X") -> Tensor:
        """Return series as a tensor of the model's type, on its device.

        Parameters
        ----------
        x
            Shape ``(n, time, channel)``, finite numbers.
        name
            What it is called in errors.

        Raises
        ------
        DataError
            If it has another number of axes, no row, or a number that is not finite, or if the axes of time and
            channels are the wrong way round for this classifier.
        ModelError
            If the classifier cannot take it, or does not give one row of classes a series.
        """
        like = next(self.module.parameters(), torch.zeros(()))
        tensor = x if isinstance(x, Tensor) else torch.as_tensor(checked_series(x, name))
        tensor = tensor.to(like.device, like.dtype)
        checked_series(
            tensor.numpy(force=True), name
        )  # as the classifier will see it: doubles may be too large
        self._tried(tensor[:2], name)
        return tensor

    def behaviour(
        self, x: Tensor, keep: Tensor | None = None, *, batch_size: int = 512
    ) -> tuple[Tensor, Tensor | None]:
        """Return logits and latent of many series in evaluation mode, without gradients, batch by batch."""
        with evaluating(self), torch.no_grad():
            parts = [
                self(rows, None if keep is None else keep[i * batch_size : (i + 1) * batch_size])
                for i, rows in enumerate(torch.split(x, batch_size))
            ]
        logits = torch.cat([part[0] for part in parts])
        return logits, None if parts[0][1] is None else torch.cat([part[1] for part in parts])

    def probabilities(self, x: Series) -> NDArray[np.float64]:
        """Map series of shape ``(n, time, channel)`` to probabilities of shape ``(n, classes)``; see `checked`."""
        return self.behaviour(self.checked(x))[0].softmax(-1).double().numpy(force=True)

    def latents(self, x: Series) -> NDArray[np.float64] | None:
        """Map series to latents of shape ``(n, d)``, or to None where no latent is named; see `checked`."""
        latent = self.behaviour(self.checked(x))[1]
        return None if latent is None else latent.double().numpy(force=True)

    def _tried(self, x: Tensor, name: str) -> None:
        try:
            logits, latent = self.behaviour(x)
        except Exception as error:
            if x.shape[1] != x.shape[2] and self._works(x.transpose(1, 2)):
                message = (
                    f"{name} has its axes the wrong way round for {_name(self.module)}, "
                    f"got (n, {x.shape[1]}, {x.shape[2]}): (n, time, channel) is expected, "
                    f"so give {name}.swapaxes(1, 2), or channels_first=True (--channels-first) if it is the "
                    "classifier that wants (n, channel, time)"
                )
                raise DataError(message) from None
            message = (
                f"{_name(self.module)} cannot take series of shape {tuple(x.shape[1:])} (time, channel): "
                f"{first_line(error)}"
            )
            raise ModelError(message) from error
        if logits.ndim != 2 or len(logits) != len(x):
            message = f"{_name(self.module)} must give shape (n, classes), got {tuple(logits.shape)} for {len(x)} series"
            raise ModelError(message)
        if latent is not None and len(latent) != len(x):
            message = f"the latent of {_name(self.module)} must have one row a series, got {len(latent)} for {len(x)}"
            raise ModelError(message)

    def _works(self, x: Tensor) -> bool:
        try:
            self.behaviour(x)
        except Exception:
            return False
        return True


class evaluating:
    """Put a module in evaluation mode for a while, and each part of it back into the mode it was in."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __enter__(self) -> None:
        self.before = [(part, part.training) for part in self.module.modules()]
        self.module.eval()

    def __exit__(self, *_: object) -> None:
        for part, training in self.before:
            part.training = training


def as_series_model(model: Any, **options: Any) -> SeriesModel:
    """Return a `SeriesModel` as it is, or one about a module; options are those of `SeriesModel`.

    Raises
    ------
    ConfigError
        If it is no torch module, or options are given for a `SeriesModel` that has its own.
    """
    if isinstance(model, SeriesModel):
        given = sorted(name for name, value in options.items() if value is not None)
        if given:
            message = f"a SeriesModel has its own {' and '.join(given)}, which cannot be given again"
            raise ConfigError(message)
        return model
    if not isinstance(model, nn.Module):
        message = f"the classifier must be a torch module, got a {type(model).__name__}"
        raise ConfigError(message)
    return SeriesModel(model, **{name: value for name, value in options.items() if value is not None})


def _candidates(module: nn.Module) -> str:
    names = [name for name, part in module.named_modules() if name and not isinstance(part, nn.Dropout)]
    if not names:
        return "it has no submodules, so give a function (module, x) -> (n, d)"
    shown = ", ".join(_spread(names))
    return f"such as {shown}" if len(names) > N_CANDIDATES else f"one of {shown}"


def _spread(names: list[str]) -> Iterator[str]:
    """Prefer names near the top of the module, in its order."""
    near = sorted(range(len(names)), key=lambda i: (names[i].count("."), i))[:N_CANDIDATES]
    return (names[i] for i in sorted(near))


def _name(module: nn.Module) -> str:
    return f"the {type(module).__name__}"
