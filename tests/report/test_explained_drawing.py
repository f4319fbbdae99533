"""Paths of series and table rows: what is drawn is what is there."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from concordant.core.statistics import estimate_mean
from concordant.explanations import SeriesSet
from concordant.report.explained_examples import chosen_examples
from concordant.report.series_charts import (
    HEIGHT,
    LEVELS,
    MAX_CELLS,
    drawn,
    line_path,
    peak,
    runs_path,
    shades,
    strengths,
)
from concordant.report.table_charts import MAX_COLUMNS, MAX_DOTS, MAX_STEPS, SWARM, column_rows, steps, swarm

FINITE = st.floats(-1e6, 1e6)


def cells_of(path, n):
    """Return which cells a path goes through."""
    hit, at = np.zeros(n, bool), 0
    for move, run in re.findall(r"[Mm](\d+) \.?[05]h(\d+)", path):
        at += int(move)
        hit[at : at + int(run)] = True
        at += int(run)
    return hit


def points_of(path):
    """Return the places that the path of a line goes through."""
    start, rest = re.match(r"M([\d.]+ \d+)(.*)$", path).groups()
    moves = [
        [float(a), float(b)] for a, b in re.findall(r"l([\d.]+?) ?(-?\d+)(?=l|$)", rest.replace("-", " -"))
    ]
    return np.cumsum([[float(v) for v in start.split()], *moves], axis=0)


@given(arrays(bool, st.integers(1, 60)))
def test_a_path_goes_through_the_cells_that_are_true_and_no_others(hit):
    assert (cells_of(runs_path(hit), len(hit)) == hit).all()
    assert bool(runs_path(hit)) == hit.any()


@given(arrays(float, st.integers(1, 60), elements=st.floats(-1, 1)))
def test_shades_have_every_cell_once_with_its_strength(strength):
    level = np.zeros(len(strength))
    for shade in shades(strength):
        cells = cells_of(shade.path, len(strength))
        assert not level[cells].any()
        level[cells] = shade.level if shade.kind == "for" else -shade.level
    assert np.abs(level / LEVELS - strength).max() <= 0.5 / LEVELS + 1e-9


@given(arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 9), st.just(2)), elements=FINITE))
def test_strengths_are_on_one_scale_and_keep_the_order_and_the_signs(attribution):
    unsigned, signed = strengths(attribution, signed=False), strengths(attribution, signed=True)
    assert unsigned.shape == signed.shape == attribution.shape
    assert unsigned.min() >= 0
    assert max(unsigned.max(), np.abs(signed).max()) <= 1
    for row, flat in enumerate(attribution.reshape(len(attribution), -1)):
        order = np.argsort(flat, kind="stable")
        assert (np.diff(unsigned[row].ravel()[order]) >= 0).all()
        if flat.max() > flat.min():
            assert {0.0, 1.0} <= set(unsigned[row].ravel())
            assert np.abs(signed[row]).max() == 1
            assert (signed[row].ravel() * flat >= 0).all()
        else:
            assert not unsigned[row].any()
            assert not signed[row].any()


def test_a_line_goes_from_its_upper_to_its_lower_edge():
    assert points_of(line_path(np.array([3.0, -1.0, 1.0]), -1.0, 3.0)).tolist() == [
        [0.5, 0],
        [1.5, HEIGHT],
        [2.5, HEIGHT / 2],
    ]
    assert points_of(line_path(np.array([2.0, 2.0]), 2.0, 2.0))[:, 1].tolist() == [HEIGHT / 2] * 2


def test_of_a_long_series_every_cell_shows_its_least_and_greatest_value():
    values = np.random.default_rng(0).normal(size=5 * MAX_CELLS - 3)
    points = points_of(line_path(values, values.min(), values.max()))
    assert len(points) == 2 * MAX_CELLS
    assert (points[:, 1].min(), points[:, 1].max()) == (0, HEIGHT)
    for i in (0, 17, MAX_CELLS - 1):
        cell = values[5 * i : 5 * i + 5]
        shown = values.max() - points[2 * i : 2 * i + 2, 1] / HEIGHT * (values.max() - values.min())
        least_first = cell.argmin() < cell.argmax()
        wanted = [cell.min(), cell.max()] if least_first else [cell.max(), cell.min()]
        assert shown == pytest.approx(wanted, abs=0.02)


def test_a_short_burst_in_a_long_series_is_not_lost():
    x = np.zeros((1, 10 * MAX_CELLS, 1))
    attribution = x.copy()
    attribution[0, 1234] = 1
    truth = attribution > 0
    (drawing,) = drawn(x, {"a": attribution}, [0], truth=truth)
    assert drawing.width == MAX_CELLS
    (panel,) = drawing.panels
    assert np.flatnonzero(cells_of(panel.shades[0][0].path, MAX_CELLS)).tolist() == [123]
    assert np.flatnonzero(cells_of(panel.truth, MAX_CELLS)).tolist() == [123]
    assert (drawing.peaks[0].first, drawing.peaks[0].last) == (1234, 1234)


def test_of_many_channels_those_with_the_most_attribution_are_shown_in_their_order():
    x = np.zeros((2, 5, 9))
    attribution = np.zeros_like(x)
    attribution[0, :, [7, 2]] = [[3.0], [1.0]]
    attribution[1, 0] = np.arange(9)
    control = np.random.default_rng(0).uniform(size=x.shape)
    first, second = drawn(x, {"a": attribution, "random": control}, [0, 1], n_channels=2)
    assert [panel.channel for panel in first.panels] == [2, 7]
    assert [panel.channel for panel in second.panels] == [7, 8]
    assert first.n_channels == 9


def test_a_channel_has_one_scale_in_all_series_that_are_drawn():
    x = np.array([[[0.0], [1.0]], [[0.0], [4.0]], [[0.0], [100.0]]])
    first, second = drawn(x, {"a": x}, [0, 1])
    assert {(d.panels[0].low, d.panels[0].high) for d in (first, second)} == {("0.0", "4.0")}
    assert points_of(first.panels[0].line)[1, 1] == 0.75 * HEIGHT


@pytest.mark.parametrize(
    ("strength", "found"),
    [
        ([0.0, 0.5, 1.0, 0.5, 0.4, 0.9], (1, 3, "for")),
        ([0.9, -0.6, -1.0, 0.6], (1, 2, "against")),
        ([1.0, 1.0], (0, 1, "for")),
    ],
)
def test_a_peak_goes_as_far_as_half_of_the_strength_has_the_same_sign(strength, found):
    got = peak(np.array(strength)[:, None])
    assert (got.first, got.last, got.kind) == found
    assert peak(np.zeros((4, 1))) is None


@given(arrays(float, st.integers(1, 40), elements=st.floats(-5, 5)))
def test_every_row_has_a_dot_within_the_swarm_and_at_its_attribution(attribution):
    low, high = min(0.0, attribution.min()), max(0.0, attribution.max())
    dots = [
        (int(a), int(b))
        for _, path in swarm(attribution, np.arange(len(attribution)), low, high)
        for a, b in re.findall(r"M(-?\d+) (-?\d+)h0", path)
    ]
    assert len(dots) == len(attribution)
    wanted = np.zeros(len(attribution)) if high == low else (attribution - low) / (high - low) * SWARM[0]
    assert sorted(a for a, _ in dots) == pytest.approx(sorted(wanted.tolist()), abs=0.51)
    assert all(0 <= b <= SWARM[1] for _, b in dots)


def test_of_many_rows_some_are_drawn_and_equal_values_share_a_shade():
    values = np.zeros(5000)
    found = swarm(np.linspace(0, 1, 5000), values, 0.0, 1.0)
    assert [shade for shade, _ in found] == [2]
    assert found[0][1].count("M") == MAX_DOTS


def test_columns_are_ordered_by_their_mean_magnitude_with_its_interval():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 20))
    attribution = x * np.arange(20)
    found = column_rows(x, attribution, [f"c{i}" for i in range(20)])
    size = np.abs(attribution).mean(0)
    assert [row.name for row in found.rows] == [f"c{i}" for i in np.argsort(-size)[:MAX_COLUMNS]]
    assert found.n_hidden == 8
    first = estimate_mean(np.abs(attribution[:, np.argmax(size)]))
    low, high = map(float, found.rows[0].interval.split(" to "))
    assert (low, high) == pytest.approx((first.low, first.high), abs=0.05)
    assert 0 < found.zero < SWARM[0]
    assert column_rows(x, np.abs(attribution), range(20) and [str(i) for i in range(20)]).zero is None


@given(arrays(float, st.integers(1, 12), elements=st.floats(-5, 5)))
def test_the_steps_of_a_row_end_at_the_sum_of_its_attributions(attribution):
    names = [f"c{i}" for i in range(len(attribution))]
    found, zero = steps(np.zeros(len(attribution)), attribution, names, signed=True)
    assert len(found) == min(len(attribution), MAX_STEPS) + (len(attribution) > MAX_STEPS)
    assert all(step.start >= -0.01 and step.start + step.width <= 100.02 for step in found)
    order = np.argsort(-np.abs(attribution), kind="stable")
    parts = [
        *attribution[order[:MAX_STEPS]],
        *([attribution[order[MAX_STEPS:]].sum()] * (len(order) > MAX_STEPS)),
    ]
    way = np.cumsum([0.0, *parts])
    span = np.ptp(way)
    at = (way - way.min()) / span * 100 if span > 0 else np.zeros(len(way))
    assert zero == pytest.approx(at[0], abs=0.01)
    assert way[-1] == pytest.approx(attribution.sum())
    for step, start, end in zip(found, at, at[1:], strict=False):  # each bar starts where the one before ends
        assert (step.start, step.start + step.width) == pytest.approx(
            (min(start, end), max(start, end)), abs=0.02
        )


def test_without_signs_all_bars_of_a_row_start_at_0():
    found, zero = steps(np.zeros(9), np.arange(9.0), [f"c{i}" for i in range(9)], signed=False)
    assert zero == 0
    assert [(step.label, step.start) for step in found] == [(f"c{8 - i} = 0", 0.0) for i in range(MAX_STEPS)]
    assert [step.width for step in found] == [round(100 * (8 - i) / 8, 2) for i in range(MAX_STEPS)]


def test_examples_are_typical_least_sure_and_misclassified():
    x = np.array([0.0, 0.1, 5.0, 0.05, 9.0, 9.1, 9.2])[:, None, None]
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    p = np.array([0.9, 0.8, 0.99, 0.2, 0.1, 0.2, 0.3])
    first, second = chosen_examples(SeriesSet("s", x, ("a",), labels), np.stack([p, 1 - p], 1))
    assert (first.rows, first.why) == ([1, 0, 3], ["typical", "typical", "misclassified"])
    assert (second.rows, second.why) == ([5, 4, 6], ["typical", "typical", "least sure"])
    assert (first.n, first.n_right, second.n_right) == (4, 3, 3)


def test_without_true_classes_examples_are_of_the_classes_given():
    p = np.array([0.9, 0.8, 0.3])
    found = chosen_examples(SeriesSet("s", np.arange(3.0)[:, None, None], ("a",)), np.stack([p, 1 - p], 1))
    assert [(group.label, group.n, group.n_right) for group in found] == [(0, 2, None), (1, 1, None)]


def test_of_very_many_classes_the_largest_have_one_example_each():
    labels = np.repeat(np.arange(30), np.arange(1, 31))
    p = np.full((len(labels), 30), 0.01)
    p[np.arange(len(labels)), labels] = 0.7
    found = chosen_examples(SeriesSet("s", np.zeros((len(labels), 1, 1)), ("a",), labels), p)
    assert [group.label for group in found] == list(range(18, 30))
    assert all(len(group.rows) == 1 for group in found)


def test_where_all_of_a_class_are_wrong_misclassified_ones_stand_for_it():
    p = np.array([[0.1, 0.9], [0.3, 0.7], [0.4, 0.6]])
    (found,) = chosen_examples(SeriesSet("s", np.zeros((3, 1, 1)), ("a",), np.zeros(3, int)), p)
    assert (found.rows, set(found.why)) == ([0, 1, 2], {"misclassified"})
