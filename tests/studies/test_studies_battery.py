"""What every registered study must do, at smoke scale: ours and, where they are installed, third parties'."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest

from concordant.studies.catalogue.entries import load
from concordant.studies.registry import find_study, study_names
from concordant.studies.study import Scale

SECONDS = 3.0
"""CPU time that a seed may take at smoke scale, without what importing torch takes once."""


def states():
    """Return the states of the generators that are everybody's."""
    import rich.style  # noqa: F401 - the first import draws a number, and that of scikit-learn brings it
    import torch

    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002


@pytest.fixture(scope="module", params=study_names())
def ran(request):
    """Run a study three times: seed 0, seed 0 again, and seed 1."""
    import torch

    torch.set_num_threads(1)
    study = find_study(request.param)
    before, runs, seconds = states(), [], []
    for seed in (0, 0, 1):
        started = time.process_time()
        runs.append(study(Scale.smoke, seed))
        seconds.append(time.process_time() - started)
    return study, runs, seconds, before == states()


def test_a_seed_says_all_and_leaves_no_trace(ran):
    study, (first, again, other), _, untouched = ran
    assert untouched
    assert first == again
    assert list(first) == list(again)
    if any(claim.over == "seeds" for claim in study.claims):
        assert first != other  # recorded data may be the same for all seeds; then their claims are over units


def test_all_is_measured_that_the_claims_need(ran):
    study, runs, _, _ = ran
    for run in runs:
        for claim in study.claims:
            assert all(map(math.isfinite, claim.differences(run)))
            assert claim.over == "seeds" or len(claim.differences(run)) > 1
        for value in run.values():
            assert all(map(math.isfinite, value if isinstance(value, list) else [value]))


def test_smoke_scale_is_quick(ran):
    _, _, seconds, _ = ran
    assert min(seconds) < SECONDS


@pytest.mark.parametrize("name", study_names())
def test_the_catalogue_has_the_paper_and_its_claims(name):
    study = find_study(name)
    assert study.slug == name
    assert study.about.endswith(".")
    if not study.function.__module__.startswith("concordant."):
        return  # a third party's paper need not be in our catalogue
    paper = load()[name]
    assert {claim.id for claim in study.claims} <= {claim.id for claim in paper.claims}
    assert paper.place.startswith("concordant.")
