"""Power and needed n, against statsmodels, enumeration and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from concordant.core.errors import ConfigError
from concordant.core.statistics import (
    estimate_mean,
    mcnemar,
    mcnemar_power,
    mean_power,
    minimal_difference,
    needed_n,
    needed_n_mcnemar,
    needed_n_mean,
    needed_n_proportion,
    t_estimate,
    wilson,
    wilson_estimate,
)


class TestMcNemar:
    @pytest.mark.parametrize(("negative", "positive", "n"), [(0.2, 0.4, 25), (0.05, 0.3, 30), (0.5, 0.5, 12)])
    def test_power_by_enumeration(self, negative, positive, n):
        expected = sum(
            stats.multinomial.pmf([a, b, n - a - b], n, [negative, positive, 1 - negative - positive])
            for a in range(n + 1)
            for b in range(n + 1 - a)
            if mcnemar(a, b).p_exact <= 0.05
        )
        assert mcnemar_power(negative, positive, n) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("rates", [(0.04, 0.10), (0.10, 0.04), (0.0, 0.02), (0.3, 0.35)])
    def test_needed_n_is_the_first_that_does(self, rates):
        n = needed_n_mcnemar(*rates)
        assert mcnemar_power(*rates, n) >= 0.8
        assert mcnemar_power(*rates, n - 1) < 0.8

    def test_large_n_is_the_normal_approximation(self):
        n = needed_n_mcnemar(0.10, 0.102)
        psi, gap = 0.202, 0.002
        z, z_power = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
        expected = ((z * math.sqrt(psi) + z_power * math.sqrt(psi - gap**2)) / gap) ** 2
        assert n == math.ceil(expected)
        assert mcnemar_power(0.10, 0.102, n) == pytest.approx(0.8, abs=0.005)

    def test_nothing_to_find(self):
        assert needed_n_mcnemar(0.1, 0.1) is None
        assert needed_n_mcnemar(0.0, 0.0) is None
        assert mcnemar_power(0.0, 0.0, 100) == 0.0

    def test_certain_flips(self):
        # All items flip one way: the test is significant from 6 on, 2 / 2**6 = 0.03125.
        assert needed_n_mcnemar(1.0, 0.0) == 6

    def test_bad_requests(self):
        with pytest.raises(ConfigError, match="negative_rate must lie between 0 and 1"):
            mcnemar_power(-0.1, 0.1, 10)
        with pytest.raises(ConfigError, match="the sum of negative_rate and positive_rate"):
            needed_n_mcnemar(0.6, 0.6)
        with pytest.raises(ConfigError, match="n must be at least 1"):
            mcnemar_power(0.1, 0.1, 0)


class TestMean:
    def test_golden(self):
        # statsmodels.stats.power.TTestPower().power(0.5, 34, 0.05), .power(0.1, 500, 0.05)
        assert mean_power(0.5, 1.0, 34) == pytest.approx(0.8077775012792737, rel=1e-9)
        assert mean_power(0.2, 2.0, 500) == pytest.approx(0.6071255422735803, rel=1e-9)
        # .solve_power(0.5, power=0.8, alpha=0.05) is 33.36713118431779
        assert needed_n_mean(0.5, 1.0) == 34
        # .solve_power(nobs=34, power=0.8, alpha=0.05), whose power is 0.8000016: its search stops early
        assert minimal_difference(1.0, 34) == pytest.approx(0.4950291315285059, rel=1e-5)
        assert mean_power(minimal_difference(3.0, 34), 3.0, 34) == pytest.approx(0.8, abs=1e-10)

    @given(effect=st.floats(0.02, 3.0), power=st.floats(0.1, 0.99))
    @settings(max_examples=50, deadline=None)
    def test_needed_n_is_the_first_that_does(self, effect, power):
        n = needed_n_mean(effect, 1.0, power=power)
        assert mean_power(effect, 1.0, n) >= power
        assert n == 2 or mean_power(effect, 1.0, n - 1) < power
        assert needed_n_mean(-effect, 1.0, power=power) == n

    def test_extremes(self):
        assert needed_n_mean(0.0, 1.0) is None
        assert needed_n_mean(1e-9, 1.0) is None
        assert mean_power(50.0, 1.0, 20) == 1.0
        assert needed_n_mean(0.0005, 1.0) == math.ceil(
            (2 * (1.959963984540054 + 0.8416212335729143) * 1e3) ** 2
        )

    def test_bad_requests(self):
        for call in (lambda: mean_power(1.0, 0.0, 5), lambda: needed_n_mean(1.0, -1.0)):
            with pytest.raises(ConfigError, match="sd must be above 0"):
                call()
        with pytest.raises(ConfigError, match="n must be at least 2"):
            mean_power(1.0, 1.0, 1)
        with pytest.raises(ConfigError, match="power must lie strictly between alpha"):
            needed_n_mean(1.0, 1.0, power=0.04)


class TestProportion:
    @pytest.mark.parametrize(("p", "bound"), [(0.03, 0.02), (0.015, 0.02), (0.9, 0.95), (0.5, 0.45)])
    def test_the_interval_leaves_out_the_bound_as_often_as_promised(self, p, bound):
        n = needed_n_proportion(p, bound)
        k = np.arange(n + 1)
        low, high = wilson(k, n)
        decided = (low > bound) if p > bound else (high < bound)
        assert stats.binom.pmf(k, n, p)[decided].sum() == pytest.approx(0.8, abs=0.04)

    def test_by_hand(self):
        # None seen, bound 0.02: z^2 (1 - b) / b = 3.8415 * 49 = 188.2; the interval ends at z^2 / (n + z^2).
        assert needed_n_proportion(0.0, 0.02) == 189
        assert float(wilson(0, 189)[1]) < 0.02 < float(wilson(0, 188)[1])

    def test_on_the_bound_no_n_would_do(self):
        assert needed_n_proportion(0.02, 0.02) is None
        assert needed_n_proportion(0.5, 0.5 + 1e-9) is None


class TestOfAnEstimate:
    def test_proportions_use_their_formula(self):
        assert needed_n(wilson_estimate(0.03, n=200), 0.02) == needed_n_proportion(0.03, 0.02)
        assert needed_n(wilson_estimate(0.0, n=50), 0.02) == needed_n_proportion(0.0, 0.02)

    def test_clusters_need_more(self):
        values, groups = np.repeat([1, 0, 1, 1, 0], 8), np.repeat(np.arange(5), 8)
        clustered = estimate_mean(values, clusters=groups)
        single = needed_n_proportion(0.6, 0.5)
        # All rows of a cluster are equal: the effective n is 5 (5 - 1) / 5 = 4, so that 10 rows count as one.
        assert needed_n(clustered, 0.5) == math.ceil(single * 10 - 1e-6)
        sure = estimate_mean(np.ones(40), clusters=groups)
        assert needed_n(sure, 0.9) == needed_n_proportion(1.0, 0.9) * 8

    def test_means_scale_their_standard_error(self):
        estimate = t_estimate(0.5, 0.4, 24, n=25)
        # sd = 0.4 * 5 = 2: (1.96 + 0.84)^2 * 4 / 0.25 = 125.6; the t test needs a little more
        assert needed_n(estimate, 0.0) == 126
        assert needed_n_mean(0.5, 2.0) == 128

    def test_no_n_would_do(self):
        assert needed_n(t_estimate(0.5, 0.4, 24, n=25), 0.5) is None
        assert needed_n(estimate_mean([3.0]), 0.5) is None
        assert needed_n(estimate_mean([3.0, 3.0]), 0.5) is None
