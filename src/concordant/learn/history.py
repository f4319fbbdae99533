"""What a training run tells about itself: one number a step, one a validation, and which was best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl
    from torch import Tensor


@dataclass
class History:
    """The record of a run.

    Attributes
    ----------
    parts
        A list a name, one number a step: ``loss``, the other parts the loss function gave, ``gradient_norm`` (before
        clipping) and ``learning_rate`` (of the first group).
    validation_steps, validation_losses
        After which steps the model was validated, and the losses.
    """

    parts: dict[str, list[float]] = field(default_factory=dict)
    validation_steps: list[int] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.parts.get("loss", ()))

    @property
    def loss(self) -> list[float]:
        """The training loss of every step."""
        return self.parts.get("loss", [])

    @property
    def best_step(self) -> int | None:
        """After which step the validation loss was lowest, the first one of equals; None without validation."""
        finite = [
            (loss, step)
            for loss, step in zip(self.validation_losses, self.validation_steps, strict=True)
            if math.isfinite(loss)
        ]
        return min(finite)[1] if finite else None

    @property
    def best_loss(self) -> float | None:
        """The lowest validation loss; None without validation."""
        step = self.best_step
        return None if step is None else self.validation_losses[self.validation_steps.index(step)]

    def add(self, parts: Mapping[str, float]) -> None:
        """Record one step; a part that is new or missing counts as not a number elsewhere."""
        before = self.steps
        for name in parts:
            self.parts.setdefault(name, [math.nan] * before)
        for name, values in self.parts.items():
            values.append(parts.get(name, math.nan))

    def frame(self) -> pl.DataFrame:
        """Return a table of one row a step: ``step``, the parts, and ``validation_loss`` where there is one.

        Examples
        --------
        >>> history = History()
        >>> history.add({"loss": 2.0})
        >>> history.frame().rows()
        [(1, 2.0, None)]
        """
        import polars as pl

        validated = dict(zip(self.validation_steps, self.validation_losses, strict=True))
        numbers = range(1, self.steps + 1)
        return pl.DataFrame({"step": list(numbers), **self.parts}).with_columns(
            pl.Series("validation_loss", [validated.get(step) for step in numbers], dtype=pl.Float64)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the record as tensors, for a checkpoint."""
        parts = {
            f"part.{name}": torch.tensor(values, dtype=torch.float64) for name, values in self.parts.items()
        }
        return {
            **parts,
            "validation_steps": torch.tensor(self.validation_steps, dtype=torch.int64),
            "validation_losses": torch.tensor(self.validation_losses, dtype=torch.float64),
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> History:
        """Return the record that :meth:`tensors` wrote."""
        return cls(
            {
                name.removeprefix("part."): t.tolist()
                for name, t in tensors.items()
                if name.startswith("part.")
            },
            tensors["validation_steps"].tolist(),
            tensors["validation_losses"].tolist(),
        )
