"""Comparisons in pairs: McNemar, the score interval of a paired difference, permutations, equivalence."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics import (
    bootstrap_mean,
    equivalence,
    estimate_mean,
    mcnemar,
    paired_bootstrap,
    paired_difference,
    paired_permutation,
    paired_proportion_difference,
)

X = np.array([3.1, 4.2, 5.0, 2.8, 6.1, 4.4, 3.9, 5.2])
Y = np.array([2.9, 4.4, 4.1, 2.9, 5.2, 4.1, 3.5, 5.0])
GROUPS = [1, 1, 2, 2, 3, 3, 4, 4]


class TestMcNemar:
    @pytest.mark.parametrize(
        ("negative", "positive", "expected"),
        [  # statsmodels.stats.contingency_tables.mcnemar([[0, b], [c, 0]], exact=True).pvalue
            (12, 4, 0.076812744140625),
            (64, 293, 3.928874710490944e-36),
            (5, 5, 1.0),
            (0, 7, 0.015625),
        ],
    )
    def test_exact_golden(self, negative, positive, expected):
        assert mcnemar(negative, positive).p_exact == pytest.approx(expected, rel=1e-9)
        assert mcnemar(positive, negative).p_exact == pytest.approx(expected, rel=1e-9)

    def test_mid_p_by_hand(self):
        # 12 and 4: 2 P(X <= 4) - P(X = 4) with X ~ Bin(16, 1/2): 2 * 2517 / 65536 - 1820 / 65536.
        assert mcnemar(12, 4).p_mid == pytest.approx((2 * 2517 - 1820) / 65536, rel=1e-12)
        # 5 and 5: 1 - P(X = 5) / 2 with X ~ Bin(10, 1/2).
        assert mcnemar(5, 5).p_mid == pytest.approx(1 - 252 / 1024 / 2, rel=1e-12)

    @given(negative=st.integers(0, 60), positive=st.integers(0, 60))
    def test_one_sided(self, negative, positive):
        greater = mcnemar(negative, positive, alternative="greater")
        less = mcnemar(negative, positive, alternative="less")
        n = negative + positive
        assert greater.p_exact == pytest.approx(stats.binom.sf(negative - 1, n, 0.5) if n else 1.0, rel=1e-9)
        if n:
            assert greater.p_mid + less.p_mid == pytest.approx(1.0, rel=1e-9)
        assert mcnemar(negative, positive).p_mid <= mcnemar(negative, positive).p_exact

    def test_odds_ratio(self):
        test = mcnemar(12, 4)
        interval = stats.binomtest(12, 16).proportion_ci(0.95, method="exact")
        assert test.odds_ratio == 3.0
        assert test.low == pytest.approx(interval.low / (1 - interval.low), rel=1e-9)
        assert test.high == pytest.approx(interval.high / (1 - interval.high), rel=1e-9)
        assert mcnemar(3, 0).odds_ratio == mcnemar(3, 0).high == math.inf
        assert mcnemar(0, 3).odds_ratio == mcnemar(0, 3).low == 0.0

    def test_no_flips(self):
        test = mcnemar(0, 0)
        assert (test.p_exact, test.p_mid, test.low, test.high) == (1.0, 1.0, 0.0, math.inf)
        assert math.isnan(test.odds_ratio)

    def test_bad_counts(self):
        with pytest.raises(DataError, match="got -1 negative and 2 positive"):
            mcnemar(-1, 2)


def score_statistic(n10, n01, n, delta):
    """The score test of a paired difference, its restricted likelihood maximised by search."""

    def loss(q):
        return -(stats.multinomial.logpmf([n10, n01, n - n10 - n01], n, [q + delta, q, 1 - 2 * q - delta]))

    low, high = max(0.0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12
    q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (n10 - n01 - n * delta) / math.sqrt(n * (2 * q + delta - delta * delta))


class TestPairedProportions:
    @pytest.mark.parametrize("counts", [(60, 12, 4, 24), (30, 9, 4, 12), (100, 3, 1, 2), (5, 6, 6, 5)])
    @pytest.mark.parametrize("level", [0.8, 0.95])
    def test_ends_are_where_the_score_test_turns(self, counts, level):
        estimate = paired_proportion_difference(*counts, level=level)
        _, n10, n01, _ = counts
        critical = stats.norm.ppf((1 + level) / 2)
        assert score_statistic(n10, n01, sum(counts), estimate.low) == pytest.approx(critical, abs=1e-4)
        assert score_statistic(n10, n01, sum(counts), estimate.high) == pytest.approx(-critical, abs=1e-4)

    def test_at_no_difference_it_is_mcnemars_chi_square(self):
        estimate = paired_proportion_difference(60, 12, 4, 24)
        assert estimate.p_value(0.0) == pytest.approx(stats.chi2.sf((12 - 4) ** 2 / 16, 1), rel=1e-9)

    def test_no_flips_by_hand(self):
        # z(d)^2 = n d^2 / (d (1 - d)), so that d = z^2 / (n + z^2).
        estimate = paired_proportion_difference(50, 0, 0, 50)
        z2 = stats.norm.ppf(0.975) ** 2
        assert (estimate.low, estimate.high) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)), abs=1e-9)

    @given(counts=st.tuples(*[st.integers(0, 40)] * 4).filter(any))
    @settings(max_examples=100, deadline=None)
    def test_symmetry_and_range(self, counts):
        n11, n10, n01, n00 = counts
        one, other = (
            paired_proportion_difference(n11, n10, n01, n00),
            paired_proportion_difference(n00, n01, n10, n11),
        )
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
        assert -1 <= one.low <= one.value <= one.high <= 1

    def test_pairs_are_counted(self):
        a, b = [1, 1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 1, 0]
        assert paired_difference(a, b) == paired_proportion_difference(2, 2, 1, 2)
        assert paired_difference(np.array(a, bool), np.array(b, bool), method="tango").value == pytest.approx(
            1 / 7
        )

    def test_bad_counts(self):
        with pytest.raises(DataError, match="got 1, -1, 0, 0"):
            paired_proportion_difference(1, -1, 0, 0)
        with pytest.raises(DataError, match="one of them above"):
            paired_proportion_difference(0, 0, 0, 0)


class TestPairedDifference:
    def test_golden(self):
        # scipy.stats.ttest_rel(X, Y): p value and confidence_interval(), scipy 1.17.1
        estimate = paired_difference(X, Y)
        assert estimate.p_value(0.0) == pytest.approx(0.05807305801714861, rel=1e-9)
        assert (estimate.low, estimate.high) == pytest.approx(
            (-0.01459330371994605, 0.6645933037199462), rel=1e-9
        )

    def test_other_methods_are_those_of_the_differences(self):
        assert paired_difference(X, Y, clusters=GROUPS) == estimate_mean(X - Y, clusters=GROUPS)
        assert paired_difference(X, Y, method="bca") == estimate_mean(X - Y, method="bca")
        assert paired_bootstrap(X, Y, clusters=GROUPS) == bootstrap_mean(X - Y, clusters=GROUPS)
        right, wrong = np.array([1.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0, 0.0])
        assert paired_difference(right, wrong, method="t") == estimate_mean(right - wrong, method="t")
        clustered = paired_difference(right, wrong, clusters=[1, 1, 2, 2])
        assert clustered == estimate_mean(right - wrong, clusters=[1, 1, 2, 2], method="t")

    def test_bad_requests(self):
        for function in (paired_difference, paired_bootstrap, paired_permutation):
            with pytest.raises(DataError, match="equally many rows, got 8 and 3"):
                function(X, Y[:3])
            with pytest.raises(DataError, match="b must be finite, but 1 of 2"):
                function([1.0, 2.0], [1.0, math.nan])
        with pytest.raises(DataError, match="0 and 1 only"):
            paired_difference(X, Y, method="tango")
        with pytest.raises(ConfigError, match="no clusters"):
            paired_difference([0, 1], [1, 1], method="tango", clusters=[1, 1])


class TestPermutation:
    @pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
    def test_enumeration_against_scipy(self, alternative):
        live = stats.permutation_test(
            (X, Y),
            lambda a, b, axis: (a - b).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf,
            alternative=alternative,
        )
        test = paired_permutation(X, Y, alternative=alternative)
        assert test.p_value == pytest.approx(live.pvalue, rel=1e-12)
        assert test.is_exact
        assert test.n_permutations == 256
        if alternative == "two-sided":
            assert test.p_value == 0.0703125  # the same call

    def test_by_hand(self):
        # Differences 1, 2, 3, 4: only + + + + and - - - - reach |10|: 2 of 16.
        assert paired_permutation([1, 2, 3, 4], [0, 0, 0, 0]).p_value == 2 / 16
        # Zeros add nothing: 3 flips one way is 2 / 8.
        assert paired_permutation([1, 1, 1, 0], [0, 0, 0, 0]).p_value == 2 / 8

    def test_clusters_flip_together(self):
        differences = X - Y
        sums = differences.reshape(4, 2).sum(axis=1)
        totals = [abs(np.dot(signs, sums)) for signs in itertools.product([-1, 1], repeat=4)]
        expected = np.mean(np.array(totals) >= abs(sums.sum()) - 1e-12)
        assert paired_permutation(X, Y, clusters=GROUPS).p_value == expected

    def test_flips_give_mcnemar(self):
        a, b = np.repeat([1, 0, 1], [40, 22, 30]), np.repeat([0, 1, 1], [40, 22, 30])
        test = paired_permutation(a, b, n_permutations=400_000)
        assert not test.is_exact
        assert test.p_value == pytest.approx(mcnemar(40, 22).p_exact, rel=0.05)

    def test_many_sizes_against_the_normal_limit(self):
        differences = np.random.default_rng(0).normal(0.1, 1.0, 300)
        test = paired_permutation(differences, np.zeros(300), n_permutations=100_000)
        z = differences.sum() / math.sqrt((differences**2).sum())
        assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.08)
        assert test == paired_permutation(differences, np.zeros(300), n_permutations=100_000)
        half = paired_permutation(differences, np.zeros(300), n_permutations=100_000, alternative="greater")
        assert half.p_value == pytest.approx(test.p_value / 2, rel=0.08)

    def test_never_zero(self):
        test = paired_permutation(np.arange(1.0, 101.0), np.zeros(100), n_permutations=99)
        assert test.p_value == 1 / 100

    def test_no_differences(self):
        assert paired_permutation([1.0, 2.0], [1.0, 2.0]).p_value == 1.0

    def test_bad_requests(self):
        with pytest.raises(ConfigError, match="n_permutations must be at least 1"):
            paired_permutation([1.0], [2.0], n_permutations=0)


class TestEquivalence:
    def test_golden(self):
        # statsmodels.stats.weightstats.ttost_paired(X, Y, -1.0, 0.6): p value
        found = equivalence(paired_difference(X, Y), (-1.0, 0.6))
        assert found.p_value == pytest.approx(0.04853096017147179, rel=1e-9)
        assert found.is_shown
        assert equivalence(X - Y, (-1.0, 0.6)).p_value == found.p_value

    @given(margin=st.floats(0.01, 2.0), alpha=st.floats(0.001, 0.4))
    def test_shown_exactly_when_the_interval_lies_within(self, margin, alpha):
        for estimate in (
            paired_difference(X, Y),
            paired_proportion_difference(60, 12, 4, 24),
            estimate_mean([0, 1]),
        ):
            found = equivalence(estimate, margin, alpha=alpha)
            within = -margin < found.low and found.high < margin
            close = min(abs(found.low + margin), abs(found.high - margin)) < 1e-9
            assert found.is_shown == within or close

    def test_bad_requests(self):
        for margin in (0.0, -1.0, (0.2, 0.1), math.nan):
            with pytest.raises(ConfigError, match="margin must be a number above 0"):
                equivalence(X, margin)
        with pytest.raises(ConfigError, match=r"alpha must lie strictly between 0 and 0\.5"):
            equivalence(X, 1.0, alpha=0.5)
