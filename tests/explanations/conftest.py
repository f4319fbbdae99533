from __future__ import annotations

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _global_generators_untouched():
    """No call may draw from or seed the global generators."""
    before, (_, numbers, place, *_) = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    numbers = numbers.copy()
    yield
    assert torch.equal(before, torch.get_rng_state())
    _, now, moved, *_ = np.random.get_state()  # noqa: NPY002
    assert (numbers == now).all()
    assert place == moved
