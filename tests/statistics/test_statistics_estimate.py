"""Means with their intervals: golden values, hand-worked cases, and p values that agree with intervals."""

import math
import pickle
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics import (
    ClusterPartition,
    Estimate,
    bootstrap_mean,
    clopper_pearson,
    estimate_mean,
    exact_estimate,
    newcombe,
    paired_proportion_difference,
    partition,
    proportion_difference,
    risk_ratio,
    t_estimate,
    wilson,
    wilson_estimate,
)

X = np.array([3.1, 4.2, 5.0, 2.8, 6.1, 4.4, 3.9, 5.2])
GROUPS = np.array([0, 0, 1, 1, 1, 2, 3, 3])


def ends(estimate):
    return estimate.low, estimate.high


class TestProportions:
    @pytest.mark.parametrize(
        ("k", "n", "expected"),
        [  # statsmodels.stats.proportion.proportion_confint(k, n, 0.05, "wilson"), statsmodels 0.15.0
            (8, 10, (0.49016247153664183, 0.9433178485456247)),
            (0, 10, (0.0, 0.27753279986288926)),
            (10, 10, (0.7224672001371106, 1.0)),
            (48, 1200, (0.030301435740345037, 0.05263428481417108)),
        ],
    )
    def test_wilson_golden(self, k, n, expected):
        assert [float(end) for end in wilson(k, n)] == pytest.approx(expected, rel=1e-9, abs=1e-15)
        values = np.repeat([1.0, 0.0], [k, n - k])
        assert ends(estimate_mean(values)) == pytest.approx(expected, rel=1e-9, abs=1e-15)
        assert ends(wilson_estimate(k / n, n=n)) == ends(estimate_mean(values))

    @pytest.mark.parametrize(
        ("k", "n", "expected"),
        [  # proportion_confint(k, n, 0.05, "beta")
            (8, 10, (0.4439045376923585, 0.9747892736731666)),
            (0, 10, (0.0, 0.30849710781876083)),
            (10, 10, (0.6915028921812392, 1.0)),
        ],
    )
    def test_clopper_pearson_golden(self, k, n, expected):
        assert [float(end) for end in clopper_pearson(k, n)] == pytest.approx(expected, rel=1e-9)
        values = np.repeat([1.0, 0.0], [k, n - k])
        assert ends(estimate_mean(values, method="exact")) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize(
        ("counts", "expected"),
        [  # confint_proportions_2indep(..., method="newcomb", compare="diff", alpha=0.05)
            ((56, 70, 48, 80), (0.05243147240236498, 0.33387265403690614)),
            ((9, 10, 3, 10), (0.1705227239345029, 0.809017973535488)),
        ],
    )
    def test_newcombe_golden(self, counts, expected):
        assert [float(end) for end in newcombe(*counts)] == pytest.approx(expected, rel=1e-9)
        assert ends(proportion_difference(*counts)) == pytest.approx(expected, rel=1e-9)

    def test_katz_golden(self):
        # confint_proportions_2indep(56, 70, 48, 80, method="log", compare="ratio", alpha=0.05)
        expected = (1.0766264227631928, 1.6512485112663873)
        assert ends(risk_ratio(56, 70, 48, 80)) == pytest.approx(expected, rel=1e-9)

    def test_vectorised_agrees_with_one_by_one(self):
        k, n = np.meshgrid(np.arange(0, 9), np.array([8, 20, 1000]))
        for function in (wilson, clopper_pearson):
            low, high = function(k, n, 0.9)
            assert low.shape == k.shape
            for at in np.ndindex(k.shape):
                assert (low[at], high[at]) == tuple(float(end) for end in function(k[at], n[at], 0.9))

    def test_no_trials_say_nothing(self):
        assert [float(end) for end in wilson(0, 0)] == [0.0, 1.0]
        assert [float(end) for end in clopper_pearson(0, 0)] == [0.0, 1.0]

    @given(k=st.integers(0, 200), more=st.integers(0, 200), level=st.floats(0.5, 0.999))
    def test_symmetry_and_order(self, k, more, level):
        n = k + more
        low, high = wilson(k, n, level)
        mirrored_low, mirrored_high = wilson(n - k, n, level)
        assert float(low) == pytest.approx(1 - float(mirrored_high), abs=1e-12)
        assert float(high) == pytest.approx(1 - float(mirrored_low), abs=1e-12)
        assert 0 <= low <= (k / n if n else 0.5) <= high <= 1

    @pytest.mark.parametrize("function", [wilson, clopper_pearson])
    def test_bad_counts(self, function):
        with pytest.raises(DataError, match="got 11 of 10"):
            function(11, 10)
        with pytest.raises(DataError, match="got -1 of 10"):
            function([2, -1], 10)
        with pytest.raises(ConfigError, match="strictly between 0 and 1, got 95"):
            function(1, 10, 95)

    def test_newcombe_needs_trials(self):
        with pytest.raises(DataError, match="at least one trial"):
            newcombe(0, 0, 1, 2)


class TestMean:
    def test_t_golden(self):
        # scipy.stats.ttest_1samp(X, 4.0): p value; .confidence_interval(0.95)
        estimate = estimate_mean(X)
        assert estimate.p_value(4.0) == pytest.approx(0.4123783480624431, rel=1e-9)
        assert estimate.method == "t"
        assert estimate.stderr == pytest.approx(stats.sem(X), rel=1e-12)
        live = stats.ttest_1samp(X, 4.0).confidence_interval(0.95)
        assert ends(estimate) == pytest.approx((live.low, live.high), rel=1e-12)
        for alternative in ("less", "greater"):
            expected = stats.ttest_1samp(X, 4.0, alternative=alternative).pvalue
            assert estimate.p_value(4.0, alternative) == pytest.approx(expected, rel=1e-9)

    def test_cluster_robust_golden(self):
        # statsmodels OLS(X, ones).fit(cov_type="cluster", cov_kwds={"groups": GROUPS}, use_t=True)
        estimate = estimate_mean(X, clusters=GROUPS)
        assert estimate.stderr == pytest.approx(0.24421697, abs=5e-9)
        assert ends(estimate) == pytest.approx((3.56029261, 5.11470739), abs=5e-9)
        assert (estimate.method, estimate.n, estimate.n_clusters) == ("cluster-t", 8, 4)

    def test_cluster_robust_by_hand(self):
        # Mean 2; residual sums -1 - 1 = -2 and 2; G / (G - 1) = 2; variance 2 (4 + 4) / 3^2.
        estimate = estimate_mean([1.0, 1.0, 4.0], clusters=["a", "a", "b"])
        assert estimate.stderr == pytest.approx(math.sqrt(2 * (4 + 4)) / 3, rel=1e-12)

    def test_cluster_wilson_by_hand(self):
        # p = 2/3; residual sums 2/3, -4/3, 2/3, their squares 24/9; variance 3/2 * 24/9 / 36 = 1/9;
        # effective n = (2/9) / (1/9) = 2.
        estimate = estimate_mean([1, 1, 0, 0, 1, 1], clusters=[5, 5, 9, 9, 7, 7])
        z, n, p = stats.t.ppf(0.975, 2), 2.0, 2 / 3
        centre, half = (
            (p + z * z / (2 * n)) / (1 + z * z / n),
            math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)),
        )
        half *= z / (1 + z * z / n)
        assert ends(estimate) == pytest.approx((centre - half, centre + half), rel=1e-12)

    def test_effective_size_of_a_sure_thing_is_the_number_of_clusters(self):
        estimate = estimate_mean([1] * 40, clusters=np.repeat(np.arange(10), 4))
        z = stats.t.ppf(0.975, 9)
        assert ends(estimate) == pytest.approx((10 / (10 + z * z), 1.0), rel=1e-12)

    def test_effective_size_never_exceeds_n(self):
        paired = estimate_mean(
            [0, 1] * 50, clusters=np.repeat(np.arange(50), 2)
        )  # every cluster has mean 1/2
        assert paired.high - paired.low > 0.18

    @given(
        values=arrays(float, st.integers(2, 30), elements=st.floats(-1e3, 1e3)),
        binary=st.booleans(),
        method=st.sampled_from(["auto", "t", "bca"]),
    )
    @settings(max_examples=60, deadline=None)
    def test_clusters_of_one_change_nothing(self, values, binary, method):
        data = (values > 0).astype(float) if binary else values
        labels = np.arange(values.size)[::-1] * 3
        assert estimate_mean(data, clusters=labels, method=method) == estimate_mean(data, method=method)
        assert estimate_mean(data, clusters=labels.astype(str), method=method) == estimate_mean(
            data, method=method
        )

    @given(labels=st.lists(st.integers(-3, 5), min_size=2, max_size=30), seed=st.integers(0, 9))
    @settings(deadline=None)
    def test_labels_of_any_kind_make_the_same_partition(self, labels, seed):
        values = np.random.default_rng(seed).normal(size=len(labels))
        estimates = [
            estimate_mean(values, clusters=kind)
            for kind in (
                labels,
                np.array(labels) * 10_000,
                [str(label) for label in labels],
                np.array([str(label) for label in labels], dtype=object),
                np.array(labels, dtype=float),
                partition(labels, len(labels)),
            )
        ]
        for estimate in estimates[1:]:
            assert ends(estimate) == pytest.approx(ends(estimates[0]), rel=1e-12)
            assert estimate.n_clusters == estimates[0].n_clusters

    def test_partition_is_reused(self):
        parts = partition(GROUPS, 8)
        assert isinstance(parts, ClusterPartition)
        assert partition(parts, 8) is parts

    @pytest.mark.parametrize("bounds", [None, (0.0, 10.0)])
    @pytest.mark.parametrize(("values", "clusters"), [([3.0], None), ([3.0, 4.0], [1, 1])])
    def test_one_row_or_cluster_knows_no_spread(self, values, clusters, bounds):
        estimate = estimate_mean(values, clusters=clusters, bounds=bounds)
        assert ends(estimate) == (bounds or (-math.inf, math.inf))
        assert math.isinf(estimate.stderr)
        assert estimate.p_value(5.0) == 1.0
        bca = estimate_mean(values, clusters=clusters, method="bca")
        assert ends(bca) == (-math.inf, math.inf)
        assert bca.p_value(5.0) == 1.0

    def test_one_cluster_of_right_and_wrong(self):
        estimate = estimate_mean([1, 0, 1], clusters=["a", "a", "a"])
        assert ends(estimate) == (0.0, 1.0)
        assert estimate.p_value(0.1) == 1.0

    def test_bounds_clip(self):
        free, clipped = (
            estimate_mean([0.9, 0.7, 1.0, 0.4]),
            estimate_mean([0.9, 0.7, 1.0, 0.4], bounds=(0, 1)),
        )
        assert free.high > 1.0
        assert clipped.high == 1.0
        assert clipped.low == free.low
        assert clipped.p_value(0.5) == free.p_value(0.5)
        assert clipped.p_value(1.5) == 0.0

    def test_equal_values_have_no_spread(self):
        estimate = estimate_mean([0.1] * 10)
        assert ends(estimate) == (0.1, 0.1)
        assert (estimate.p_value(0.1), estimate.p_value(0.2)) == (1.0, 0.0)
        assert ends(estimate_mean([0.1] * 10, method="bca")) == (pytest.approx(0.1), pytest.approx(0.1))

    def test_level(self):
        estimate = estimate_mean(X, level=0.8)
        assert estimate.interval_at(0.8) == ends(estimate)
        assert estimate.interval_at(0.95) == ends(estimate_mean(X))

    def test_reads(self):
        assert str(estimate_mean([1, 1, 0, 0, 1, 1], clusters=[1, 1, 2, 2, 3, 3], level=0.9)) == (
            "0.6667 (90% interval 0.08644 to 0.9769, n=6 in 3 clusters)"
        )

    def test_survives_pickling(self):
        for estimate in (estimate_mean(X), estimate_mean([0, 1, 1]), bootstrap_mean(X), exact_estimate(3, 9)):
            again = pickle.loads(pickle.dumps(estimate))
            assert again == estimate
            assert again.interval_at(0.7) == estimate.interval_at(0.7)

    def test_is_cheap(self):
        values, groups = np.random.default_rng(0).normal(size=100), np.arange(100) // 4
        for kind in ({}, {"clusters": groups}):
            estimate_mean(values, **kind)
            seconds = []
            for _ in range(20):
                start = time.perf_counter()
                for _ in range(20):
                    estimate_mean(values, **kind)
                seconds.append((time.perf_counter() - start) / 20)
            assert min(seconds) < 100e-6  # about 10 and 25 microseconds on an idle machine


ESTIMATES = {
    "wilson": lambda: estimate_mean([1, 1, 0, 1, 1, 0, 1, 1]),
    "wilson at 0": lambda: estimate_mean([0] * 12),
    "wilson at 1": lambda: estimate_mean([1] * 12),
    "cluster-wilson": lambda: estimate_mean([1, 1, 0, 1, 1, 0, 1, 1], clusters=GROUPS),
    "exact": lambda: estimate_mean([1, 1, 0, 1, 1, 0, 1, 1], method="exact"),
    "exact at 0": lambda: exact_estimate(0, 12),
    "t": lambda: estimate_mean(X),
    "clipped t": lambda: estimate_mean(X / 6.1, bounds=(0.0, 1.0)),
    "cluster-t": lambda: estimate_mean(X, clusters=GROUPS),
    "bca": lambda: estimate_mean(X, method="bca"),
    "cluster-bca": lambda: estimate_mean(X, clusters=GROUPS, method="bca"),
    "percentile": lambda: bootstrap_mean(X, method="percentile"),
    "tango": lambda: paired_proportion_difference(30, 9, 4, 12),
    "newcombe": lambda: proportion_difference(9, 10, 3, 10),
    "katz": lambda: risk_ratio(9, 10, 3, 10),
}


@pytest.mark.parametrize("name", ESTIMATES)
class TestEveryEstimate:
    def test_p_value_is_the_inverse_of_the_interval(self, name):
        estimate: Estimate = ESTIMATES[name]()
        for level in (0.5, 0.8, 0.95, 0.99, 0.999):
            low, high = estimate.interval_at(level)
            width = high - low
            for bound, outside in ((low, low - 0.01 * width), (high, high + 0.01 * width)):
                inside = bound + 0.01 * (width if bound == low else -width)
                assert estimate.p_value(inside) >= 1 - level - 1e-9
                assert estimate.p_value(outside) <= 1 - level + 1e-9

    def test_one_sided_is_half_on_the_proper_side(self, name):
        estimate: Estimate = ESTIMATES[name]()
        low, high = estimate.interval_at(0.9)
        for bound in (low - 0.01, high + 0.01, (estimate.value + low) / 2, estimate.value):
            less, greater = estimate.p_value(bound, "less"), estimate.p_value(bound, "greater")
            if bound != estimate.value:
                assert less + greater == pytest.approx(1.0, abs=1e-9)
                assert min(less, greater) == pytest.approx(estimate.p_value(bound) / 2, abs=1e-12)
                assert (less < greater) == (estimate.value < bound) or less == greater
        assert estimate.p_value(high + 0.01, "less") < 0.0501

    def test_intervals_are_nested(self, name):
        estimate: Estimate = ESTIMATES[name]()
        intervals = [estimate.interval_at(level) for level in np.linspace(0.01, 0.999, 40)]
        for (low, high), (wider_low, wider_high) in pairwise(intervals):
            assert wider_low <= low + 1e-12
            assert wider_high >= high - 1e-12

    def test_bad_requests(self, name):
        estimate: Estimate = ESTIMATES[name]()
        with pytest.raises(ConfigError, match="alternative must be one of"):
            estimate.p_value(0.0, "bigger")
        with pytest.raises(ConfigError, match="NaN"):
            estimate.p_value(math.nan)
        with pytest.raises(ConfigError, match="level"):
            estimate.interval_at(1.0)


class TestBadInput:
    def test_missing_values_are_counted(self):
        with pytest.raises(DataError, match="2 of 4 are missing, NaN or infinite"):
            estimate_mean([1.0, math.nan, 2.0, math.inf])
        with pytest.raises(DataError, match="1 of 2 are missing"):
            estimate_mean(np.array([1.0, None], dtype=object))

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([], "at least 1 numbers, got 0"),
            ([[1.0, 2.0]], "one dimension"),
            (["a"], "must be numbers, got list"),
        ],
    )
    def test_not_a_column_of_numbers(self, values, message):
        with pytest.raises(DataError, match=message):
            estimate_mean(values)

    def test_clusters(self):
        with pytest.raises(DataError, match="one label for each of the 3 rows, got 2"):
            estimate_mean([1.0, 2.0, 3.0], clusters=[1, 2])
        with pytest.raises(DataError, match="1 of 3 are missing"):
            estimate_mean([1.0, 2.0, 3.0], clusters=np.array(["a", None, "b"], dtype=object))
        with pytest.raises(DataError, match="1 of 2 are missing"):
            estimate_mean([1.0, 2.0], clusters=[1.5, math.nan])
        with pytest.raises(DataError, match="one dimension"):
            estimate_mean([1.0, 2.0], clusters=[[1], [2]])

    def test_method(self):
        with pytest.raises(DataError, match="0 and 1 only"):
            estimate_mean(X, method="wilson")
        with pytest.raises(ConfigError, match="method must be one of auto"):
            estimate_mean(X, method="magic")
        with pytest.raises(ConfigError, match="no clusters"):
            estimate_mean([0, 1, 1], clusters=[1, 1, 2], method="exact")

    def test_bounds(self):
        with pytest.raises(DataError, match=r"between 0 and 1, got 2\.8 to 6\.1"):
            estimate_mean(X, bounds=(0, 1))


def test_t_estimate_of_a_known_spread():
    estimate = t_estimate(1.0, 0.5, 9, n=10)
    assert ends(estimate) == pytest.approx(stats.t.interval(0.95, 9, 1.0, 0.5), rel=1e-12)
    assert estimate.p_value(0.0) == pytest.approx(2 * stats.t.sf(2.0, 9), rel=1e-12)


def test_exact_p_value_of_the_middle_is_the_binomial_test():
    # scipy.stats.binomtest(8, 10, 0.5).pvalue (symmetric, so that doubling the tail is the same)
    assert exact_estimate(8, 10).p_value(0.5) == pytest.approx(0.109375, rel=1e-12)
