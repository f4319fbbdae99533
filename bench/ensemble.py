"""What an ensemble costs to train: 7 dynamics models of 4 x 200, as one batched module and as seven modules."""

from __future__ import annotations

import statistics
import time

import torch
from torch.nn.functional import silu

from bench.timing import Figure
from concordant.learn.losses import gaussian_nll
from concordant.learn.networks import MLP, Ensemble

MEMBERS, STATES, ACTIONS, HIDDEN = 7, 17, 6, (200,) * 4  # HalfCheetah, as MBPO models it
BATCHES = (32, 256)
REACH = 3.0
STEPS, ROUNDS = 10, 9


def main() -> list[Figure]:
    """Measure one training step (forward, Gaussian likelihood, backward, fused Adam) of both, at two batch sizes."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [measured(batch, device) for batch in BATCHES]


def measured(batch: int, device: str) -> Figure:
    """Time both, and the arithmetic in them, in turns on the same data from the same weights, with the same optimiser."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(MEMBERS, batch, STATES + ACTIONS, generator=generator).to(device)
    y = torch.randn(MEMBERS, batch, STATES, generator=generator).to(device)
    separate = [MLP(STATES + ACTIONS, 2 * STATES, hidden=HIDDEN, seed=seed) for seed in range(MEMBERS)]
    ensemble = Ensemble.of(separate).to(device)
    for member in separate:
        member.to(device)
    together = torch.optim.Adam(ensemble.parameters(), lr=1e-3, fused=True)
    apart = [torch.optim.Adam(member.parameters(), lr=1e-3, fused=True) for member in separate]

    def batched() -> None:
        together.zero_grad()
        mean, log_variance = ensemble(x).chunk(2, dim=-1)
        values = gaussian_nll(mean, log_variance, y, reduction="none")
        values.mean(dim=(1, 2)).sum().backward()
        together.step()

    def one_by_one() -> None:
        for member, optimizer, inputs, targets in zip(separate, apart, x, y, strict=True):
            optimizer.zero_grad()
            mean, log_variance = member(inputs).chunk(2, dim=-1)
            gaussian_nll(mean, log_variance, targets).backward()
            optimizer.step()

    # What no arrangement of the members saves: the products, the activations and the step of Adam over all weights.
    layers = [weight.detach() for weight in ensemble.weights]
    inputs_of, errors_of = (
        [torch.randn(MEMBERS, batch, w.shape[k], device=device) for w in layers] for k in (1, 2)
    )

    def arithmetic() -> None:
        for index, (weight, entering, error) in enumerate(zip(layers, inputs_of, errors_of, strict=True)):
            torch.bmm(entering, weight)
            torch.bmm(entering.transpose(1, 2), error)
            if index:
                torch.bmm(error, weight.transpose(1, 2))
                torch.ops.aten.silu_backward(entering, silu(entering))
        together.step()

    costs: dict[object, list[float]] = {batched: [], one_by_one: [], arithmetic: []}
    # On shared cores the clock tells of others too; with one thread the CPU seconds are our own.
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    for round_ in range(ROUNDS + 1):
        for function, seconds in costs.items():
            started = clock()
            for _ in range(STEPS):
                function()
            if device == "cuda":
                torch.cuda.synchronize()
            if round_:  # the first warms up
                seconds.append((clock() - started) / STEPS)
    # The best round of each: whoever else is running only ever adds time.
    ours, theirs, least = (min(seconds) for seconds in costs.values())
    spread = statistics.median(costs[batched]) / ours
    n = torch.get_num_threads()
    where = device if device == "cuda" else f"{n} thread{'s' if n > 1 else ''}"
    return Figure(
        f"training step of {MEMBERS} members of 4 x 200, batch {batch}, {where}",
        f"{ours * 1e3:.1f} ms{' CPU' if clock is time.process_time else ''}, {theirs / ours:.1f} times as fast",
        f"{REACH:.0f} times seven separate modules",
        f"{theirs * 1e3:.1f} ms; the arithmetic alone {least * 1e3:.1f} ms, so at most {theirs / least:.1f} times "
        f"(median of ours {spread:.2f} times its best)",
        theirs / ours >= REACH,
    )
