"""What an ensemble costs to train: 7 dynamics models of 4 x 200, as one batched module and as seven modules."""

from __future__ import annotations

import statistics
import time

import torch

from bench.timing import Figure
from concordant.learn.losses import gaussian_nll
from concordant.learn.networks import MLP, Ensemble

MEMBERS, STATES, ACTIONS, HIDDEN = 7, 17, 6, (200,) * 4  # HalfCheetah, as MBPO models it
BATCHES = (32, 256)
REACH = 3.0
STEPS, ROUNDS = 20, 9


def main() -> list[Figure]:
    """Measure one training step (forward, Gaussian likelihood, backward, fused Adam) of both, at two batch sizes."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [measured(batch, device) for batch in BATCHES]


def measured(batch: int, device: str) -> Figure:
    """Time both in turns on the same data from the same weights, with the same optimiser."""
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

    walls: dict[object, list[float]] = {batched: [], one_by_one: []}
    for round_ in range(ROUNDS + 1):
        for function, seconds in walls.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                function()
            if device == "cuda":
                torch.cuda.synchronize()
            if round_:  # the first warms up
                seconds.append((time.perf_counter() - started) / STEPS)
    # The best round of each: on shared cores whoever else is running only ever adds time.
    ours, theirs = (min(seconds) for seconds in walls.values())
    spread = statistics.median(walls[batched]) / ours
    where = device if device == "cuda" else f"{torch.get_num_threads()} threads"
    return Figure(
        f"training step of {MEMBERS} members of 4 x 200, batch {batch}, {where}",
        f"{ours * 1e3:.1f} ms, {theirs / ours:.1f} times as fast",
        f"{REACH:.0f} times seven separate modules",
        f"{theirs * 1e3:.1f} ms (median of ours {spread:.2f} times its best)",
        theirs / ours >= REACH,
    )
