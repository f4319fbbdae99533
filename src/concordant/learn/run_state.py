"""All that a training run needs to go on: weights, optimiser, position in the data, generators, history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError, StoreError
from concordant.learn.checkpoint import (
    load_tensors,
    optimizer_parts,
    put_optimizer,
    put_weights,
    save_tensors,
)
from concordant.learn.history import History

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from concordant.learn.batches import Stream
    from concordant.learn.processes import Processes

LAST = "last.safetensors"
BEST = "best.safetensors"


class RunState:
    """The parts of a run that change, and the folder they are kept in.

    Parameters
    ----------
    folder
        Where ``last.safetensors`` is written.
    model, optimizer, stream
        Put back in place when the run goes on.
    device
        Whose generator the loss draws from, beside that of the processor.
    settings
        What must be the same for the run to go on.
    team
        The processes that share the run; each has its generators, the first writes the file.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        stream: Stream,
        device: torch.device,
        settings: dict[str, Any],
        team: Processes,
    ) -> None:
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.stream, self.device, self.settings, self.team = stream, device, settings, team
        self.saved_step: int | None = None

    def save(self, history: History) -> None:
        """Write the state after the last step of the history, all or nothing; all processes call it."""
        draws = self.team.gathered(self._draws())
        self.saved_step = history.steps
        if self.team.is_main:
            start, taken = self.stream.position()
            states, optimizer = optimizer_parts(self.optimizer)
            generators = {_name(name, rank): t for rank, own in enumerate(draws) for name, t in own.items()}
            groups = {
                "model": self.model.state_dict(),
                "optimizer": states,
                "generator": {"order": start, **generators},
                "history": history.tensors(),
            }
            tensors = {f"{group}/{name}": t for group, named in groups.items() for name, t in named.items()}
            header = {
                "settings": self.settings,
                "optimizer": optimizer,
                "taken": taken,
                "step": history.steps,
            }
            save_tensors(self.folder / LAST, tensors, header)
        self.team.wait()

    def start(self, *, resume: bool) -> History:
        """Put everything back from the folder, or begin with an empty history where there is nothing.

        Raises
        ------
        StoreError
            If there is a run in the folder and `resume` is false.
        ConfigError
            If it was made with other settings.
        """
        path = self.folder / LAST
        if not path.exists():
            return History()
        tensors, header = load_tensors(path)
        if not resume:
            message = (
                f"{self.folder} already holds a run of {header['step']} steps: pass resume=True to go on from it, "
                "or name another folder"
            )
            raise StoreError(message)
        for name, value in self.settings.items():
            if header["settings"].get(name) != value:
                message = f"{path} was made with {name} {header['settings'].get(name)}, got {value}"
                raise ConfigError(message)
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "generator": {}, "history": {}}
        for key, tensor in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = tensor
        put_weights(self.model, groups["model"], str(path))
        put_optimizer(self.optimizer, groups["optimizer"], header["optimizer"], str(path))
        self.stream.go_to(groups["generator"]["order"], header["taken"])
        self._put_draws(groups["generator"])
        history = History.of(groups["history"])
        self.saved_step = history.steps
        return history

    def _draws(self) -> dict[str, Tensor]:
        """Return the states of the generators that the loss of this process draws from."""
        draws = {"draws": torch.get_rng_state()}
        if self.device.type == "cuda":
            draws["cuda"] = torch.cuda.get_rng_state(self.device)
        return draws

    def _put_draws(self, states: dict[str, Tensor]) -> None:
        # A run that goes on with more processes than it had leaves the new ones at their seeds.
        draws, cuda = (states.get(_name(name, self.team.rank)) for name in ("draws", "cuda"))
        if draws is not None:
            torch.set_rng_state(draws)
        if cuda is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(cuda, self.device)


def _name(name: str, rank: int) -> str:
    return name if rank == 0 else f"{name}.{rank}"
