"""The processes that share a training run: what each of them takes, and what they tell each other.

The batches of a step are dealt out in turn, the gradients are added, and every process takes the same step. So the
run is that of one process with the same `accumulate`, but for the order in which numbers are added.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

SHARDED = ("DEEPSPEED", "FSDP", "MEGATRON_LM", "XLA")


class Processes:
    """The processes of an accelerator; one of its own, with nothing to tell anybody, where there is none.

    Parameters
    ----------
    accelerator
        An ``accelerate.Accelerator``, or None.
    accumulate
        Batches a step, which the processes share.

    Attributes
    ----------
    n, rank
        How many processes there are, and which of them this is, from 0.
    is_main
        Whether this one writes files and draws bars.

    Raises
    ------
    ConfigError
        If there are more processes than batches a step, or the accelerator scales losses or splits models.
    """

    def __init__(self, accelerator: Any | None, accumulate: int = 1) -> None:
        self._accelerator = accelerator
        self.n = 1 if accelerator is None else int(accelerator.num_processes)
        self.rank = 0 if accelerator is None else int(accelerator.process_index)
        self.is_main = self.rank == 0
        if accelerator is None:
            return
        if accelerator.mixed_precision not in ("no", "bf16"):
            got = accelerator.mixed_precision
            message = f"the accelerator of train must have mixed_precision 'no' or 'bf16', got {got!r}"
            raise ConfigError(message)
        kind = accelerator.distributed_type.name
        if kind in SHARDED:
            message = f"train gives each process a whole model, which {kind} does not: use plain processes, one a device"
            raise ConfigError(message)
        if accumulate < self.n:
            message = (
                f"accumulate of train, the batches of a step that {self.n} processes share, must be at least {self.n}, "
                f"got {accumulate}"
            )
            raise ConfigError(message)

    @property
    def device(self) -> torch.device | None:
        """The device of this process; None where there is no accelerator."""
        return None if self._accelerator is None else self._accelerator.device

    def takes(self, index: int) -> bool:
        """Whether this process takes the batch of that number in the step."""
        return index % self.n == self.rank

    def seed(self, seed: int) -> int:
        """Return the seed of what this process draws by itself; the first has that of a single process."""
        return seed if self.is_main else child_seeds(seed, self.n)[self.rank]

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context in which the model is called: that of mixed precision, where it is asked for."""
        return nullcontext() if self._accelerator is None else self._accelerator.autocast()

    def gathered(self, value: Any) -> list[Any]:
        """Return the values of all processes, in their order."""
        if self.n == 1:
            return [value]
        from accelerate.utils import gather_object

        return list(gather_object([value]))

    def summed(self, numbers: dict[str, float]) -> dict[str, float]:
        """Return the sums of named numbers over the processes; one that has had no batch has no names."""
        sums: dict[str, float] = {}
        for part in self.gathered(numbers):
            for name, number in part.items():
                sums[name] = sums.get(name, 0.0) + number
        return sums

    def add_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Add the gradients of all processes, in one message; a parameter that none of them has used keeps none."""
        if self.n == 1:
            return
        assert self._accelerator is not None
        used = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([used, *(gradient.flatten() for gradient in gradients)])
        flat = self._accelerator.reduce(flat, "sum")
        used, *sums = flat.split([len(parameters), *(gradient.numel() for gradient in gradients)])
        for parameter, gradient, total, count in zip(parameters, gradients, sums, used.tolist(), strict=True):
            if count:
                parameter.grad = gradient.copy_(total.view_as(gradient))

    def begin_alike(self, model: nn.Module) -> None:
        """Give every process the weights of the first."""
        if self.n > 1:
            from accelerate.utils import broadcast

            with torch.no_grad():
                for tensor in model.state_dict(keep_vars=True).values():
                    tensor.copy_(broadcast(tensor.detach().clone()))

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()
