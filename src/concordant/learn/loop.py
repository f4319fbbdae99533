"""The training loop: any module, any loss, and a step that is plain PyTorch.

What the loop adds to a step is an order of the data that a seed decides, accumulation, clipping, a schedule,
validation, checkpoints that a run goes on from bit for bit on a CPU, and a stop when the loss is no longer a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.progress import progress_bars
from concordant.learn.batches import Epoch, Stream, epoch_of, mapped
from concordant.learn.checkpoint import save_weights
from concordant.learn.history import History
from concordant.learn.processes import Processes
from concordant.learn.randomness import child_seeds
from concordant.learn.run_state import BEST, RunState
from concordant.learn.schedules import Schedule, schedule_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

Loss: TypeAlias = "Callable[[nn.Module, Any], Tensor | Mapping[str, Tensor]]"
MakeOptimizer: TypeAlias = Callable[[Iterable[Any]], torch.optim.Optimizer]
N_VALIDATIONS = 10
N_CHECKPOINTS = 10


def train(
    model: nn.Module,
    loss: Loss,
    batches: Sequence[Any] | Epoch,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    optimizer: MakeOptimizer | torch.optim.Optimizer | None = None,
    schedule: str | Schedule = "constant",
    accumulate: int = 1,
    clip: float | None = None,
    validate: Callable[[nn.Module], float | Tensor] | None = None,
    validate_every: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    device: str | torch.device = "auto",
    accelerator: Any | None = None,
    seed: int = 0,
    progress: bool = True,
) -> History:
    """Train a model in place, and return the record of the run.

    Parameters
    ----------
    model
        Any module; it is moved to the device, trained in training mode, and left in the mode it came in.
    loss
        ``loss(model, batch)`` gives a scalar to minimise, or a mapping whose ``"loss"`` is that scalar and whose
        other scalars are recorded. What it draws from PyTorch's global generator is decided by the seed.
    batches
        A sequence of batches (gone through in a new order each epoch), or a function that takes a generator and
        gives one epoch, such as :class:`concordant.learn.Batches`. A batch is a tensor, or tensors in mappings,
        lists and tuples.
    steps, epochs
        How long: optimiser steps, or times through the batches (which then must have a length). One of the two.
        An epoch whose last step has fewer than `accumulate` batches takes the others from the next epoch; the very
        last step takes what there is.
    optimizer
        A function of the parameters, such as ``partial(torch.optim.SGD, lr=0.1)``, or an optimiser;
        AdamW with its defaults and a learning rate of 1e-3 otherwise. One that is
        given is left with its state and with the learning rates it came with.
    schedule
        ``"constant"``, ``"linear"``, ``"cosine"`` or a function ``(step, steps) -> factor`` of the learning rate.
    accumulate
        Batches a step; the gradient is that of the mean of their losses, so of one large batch where they are of one
        size. Several processes share them.
    clip
        Largest norm of the gradient over all parameters; no limit by default.
    validate
        ``validate(model)`` gives a loss, lower is better; it runs without gradients, in evaluation mode, and what
        it draws does not change the training.
    validate_every
        Steps between validations; a tenth of the run by default. The last step is always validated.
    checkpoint
        A folder for ``last.safetensors`` (to go on from) and ``best.safetensors`` (the weights with the lowest
        validation loss); none by default.
    checkpoint_every
        Steps between checkpoints; a tenth of the run by default. The last step always writes one.
    resume
        Whether to go on from the checkpoint, if there is one. On a CPU the result is bit for bit that of a run that
        was never stopped.
    device
        ``"auto"`` for a GPU where there is one, or any device of PyTorch.
    accelerator
        An ``accelerate.Accelerator`` for several processes, each with a device, a copy of the model and its share of
        the batches of a step, and for ``mixed_precision="bf16"``. All processes call `train` alike and end with the
        same weights; the first writes the files. `validate` runs in each, and the mean counts. How many there are
        does not change the run, apart from what the loss draws, and buffers that change in training (running
        means) are those of each process.
    seed
        Decides the order of the data and what the loss draws; the global generators are left as they were.
    progress
        Whether to draw a bar on a terminal.

    Returns
    -------
    History
        Losses, norms and learning rates by step, validations, and which was best.

    Raises
    ------
    ConfigError
        If an option is outside its range, a checkpoint was made with others, or an accelerator does what this loop
        does not (``"fp16"``, models in parts).
    DataError
        If there are no batches, or `epochs` is given for batches without a length.
    ModelError
        If the model has nothing to train, the loss is not a scalar, or the loss or its gradient is not finite: the
        message names the step, the weights are those after the step before, and the checkpoint is the last good one.
    StoreError
        If the folder holds another run and `resume` is false, or it cannot be read or written.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from concordant.learn import MLP, Batches, train
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> def squared_error(model, batch):
    ...     x, y = batch
    ...     return (model(x) - y).square().mean()
    >>> adam = partial(torch.optim.Adam, lr=0.01)
    >>> history = train(
    ...     MLP(1, 1, hidden=(32,)), squared_error, Batches((x, x**2), 16), steps=200, optimizer=adam
    ... )
    >>> history.steps, history.loss[-1] < 0.01
    (200, True)
    """
    _check(steps=steps, epochs=epochs, accumulate=accumulate, clip=clip)
    _check(validate_every=validate_every, checkpoint_every=checkpoint_every)
    n_batches = _n_batches(batches, steps, epochs, accumulate)
    n_steps = -(-n_batches // accumulate)
    validate_every = validate_every or max(1, n_steps // N_VALIDATIONS)
    checkpoint_every = checkpoint_every or max(1, n_steps // N_CHECKPOINTS)
    factor = schedule_of(schedule)
    team = Processes(accelerator, accumulate)
    if team.device is not None and device != "auto":
        message = (
            f"device of train must be 'auto' with an accelerator, which has its own, got {str(device)!r}"
        )
        raise ConfigError(message)
    place = team.device or _device(device)
    model.to(place)
    team.begin_alike(model)
    optimizer = _optimizer(optimizer, model)
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    learning_rates = [group["lr"] for group in optimizer.param_groups]
    order_seed, draws_seed = child_seeds(seed, 2)
    stream = Stream(epoch_of(batches), torch.Generator().manual_seed(order_seed))
    history = History()
    settings = {"seed": seed, "accumulate": accumulate}
    state = (
        RunState(Path(checkpoint), model, optimizer, stream, place, settings, team)
        if checkpoint is not None
        else None
    )
    was_training = model.training
    bars = progress_bars() if progress and team.is_main else nullcontext(lambda label, done, total: None)

    with own_generator(place, team.seed(draws_seed)), bars as tell:
        if state is not None:
            history = state.start(resume=resume)
        try:
            for step in range(history.steps, n_steps):
                model.train()
                for group, rate in zip(optimizer.param_groups, learning_rates, strict=True):
                    group["lr"] = rate * factor(step, n_steps)
                optimizer.zero_grad()
                share = min(accumulate, n_batches - step * accumulate)
                sums: dict[str, float] = {}
                for index in range(share):
                    try:
                        batch = next(stream)
                    except ModelError as error:  # a batch that the model makes itself
                        raise _stopped(step, str(error), state) from error
                    if not team.takes(index):
                        continue
                    batch = mapped(batch, lambda tensor: tensor.to(place, non_blocking=True))
                    with team.precision():
                        parts = _parts(loss(model, batch))
                    (parts["loss"] / share).backward()  # type: ignore[no-untyped-call]
                    for name, part in parts.items():
                        sums[name] = sums.get(name, 0.0) + float(part.detach()) / share
                team.add_gradients(trained)
                sums = team.summed(sums)
                norm = _clipped_norm(trained, clip)
                if not (math.isfinite(sums["loss"]) and math.isfinite(norm)):
                    raise _diverged(step, sums["loss"], norm, state)
                optimizer.step()

                rate = optimizer.param_groups[0]["lr"]
                history.add({**sums, "gradient_norm": norm, "learning_rate": float(rate)})
                done = step + 1
                if validate is not None and (done % validate_every == 0 or done == n_steps):
                    history.validation_steps.append(done)
                    with team.precision():
                        heard = team.gathered(validated(model, validate, place))
                    history.validation_losses.append(sum(heard) / team.n)
                    if state is not None and team.is_main and history.best_step == done:
                        save_weights(state.folder / BEST, model, step=done, loss=history.best_loss)
                if state is not None and (done % checkpoint_every == 0 or done == n_steps):
                    state.save(history)
                tell("training", done, n_steps)
        finally:
            optimizer.zero_grad()
            for group, rate in zip(optimizer.param_groups, learning_rates, strict=True):
                group["lr"] = rate
            model.train(was_training)
    return history


def validated(
    model: nn.Module, validate: Callable[[nn.Module], float | Tensor], device: torch.device
) -> float:
    """Return a validation loss, without gradients, in evaluation mode, and with the generators left as they were."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(_forked(device)):
            return float(validate(model))
    finally:
        model.train(training)


@contextmanager
def own_generator(device: torch.device, seed: int) -> Iterator[None]:
    """Let what is drawn from the global generators inside be decided by the seed, and put them back afterwards."""
    with torch.random.fork_rng(_forked(device)):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _forked(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []


def _check(**numbers: float | None) -> None:
    for name, number in numbers.items():
        least, words = (0.0, "greater than 0") if name == "clip" else (0.5, "at least 1")
        if number is not None and not number > least:
            message = f"{name} of train must be {words}, got {number}"
            raise ConfigError(message)


def _n_batches(batches: object, steps: int | None, epochs: int | None, accumulate: int) -> int:
    if (steps is None) == (epochs is None):
        message = f"train needs one of steps and epochs, got {'neither' if steps is None else 'both'}"
        raise ConfigError(message)
    if isinstance(batches, Sized) and len(batches) == 0:
        message = "training needs at least one batch, got none"
        raise DataError(message)
    if steps is not None:
        return steps * accumulate
    if not isinstance(batches, Sized):
        message = f"epochs needs batches with a length, got a {type(batches).__name__}: give steps instead"
        raise DataError(message)
    return (epochs or 0) * len(batches)


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device  # with the index of the GPU
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        message = (
            f"device of train must be 'auto' or a device that PyTorch has here, got {str(device)!r}: {reason}"
        )
        raise ConfigError(message) from None


def _optimizer(
    optimizer: MakeOptimizer | torch.optim.Optimizer | None, model: nn.Module
) -> torch.optim.Optimizer:
    if isinstance(optimizer, torch.optim.Optimizer):
        return optimizer
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        message = f"the {type(model).__name__} has no parameters to train"
        raise ModelError(message)
    return torch.optim.AdamW(parameters, lr=1e-3) if optimizer is None else optimizer(parameters)


def _parts(value: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    parts: Mapping[str, Any] = value if isinstance(value, Mapping) else {"loss": value}
    if "loss" not in parts:
        message = (
            f"a loss of several parts must name the one to minimise 'loss', got {', '.join(parts) or 'none'}"
        )
        raise ModelError(message)
    for name, part in parts.items():
        shape = getattr(part, "shape", None)
        if shape is None or part.numel() != 1:
            got = type(part).__name__ if shape is None else tuple(shape)
            message = f"the loss must be a scalar tensor, got {got} for {name!r}"
            raise ModelError(message)
    if not parts["loss"].requires_grad:
        message = "the loss does not depend on any parameter that is trained"
        raise ModelError(message)
    return parts


def _clipped_norm(parameters: list[Tensor], clip: float | None) -> float:
    if clip is not None:
        return float(torch.nn.utils.clip_grad_norm_(parameters, clip))
    norms = [torch.linalg.vector_norm(p.grad) for p in parameters if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0


def _diverged(step: int, loss: float, norm: float, state: RunState | None) -> ModelError:
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
    return _stopped(step, what, state)


def _stopped(step: int, why: str, state: RunState | None) -> ModelError:
    kept = f"the model has the weights after step {step}"
    if state is not None and state.saved_step is not None:
        kept = f"the last good checkpoint is step {state.saved_step} in {state.folder}"
    return ModelError(f"training stopped at step {step + 1} because {why}: {kept}")
