"""Rank agreement, agreement of raters, over-dispersion, calibration, passing, effect sizes, multiplicity."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics import (
    benjamini_hochberg,
    brier_score,
    cliffs_delta,
    cohens_d,
    cohens_dz,
    cohens_h,
    cohens_kappa,
    expected_calibration_error,
    fleiss_kappa,
    holm,
    kendall_tau_b,
    krippendorff_alpha,
    krippendorff_alpha_estimate,
    mean_ranks,
    over_dispersion,
    pass_at_k,
    pass_hat_k,
    probability_of_superiority,
    reliability_curve,
    risk_ratio,
    spearman_rho,
)

NAN = math.nan


class TestRanks:
    A, B = [1, 2, 2, 4, 5, 3, 3], [2, 1, 2, 5, 5, 3, 1]

    def test_golden(self):
        assert kendall_tau_b(self.A, self.B) == pytest.approx(
            0.5407380704358752, rel=1e-9
        )  # scipy.stats.kendalltau
        assert spearman_rho(self.A, self.B) == pytest.approx(
            0.6635803823422525, rel=1e-9
        )  # scipy.stats.spearmanr

    @pytest.mark.parametrize(("n", "values"), [(2, 3), (50, 4), (1000, 7), (3000, 10**9), (20_000, 500)])
    def test_long_rankings_against_scipy(self, n, values):
        rng = np.random.default_rng(n)
        a, b = rng.integers(0, values, n), rng.integers(0, values, n)
        b[: n // 2] = a[: n // 2]
        assert kendall_tau_b(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
        assert spearman_rho(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)

    @pytest.mark.parametrize("k", [2, 5, 40, 70])
    def test_many_rankings_agree_with_one_by_one(self, k):
        rng = np.random.default_rng(k)
        a, b = rng.integers(0, 6, (30, k)), rng.normal(size=(30, k)).round(1)
        for function in (kendall_tau_b, spearman_rho):
            rows = function(a, b)
            single = [function(x, y) for x, y in zip(a, b, strict=True)]
            assert rows == pytest.approx(single, abs=1e-12, nan_ok=True)

    @given(values=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=20))
    def test_symmetry_reversal_and_monotone_maps(self, values):
        a, b = np.array(values, dtype=float).T
        tau = kendall_tau_b(a, b)
        if math.isnan(tau):
            assert np.ptp(a) == 0 or np.ptp(b) == 0
            return
        assert kendall_tau_b(b, a) == pytest.approx(tau, abs=1e-12)
        assert kendall_tau_b(a, -b) == pytest.approx(-tau, abs=1e-12)
        assert kendall_tau_b(np.exp(a), b) == pytest.approx(tau, abs=1e-12)
        assert kendall_tau_b([a], [b])[0] == pytest.approx(tau, abs=1e-12)

    def test_constant_ranking_has_none(self):
        assert math.isnan(kendall_tau_b([1, 1, 1], [1, 2, 3]))
        assert math.isnan(spearman_rho([1, 1, 1], [1, 2, 3]))
        assert np.isnan(kendall_tau_b([[1, 1], [1, 2]], [[1, 2], [1, 2]])).tolist() == [True, False]

    def test_mean_ranks_against_scipy(self):
        values = np.random.default_rng(0).integers(0, 5, (20, 9))
        assert (mean_ranks(values) == stats.rankdata(values, axis=1)).all()

    def test_bad_input(self):
        with pytest.raises(DataError, match=r"got \(2,\) and \(3,\)"):
            kendall_tau_b([1, 2], [1, 2, 3])
        with pytest.raises(DataError, match="missing values, got 1"):
            spearman_rho([1, NAN], [1, 2])
        with pytest.raises(DataError, match="at least one column"):
            kendall_tau_b([], [])


# K. Krippendorff (2011), section C-E: four observers, twelve units, missing data.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


def pairwise_alpha(ratings, measurement):
    """Krippendorff's alpha straight from its definition, pair by pair."""
    units = [[r for r in unit if not math.isnan(r)] for unit in ratings]
    units = [unit for unit in units if len(unit) > 1]
    pooled = sorted(r for unit in units for r in unit)

    def squared(a, b):
        if measurement == "nominal":
            return float(a != b)
        if measurement == "interval":
            return (a - b) ** 2
        if measurement == "ratio":
            return ((a - b) / (a + b)) ** 2 if a + b else 0.0
        a, b = min(a, b), max(a, b)
        between = sum(a <= r <= b for r in pooled)
        return (between - (pooled.count(a) + pooled.count(b)) / 2) ** 2 if a != b else 0.0

    observed = sum(
        sum(squared(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum(squared(a, b) for a, b in itertools.permutations(pooled, 2)) / (len(pooled) - 1)
    return 1 - observed / expected


class TestRaters:
    @pytest.mark.parametrize(
        ("measurement", "published"),
        [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
    )
    def test_alpha_of_the_published_example(self, measurement, published):
        assert krippendorff_alpha(OBSERVERS, measurement) == pytest.approx(published, abs=5e-4)
        assert krippendorff_alpha(OBSERVERS, measurement) == pytest.approx(
            pairwise_alpha(OBSERVERS, measurement), rel=1e-12
        )

    @pytest.mark.parametrize("measurement", ["nominal", "ordinal", "interval", "ratio"])
    def test_alpha_agrees_with_its_definition(self, measurement):
        rng = np.random.default_rng(1)
        for _ in range(10):
            ratings = rng.integers(0, 6, (12, 4)).astype(float)
            ratings[rng.random(ratings.shape) < 0.3] = NAN
            assert krippendorff_alpha(ratings, measurement) == pytest.approx(
                pairwise_alpha(ratings, measurement), abs=1e-12
            )

    def test_alpha_at_its_ends(self):
        agreed = np.repeat(np.arange(5.0)[:, None], 3, axis=1)
        assert krippendorff_alpha(agreed, "ordinal") == 1.0
        assert math.isnan(krippendorff_alpha(np.ones((4, 2))))
        assert math.isnan(krippendorff_alpha([[1, NAN], [NAN, 2]]))
        chance = np.random.default_rng(0).integers(0, 2, (5000, 2))
        assert krippendorff_alpha(chance) == pytest.approx(0.0, abs=0.05)

    @pytest.mark.parametrize("measurement", ["nominal", "ordinal", "interval", "ratio"])
    def test_alpha_interval(self, measurement):
        rng = np.random.default_rng(2)
        truth = rng.integers(1, 5, 80)
        ratings = np.where(rng.random((80, 3)) < 0.8, truth[:, None], rng.integers(1, 5, (80, 3)))
        estimate = krippendorff_alpha_estimate(ratings, measurement, n_replicates=300)
        assert estimate.value == krippendorff_alpha(ratings, measurement)
        assert estimate.low < estimate.value < estimate.high
        assert estimate.high - estimate.low < 0.4
        assert estimate.p_value(0.0) < 0.01

    def test_kappas_golden(self):
        table = np.array([[20, 5, 1], [3, 15, 4], [2, 6, 10]])
        rows, columns = np.indices(table.shape)
        a, b = np.repeat(rows.ravel(), table.ravel()), np.repeat(columns.ravel(), table.ravel())
        # statsmodels.stats.inter_rater.cohens_kappa(table, wt=...).kappa, statsmodels 0.15.0
        assert cohens_kappa(a, b) == pytest.approx(0.5160614525139664, rel=1e-9)
        assert cohens_kappa(a, b, weights="linear") == pytest.approx(0.5723542116630669, rel=1e-9)
        assert cohens_kappa(a, b, weights="quadratic") == pytest.approx(0.6322436849925706, rel=1e-9)
        # The table of J. L. Fleiss on Wikipedia; statsmodels.stats.inter_rater.fleiss_kappa(counts)
        counts = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]]
        counts += [[7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
        assert fleiss_kappa(counts) == pytest.approx(0.20993070442195522, rel=1e-9)

    def test_two_raters_alpha_and_fleiss_nearly_agree(self):
        """For two raters alpha is Fleiss' kappa with a correction of order 1 / N."""
        rng = np.random.default_rng(3)
        ratings = rng.integers(0, 3, (200, 2))
        counts = (ratings[:, :, None] == np.arange(3)).sum(axis=1)
        alpha, kappa = krippendorff_alpha(ratings), fleiss_kappa(counts)
        assert 1 - alpha == pytest.approx((1 - kappa) * (1 - 1 / 400), rel=1e-12)

    def test_bad_input(self):
        with pytest.raises(DataError, match=r"shape \(units, raters\), got \(3,\)"):
            krippendorff_alpha([1, 2, 3])
        with pytest.raises(ConfigError, match="measurement must be one of"):
            krippendorff_alpha([[1, 2]], "cardinal")
        with pytest.raises(DataError, match="at least 0, got -1"):
            krippendorff_alpha([[-1, 2]], "ratio")
        with pytest.raises(DataError, match="not defined"):
            krippendorff_alpha_estimate([[1, 1], [1, 1]])
        with pytest.raises(DataError, match="same items"):
            cohens_kappa([1, 2], [1])
        with pytest.raises(DataError, match="same number of raters"):
            fleiss_kappa([[1, 2], [2, 2]])
        assert math.isnan(cohens_kappa([1, 1], [1, 1]))
        assert math.isnan(fleiss_kappa([[2, 0], [2, 0]]))


class TestOverDispersion:
    def test_recorded_trials_of_alice_in_wonderland(self):
        # o1-preview on AIW+, six variations of 60 trials: D about 21, sd 0.279 against binomial 0.061
        found = over_dispersion([41, 59, 21, 60, 26, 31], 60)
        assert (found.ratio, found.sd, found.sd_binomial) == pytest.approx((20.8, 0.279, 0.0611), abs=0.05)
        # scipy.stats.chi2_contingency([k, 60 - k])[:2]
        assert 5 * found.ratio == pytest.approx(104.09698305551728, rel=1e-9)
        assert found.p_value == pytest.approx(7.228666896403288e-21, rel=1e-6)
        assert (found.lowest, found.highest, found.n_groups) == (21 / 60, 1.0, 6)
        # By hand: mean squares between groups and within, for six groups of 60.
        rates = np.array([41, 59, 21, 60, 26, 31]) / 60
        between, within = 60 * rates.var(ddof=1), 60 / 59 * (rates * (1 - rates)).mean()
        assert found.correlation == pytest.approx((between - within) / (between + 59 * within), rel=1e-9)

    def test_unequal_trials_against_the_contingency_table(self):
        k, n = np.array([3, 10, 20, 1]), np.array([10, 25, 30, 8])
        found = over_dispersion(k, n)
        assert found.p_value == pytest.approx(stats.chi2_contingency([k, n - k]).pvalue, rel=1e-9)
        assert found.mean == 34 / 73

    def test_noise_alone_and_more(self):
        rng = np.random.default_rng(0)
        alike = [over_dispersion(rng.binomial(60, 0.6, 6), 60) for _ in range(1000)]
        assert np.mean([found.ratio for found in alike]) == pytest.approx(1.0, abs=0.06)
        assert np.mean([found.p_value < 0.05 for found in alike]) == pytest.approx(0.05, abs=0.02)
        assert np.mean([found.correlation for found in alike]) == pytest.approx(0.0, abs=0.002)
        # Beta(a, b) rates have an intraclass correlation of 1 / (a + b + 1).
        varied = [over_dispersion(rng.binomial(60, rng.beta(3, 2, 40)), 60) for _ in range(200)]
        assert np.mean([found.correlation for found in varied]) == pytest.approx(1 / 6, abs=0.01)

    def test_all_or_nothing(self):
        found = over_dispersion([60, 60], 60)
        assert math.isnan(found.ratio)
        assert math.isnan(found.correlation)
        assert (found.p_value, found.sd, found.mean) == (1.0, 0.0, 1.0)

    def test_bad_input(self):
        with pytest.raises(DataError, match="at least two groups"):
            over_dispersion([3], 10)
        with pytest.raises(DataError, match=r"group 1 must .* got 11 of 10"):
            over_dispersion([3, 11], 10)


class TestPassing:
    @pytest.mark.parametrize("k", [1, 2, 5, 10])
    def test_binomials(self, k):
        c = np.arange(11)
        fail = [Fraction(math.comb(10 - int(x), k), math.comb(10, k)) for x in c]
        every = [Fraction(math.comb(int(x), k), math.comb(10, k)) for x in c]
        assert pass_at_k(10, c, k) == pytest.approx([1 - float(share) for share in fail], abs=1e-14)
        assert pass_hat_k(10, c, k) == pytest.approx([float(share) for share in every], abs=1e-14)

    def test_stable_for_many_samples(self):
        assert float(pass_at_k(10**6, 10**5, 100)) == pytest.approx(1 - 0.9**100, rel=1e-4)
        assert float(pass_hat_k(2000, 1990, 1000)) == pytest.approx(
            float(Fraction(math.comb(1990, 1000), math.comb(2000, 1000))), rel=1e-12
        )

    def test_unbiased(self):
        rng = np.random.default_rng(0)
        c = rng.binomial(8, 0.7, 100_000)
        assert pass_hat_k(8, c, 3).mean() == pytest.approx(0.7**3, abs=0.005)
        assert pass_at_k(8, c, 3).mean() == pytest.approx(1 - 0.3**3, abs=0.005)

    @given(n=st.integers(1, 30), data=st.data())
    def test_order_and_identity(self, n, data):
        c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
        at, hat = float(pass_at_k(n, c, k)), float(pass_hat_k(n, c, k))
        assert 0 <= hat <= c / n + 1e-12 <= at + 2e-12 <= 1 + 3e-12
        assert at == pytest.approx(1 - float(pass_hat_k(n, n - c, k)), abs=1e-12)

    def test_bad_input(self):
        for function in (pass_at_k, pass_hat_k):
            with pytest.raises(DataError, match="at least k = 5 samples, got 4"):
                function([8, 4], 1, 5)
            with pytest.raises(DataError, match="between 0 and the number drawn"):
                function(4, 5, 1)
            with pytest.raises(ConfigError, match="k must be at least 1"):
                function(4, 1, 0)


class TestCalibration:
    def test_brier_golden(self):
        assert brier_score([0.9, 0.2, 0.6, 0.3], [1, 0, 1, 1]) == pytest.approx(
            0.175
        )  # sklearn brier_score_loss

    def test_error_by_hand(self):
        # Bins {0.1, 0.3}, {0.6, 0.8}: |0 - 0.2| and |0.5 - 0.7|, each half of the items.
        assert expected_calibration_error([0.6, 0.1, 0.8, 0.3], [1, 0, 0, 0], n_bins=2) == pytest.approx(0.2)

    def test_calibrated_is_near_zero_and_shifted_is_not(self):
        rng = np.random.default_rng(0)
        p = rng.random(50_000)
        y = rng.random(50_000) < p
        assert expected_calibration_error(p, y) < 0.02
        assert expected_calibration_error(np.clip(p * 0.5, 0, 1), y) == pytest.approx(0.25, abs=0.01)

    def test_bins_hold_equally_many_and_ties_stay_together(self):
        p = np.random.default_rng(1).random(1000)
        assert set(reliability_curve(p, p > 0.5).n.tolist()) == {100.0}
        tied = np.repeat([0.2, 0.9], [70, 30])
        curve = reliability_curve(tied, tied > 0.5)
        assert curve.n.tolist() == [70.0, 30.0]
        shuffled = np.random.default_rng(2).permutation(100)
        assert expected_calibration_error(tied, tied > 0.5) == expected_calibration_error(
            tied[shuffled], tied[shuffled] > 0.5
        )

    def test_bad_input(self):
        with pytest.raises(DataError, match="probabilities must lie between 0 and 1"):
            brier_score([1.2], [1])
        with pytest.raises(DataError, match="0 and 1 only"):
            brier_score([0.2], [0.5])
        with pytest.raises(DataError, match="equally many rows"):
            brier_score([0.2], [0, 1])
        with pytest.raises(ConfigError, match="n_bins"):
            expected_calibration_error([0.2], [1], 0)


class TestEffects:
    A, B = np.array([3.1, 4.2, 5.0, 2.8, 6.1]), np.array([2.9, 4.4, 4.1, 2.9])

    def test_cohens_d_is_the_t_statistic(self):
        t = stats.ttest_ind(self.A, self.B).statistic
        assert cohens_d(self.A, self.B, hedges=False) == pytest.approx(
            t * math.sqrt(1 / 5 + 1 / 4), rel=1e-12
        )
        # The exact factor is near 1 - 3 / (4 df - 1) = 8/9 at 7 degrees of freedom.
        ratio = cohens_d(self.A, self.B) / cohens_d(self.A, self.B, hedges=False)
        assert ratio == pytest.approx(24 / 27, abs=2e-3)

    def test_dz_is_the_paired_t_statistic(self):
        t = stats.ttest_rel(self.A[:4], self.B).statistic
        assert cohens_dz(self.A[:4], self.B, hedges=False) == pytest.approx(t / 2, rel=1e-12)

    def test_no_spread(self):
        assert cohens_d([2, 2], [1, 1]) == math.inf
        assert cohens_dz([1, 2, 3], [1, 2, 3]) == 0.0
        with pytest.raises(DataError, match="at least 2 degrees of freedom"):
            cohens_dz([1, 3], [1, 2])

    def test_cohens_h(self):
        assert cohens_h(1.0, 0.0) == pytest.approx(math.pi)
        assert cohens_h(0.3, 0.3) == 0.0
        with pytest.raises(ConfigError, match="p_b must lie between 0 and 1, got 2"):
            cohens_h(0.5, 2)

    def test_risk_ratio_without_successes(self):
        estimate = risk_ratio(0, 20, 4, 20)
        assert estimate.value == pytest.approx((0.5 / 21) / (4.5 / 21))
        assert 0 < estimate.low < estimate.value < estimate.high
        assert estimate.p_value(0.0) == 0.0
        with pytest.raises(DataError, match="got 3 of 2"):
            risk_ratio(3, 2, 1, 2)

    def test_superiority_golden(self):
        x = [3.1, 4.2, 5.0, 2.8, 6.1, 4.4, 3.9, 5.2]
        y = [2.9, 4.4, 4.1, 2.9, 5.2, 4.1, 3.5, 5.0]
        assert probability_of_superiority(x, y) == pytest.approx(
            0.5859375
        )  # scipy.stats.mannwhitneyu(x, y)[0] / 64
        assert cliffs_delta(x, y) == pytest.approx(2 * 0.5859375 - 1)

    @given(a=st.lists(st.integers(0, 5), min_size=1), b=st.lists(st.integers(0, 5), min_size=1))
    @settings(max_examples=50)
    def test_delta_is_its_definition(self, a, b):
        signs = np.sign(np.subtract.outer(a, b))
        assert cliffs_delta(a, b) == pytest.approx(signs.mean(), abs=1e-12)
        assert cliffs_delta(b, a) == pytest.approx(-signs.mean(), abs=1e-12)


class TestMultiplicity:
    P = (0.01, 0.04, 0.03, 0.005, 0.2, 0.9, 0.05)

    def test_golden(self):
        # statsmodels.stats.multitest.multipletests(P, method="holm" | "fdr_bh")[1], statsmodels 0.15.0
        assert holm(self.P) == pytest.approx([0.06, 0.16, 0.15, 0.035, 0.4, 0.9, 0.16], rel=1e-9)
        expected = [0.035, 0.07, 0.07, 0.035, 0.23333333333333336, 0.9, 0.07]
        assert benjamini_hochberg(self.P) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
    def test_missing_tests_are_not_counted(self, adjust):
        with_gaps = adjust([0.01, NAN, 0.04, NAN, 0.2])
        assert with_gaps[[0, 2, 4]].tolist() == adjust([0.01, 0.04, 0.2]).tolist()
        assert np.isnan(with_gaps[[1, 3]]).all()
        assert np.isnan(adjust([NAN])).all()
        assert adjust([]).size == 0

    @given(p=st.lists(st.floats(0, 1), min_size=1, max_size=30))
    def test_order_is_kept_and_holm_is_the_stricter(self, p):
        strict, loose = holm(p), benjamini_hochberg(p)
        assert (strict >= loose - 1e-12).all()
        assert (loose >= np.array(p) - 1e-12).all()
        order = np.argsort(p)
        assert (np.diff(strict[order]) >= 0).all()
        assert (np.diff(loose[order]) >= 0).all()

    @pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
    def test_bad_input(self, adjust):
        with pytest.raises(DataError, match=r"between 0 and 1, got 1\.5"):
            adjust([0.2, 1.5])
        with pytest.raises(DataError, match="one dimension"):
            adjust([[0.2]])
