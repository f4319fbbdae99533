"""A band of ranks in every row of a large matrix, beside one ``torch.topk`` over it."""

from __future__ import annotations

import torch

from bench.timing import Figure, timed
from concordant.versions.merging import band_mask

SHAPE = (4096, 11_008)
KEEP, REMOVE = 0.2, 0.1
REACH = 3.0


def main() -> list[Figure]:
    """Measure CPU seconds of one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        values = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
        k = round((KEEP + REMOVE) * SHAPE[1])
        _, ours = timed(lambda: band_mask(values, keep=KEEP, remove=REMOVE, scope="row"), runs=3)
        _, plain = timed(lambda: values.abs().topk(k, dim=1), runs=3)
    finally:
        torch.set_num_threads(threads)
    what = f"ranks {REMOVE:.0%} to {REMOVE + KEEP:.0%} of each row of {SHAPE[0]:,} x {SHAPE[1]:,} in float32"
    return [
        Figure(
            what,
            f"{ours:.2f} CPU s",
            f"within {REACH:g} times torch.topk",
            f"torch.topk of the largest {KEEP + REMOVE:.0%}: {plain:.2f} CPU s",
            ours <= REACH * plain,
        )
    ]
