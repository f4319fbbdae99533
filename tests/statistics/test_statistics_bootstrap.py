"""The ideal bootstrap of a mean against resampling, and the bootstrap of any statistic against scipy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics import bootstrap, bootstrap_mean, estimate_mean
from concordant.core.statistics.bootstrap_law import law_of_mean, law_of_replicates

Z = np.array([1.2, 0.4, 3.3, 2.2, 0.9, 7.5, 1.1, 0.3, 2.6, 1.9, 4.8, 0.7])


def ends(estimate):
    return estimate.low, estimate.high


class TestLawOfMean:
    @pytest.mark.parametrize(
        "values", [[0, 1, 1], [0.1, 0.3, 0.4, 0.1], [2.0, 2.5, 9.0], [1 / 3, 1 / 2, 1.0]]
    )
    def test_atoms_are_those_of_all_resamples(self, values):
        means = np.array([np.mean(draw) for draw in itertools.product(values, repeat=len(values))])
        atoms, counts = np.unique(means.round(9), return_counts=True)
        law = law_of_mean(np.array(values, dtype=float))
        assert law.is_discrete
        assert law.points == pytest.approx(atoms, abs=1e-8)
        assert law.cdf == pytest.approx(np.cumsum(counts) / counts.sum(), abs=1e-12)
        centre = np.mean(values)
        below = (means < centre - 1e-9).mean() + (abs(means - centre) < 1e-9).mean() / 2
        assert law.below == pytest.approx(below, abs=1e-12)

    @pytest.mark.parametrize(("k", "n"), [(1, 7), (30, 100), (4900, 10_000), (3, 1_000_000)])
    def test_right_and_wrong_give_the_binomial(self, k, n):
        values = np.zeros(n)
        values[:k] = 1.0
        law = law_of_mean(values)
        exact = stats.binom(n, k / n)
        assert law.cdf == pytest.approx(exact.cdf(np.rint(law.points * n)), abs=1e-9)
        for probability in (0.005, 0.025, 0.4, 0.9, 0.975):
            assert law.quantile(probability) == pytest.approx(exact.ppf(probability) / n, abs=1e-12)
        assert law.stderr() == pytest.approx(exact.std() / n, rel=1e-6)

    @pytest.mark.parametrize("family", ["normal", "lognormal", "pareto"])
    @pytest.mark.parametrize("n", [30, 1000])
    def test_real_values_have_exact_moments_and_the_right_quantiles(self, family, n):
        rng = np.random.default_rng(3)
        values = {
            "normal": rng.normal,
            "lognormal": rng.lognormal,
            "pareto": lambda size: rng.pareto(2.5, size),
        }[family](size=n)
        law = law_of_mean(values)
        stderr = values.std() / math.sqrt(n)
        assert law.stderr() == pytest.approx(stderr, rel=2e-4)
        draws = 40_000
        replicates = np.concatenate(
            [values[rng.integers(0, n, (1000, n))].mean(axis=1) for _ in range(draws // 1000)]
        )
        for probability in (0.01, 0.025, 0.5, 0.975, 0.99):
            # The share of simulated means below the quantile, within four standard errors of the simulation.
            share = (replicates <= law.quantile(probability)).mean()
            assert abs(share - probability) < 4 * math.sqrt(probability * (1 - probability) / draws)
        assert law.below == pytest.approx((replicates < values.mean()).mean(), abs=4 * 0.5 / math.sqrt(draws))

    def test_far_outlier_is_kept_in_the_window(self):
        values = np.r_[Z, 1e6]
        law = law_of_mean(values)
        # The number of times the outlier is drawn is Bin(13, 1/13); its steps are all there.
        for times in range(5):
            expected = stats.binom.cdf(times, 13, 1 / 13)
            assert np.interp((times + 0.5) * 1e6 / 13, law.points, law.cdf) == pytest.approx(
                expected, abs=1e-6
            )

    @given(
        values=st.lists(st.floats(-100, 100), min_size=2, max_size=40),
        shift=st.floats(-50, 50),
        scale=st.floats(0.1, 10),
    )
    @settings(max_examples=40, deadline=None)
    def test_moves_and_stretches_with_the_values(self, values, shift, scale):
        array = np.array(values)
        first, second = bootstrap_mean(array), bootstrap_mean(array * scale + shift)
        stderr = array.std() / math.sqrt(array.size)
        tolerance = scale * (3e-3 * stderr + 1e-9) + 1e-9
        assert second.value == pytest.approx(first.value * scale + shift, abs=1e-6)
        # Away from jumps of the law the ends move along; they lie between those of slightly other levels.
        wide, narrow = first.interval_at(0.952), first.interval_at(0.948)
        assert wide[0] * scale + shift - tolerance <= second.low <= narrow[0] * scale + shift + tolerance
        assert narrow[1] * scale + shift - tolerance <= second.high <= wide[1] * scale + shift + tolerance


class TestBootstrapMean:
    def test_golden(self):
        # scipy.stats.bootstrap((Z,), np.mean, n_resamples=2_000_000, rng=default_rng(0)), scipy 1.17.1
        assert ends(bootstrap_mean(Z)) == pytest.approx((1.366666666666667, 3.8333333333333326), abs=1e-9)
        percentile = bootstrap_mean(Z, method="percentile")  # the same call with method="percentile"
        assert ends(percentile) == pytest.approx((1.225, 3.4916666666666667), abs=1e-9)

    def test_two_routes_agree(self):
        values = np.random.default_rng(0).gamma(2.0, size=400)
        stderr = values.std() / 20
        for method in ("bca", "percentile"):
            ideal, drawn = (bootstrap_mean(values, method=method, n_replicates=b) for b in (None, 50_000))
            # An end of a 95% interval from b replicates has a standard error of about 2.7 stderr / sqrt(b).
            assert ends(drawn) == pytest.approx(ends(ideal), abs=4 * 2.7 * stderr / math.sqrt(50_000))
            assert drawn.stderr == pytest.approx(ideal.stderr, rel=0.02)

    def test_counts_of_unique_values_are_the_same_bootstrap(self):
        values = np.repeat([0.0, 0.5, 1.0], [300, 50, 150])  # few unique values: multinomial counts
        drawn, ideal = bootstrap_mean(values, n_replicates=100_000), bootstrap_mean(values)
        assert ends(drawn) == pytest.approx(ends(ideal), abs=1.001 / 1000)  # one atom apart at most
        assert bootstrap_mean(values, n_replicates=1000, seed=3) == bootstrap_mean(
            values, n_replicates=1000, seed=3
        )

    def test_clusters_of_one_size_are_a_bootstrap_of_their_means(self):
        values, groups = np.random.default_rng(1).normal(size=60), np.repeat(np.arange(20), 3)
        estimate = bootstrap_mean(values, clusters=groups)
        of_means = bootstrap_mean(values.reshape(20, 3).mean(axis=1))
        assert ends(estimate) == pytest.approx(ends(of_means), rel=1e-9)
        assert (estimate.n, estimate.n_clusters, estimate.method) == (60, 20, "cluster-bca")

    def test_clusters_of_different_sizes_agree_with_the_generic_bootstrap(self):
        rng = np.random.default_rng(2)
        groups = np.repeat(np.arange(25), rng.integers(1, 6, 25))
        values = rng.normal(size=25)[groups] + rng.normal(size=groups.size)
        quick = bootstrap_mean(values, clusters=groups, n_replicates=20_000)
        generic = bootstrap(lambda x: x.mean(), values, clusters=groups, n_replicates=20_000, seed=1)
        tolerance = 4 * 2.7 * quick.stderr / math.sqrt(20_000) * math.sqrt(2)
        assert ends(quick) == pytest.approx(ends(generic), abs=tolerance)
        assert quick.stderr == pytest.approx(estimate_mean(values, clusters=groups).stderr, rel=0.1)

    def test_bad_requests(self):
        with pytest.raises(ConfigError, match="n_replicates must be at least 1, got 0"):
            bootstrap_mean(Z, n_replicates=0)
        with pytest.raises(ConfigError, match="method must be one of bca, percentile"):
            bootstrap_mean(Z, method="basic")
        with pytest.raises(DataError, match="1 of 2 are missing"):
            bootstrap_mean([1.0, math.nan])


class TestBootstrap:
    def test_mean_agrees_with_the_ideal(self):
        generic = bootstrap(np.mean, Z, n_replicates=50_000)
        assert ends(generic) == pytest.approx(ends(bootstrap_mean(Z)), abs=0.03)

    def test_vectorised_and_scalar_statistics_agree(self):
        vectorised = bootstrap(np.median, Z, n_replicates=2000, seed=5)
        scalar = bootstrap(lambda x: np.median(x), Z, n_replicates=2000, seed=5)
        assert ends(vectorised) == ends(scalar)
        assert vectorised.p_value(3.0) == scalar.p_value(3.0)

    def test_correlation_against_scipy(self):
        rng = np.random.default_rng(4)
        x = rng.normal(size=60)
        y = x + rng.normal(size=60)

        def correlation(a, b, axis=-1):
            a = a - a.mean(axis=axis, keepdims=True)
            b = b - b.mean(axis=axis, keepdims=True)
            return (a * b).sum(axis=axis) / np.sqrt((a * a).sum(axis=axis) * (b * b).sum(axis=axis))

        ours = bootstrap(correlation, x, y, n_replicates=20_000)
        theirs = stats.bootstrap(
            (x, y), correlation, paired=True, n_resamples=20_000, rng=7
        ).confidence_interval
        assert ends(ours) == pytest.approx((theirs.low, theirs.high), abs=0.01)

    def test_independent_samples_against_scipy(self):
        rng = np.random.default_rng(5)
        x, y = rng.gamma(2.0, size=40), rng.gamma(1.0, size=90)

        def difference(a, b, axis=-1):
            return a.mean(axis=axis) - b.mean(axis=axis)

        ours = bootstrap(difference, x, y, paired=False, n_replicates=20_000)
        theirs = stats.bootstrap((x, y), difference, n_resamples=20_000, rng=7).confidence_interval
        assert ends(ours) == pytest.approx((theirs.low, theirs.high), abs=0.03)
        assert ours.n == 130

    def test_grouped_jackknife_for_many_rows(self):
        values = np.random.default_rng(6).lognormal(size=3000)
        generic, ideal = bootstrap(np.mean, values, n_replicates=5000), bootstrap_mean(values)
        assert ends(generic) == pytest.approx(ends(ideal), abs=0.15 * ideal.stderr)

    def test_rows_may_be_of_any_shape(self):
        table = np.random.default_rng(7).normal(size=(50, 3))
        estimate = bootstrap(lambda rows: np.linalg.norm(rows.mean(axis=0)), table, n_replicates=200)
        assert estimate.low < estimate.high
        assert estimate.n == 50

    def test_equal_clusters_are_drawn_in_blocks(self):
        values, groups = np.random.default_rng(8).normal(size=60), np.tile(np.arange(20), 3)
        generic = bootstrap(np.mean, values, clusters=groups, n_replicates=20_000)
        assert ends(generic) == pytest.approx(ends(bootstrap_mean(values, clusters=groups)), abs=0.02)
        assert generic.n_clusters == 20

    def test_one_row_knows_no_spread(self):
        assert ends(bootstrap(np.mean, [3.0])) == (-math.inf, math.inf)

    def test_bad_requests(self):
        with pytest.raises(DataError, match="equally many rows, got 2, 3"):
            bootstrap(lambda a, b: 0.0, [1, 2], [1, 2, 3])
        with pytest.raises(DataError, match="at least one row"):
            bootstrap(np.mean, [])
        with pytest.raises(ConfigError, match="clusters need paired"):
            bootstrap(lambda a, b: 0.0, [1, 2], [1, 2], paired=False, clusters=[1, 1])
        with pytest.raises(DataError, match="must be a finite number"):
            bootstrap(lambda x: math.nan, [1, 2, 3], n_replicates=10)


def test_replicates_all_on_one_side_keep_finite_scores():
    law = law_of_replicates(np.array([1.0, 2.0, 3.0]), 9.0)
    assert 0 < law.below < 1
