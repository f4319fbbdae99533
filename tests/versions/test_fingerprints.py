"""Fingerprints: what a check must pass, fail and leave open, on models whose damage is known."""

import json
import zipfile

import numpy as np
import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.core.model import Request
from concordant.core.statistics import needed_n
from concordant.versions.fingerprints import (
    PerformanceClaim,
    compare_models,
    load_fingerprint,
    read_claims,
    record,
    verify,
)
from concordant.versions.fingerprints.file import SCHEMA
from concordant.versions.fingerprints.measures import estimate, outcomes

N = 300


class Threshold:
    """Class 1 from a point on, with a probability that falls off softly; some probes can be got wrong on purpose."""

    classes_ = (0, 1)

    def __init__(self, at=0.5, shift=0.0, wrong=(), slope=12.0):
        self.at, self.shift, self.wrong, self.slope = at, shift, np.asarray(wrong, int), slope

    def predict(self, x):
        return self.probabilities(x).argmax(axis=1)

    def probabilities(self, x):
        p = 1 / (1 + np.exp(-self.slope * (np.asarray(x)[:, 0] - self.at + self.shift)))
        flipped = np.isin(np.round(np.asarray(x)[:, 1]).astype(int), self.wrong)
        p = np.where(flipped, 1 - p, p)
        return np.column_stack([1 - p, p])


@pytest.fixture(scope="module")
def probes():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.random(N), np.arange(N)])
    noisy = x[:, 0] + rng.normal(0, 0.1, N)
    return cc.Items.from_arrays(x, (noisy > 0.5).astype(int))


@pytest.fixture(scope="module")
def recorded(probes):
    return record(Threshold(), probes, progress=False)


def states(found):
    return {check.name: check.state for check in found.checks}


def test_the_same_model_passes_everything_that_is_judged(recorded):
    found = verify(recorded, Threshold(), progress=False)
    assert (found.state, found.exit_code) == ("pass", 0)
    assert set(states(found).values()) == {"pass", "shown"}
    assert found["answers changed"].change.high == pytest.approx(1 - 0.025 ** (1 / N))  # exact, 0 of N
    assert found.about["differs"] == {}


def test_one_changed_answer_of_a_model_without_noise_fails(recorded):
    sure = int(np.argmax(np.abs(recorded.probes.array[:, 0] - 0.5)))
    found = verify(recorded, Threshold(wrong=[sure]), progress=False)
    assert found.exit_code == 1
    assert found["answers changed"].now == pytest.approx(1 / N)
    assert found.items.filter("changed")["item"].to_list() == [str(sure)]
    allowed = verify(recorded, Threshold(wrong=[sure]), tolerance=0.01, progress=False)
    assert states(allowed)["answers changed"] == "pass"


def test_a_near_tie_counts_apart():
    x = np.column_stack([np.r_[0.5 + 1e-7, np.linspace(0, 1, 40)], np.arange(41)])
    probes = cc.Items.from_arrays(x, (x[:, 0] > 0.5).astype(int))
    fingerprint = record(Threshold(), probes, progress=False)
    found = verify(fingerprint, Threshold(shift=-1e-6), progress=False)
    assert found["answers changed"].state == "pass"
    assert found["answers changed"].note == "1 near ties apart"
    assert found.items["near_tie"].sum() == 1
    assert verify(fingerprint, Threshold(shift=-1e-6), near_tie=0.0, progress=False).exit_code == 1


def test_a_class_that_is_lost_fails_by_its_recall(recorded):
    class_one = np.flatnonzero(recorded.answers["output"].to_numpy() == 1)[:20]
    found = verify(recorded, Threshold(wrong=class_one), tolerance=0.2, progress=False)
    assert states(found)["recall of 1"] == "fail" or found["recall of 1"].now > 0.8
    strict = verify(recorded, Threshold(wrong=class_one), progress=False)
    assert states(strict)["recall of 1"] == "fail"
    assert states(strict)["recall of 0"] == "pass"


def test_worse_calibration_is_found_where_no_answer_changes(recorded):
    found = verify(recorded, Threshold(slope=60.0), progress=False)
    assert found["answers changed"].now == 0
    assert states(found)["log loss"] == "fail"
    assert found["largest shift of a probability"].now > 0.1
    assert found["calibration error"].now > found["calibration error"].then


def test_holm_covers_the_whole_family(recorded):
    found = verify(recorded, Threshold(wrong=[1, 2, 3]), progress=False)
    p = {check.name: check.p_value for check in found.checks if check.p_value is not None}
    assert p["answers changed"] == 0
    assert all(0 <= value <= 1 for value in p.values())
    n_tests = len(p)
    raw = found["log loss"].change.p_value(0.001, "greater")
    assert p["log loss"] <= min(1.0, raw * n_tests) + 1e-12
    assert p["log loss"] >= raw


def test_a_model_with_noise_is_allowed_its_noise():
    def noisy(rate):
        rng = np.random.default_rng(1)
        return lambda texts: [t.upper() if rng.random() > rate else "?" for t in texts]

    rows = [{"input": f"w{i}", "reference": f"W{i}"} for i in range(400)]
    probes = cc.Items.from_records(rows)
    load = lambda rate: cc.load(noisy(rate), batched=True, name="noisy", fingerprint=f"noisy {rate}")  # noqa: E731
    fingerprint = record(load(0.1), probes, grade="exact", progress=False)
    assert 0.1 < fingerprint.about["noise"]["answer_change_rate"] < 0.3
    again = verify(fingerprint, cc.load(noisy(0.1), batched=True, fingerprint="2"), progress=False)
    assert again["answers changed"].state != "fail"
    worse = verify(fingerprint, cc.load(noisy(0.5), batched=True, fingerprint="3"), progress=False)
    assert worse["answers changed"].state == "fail"


def test_answers_that_are_numbers_have_a_tolerance():
    items = cc.Items.from_arrays(np.linspace(1.0, 2.0, 30))
    fingerprint = record(lambda x: x**0.5, items, progress=False)
    assert verify(fingerprint, lambda x: x**0.5 * (1 + 1e-8), progress=False).state == "pass"
    assert verify(fingerprint, lambda x: x**0.5 * 1.01, progress=False).state == "fail"


def test_a_failing_model_is_a_changed_one_and_a_dead_one_an_error():
    items = cc.Items.from_records([{"input": f"w{i}", "reference": f"W{i}"} for i in range(20)])

    def sometimes(text):
        if text == "w3":
            message = "out of luck"
            raise ValueError(message)
        return text.upper()

    fingerprint = record(str.upper, items, progress=False)
    found = verify(fingerprint, sometimes, progress=False)
    assert found["answers changed"].now == pytest.approx(1 / 20)
    assert found["errors"].now == pytest.approx(1 / 20)


def test_what_is_saved_is_what_was_recorded(recorded, tmp_path):
    claims = (PerformanceClaim("accuracy", 0.8, n=50, where="here"),)
    from dataclasses import replace

    path = replace(recorded, claims=claims).save(tmp_path / "deep" / "a.fingerprint")
    again = load_fingerprint(path)
    assert again.claims == claims
    assert again.probes.frame.equals(recorded.probes.frame)
    assert again.answers.equals(recorded.answers)
    assert again.about["model"] == recorded.about["model"]
    assert verify(again, Threshold(), progress=False).checks[0].state == "pass"
    assert [p.name for p in path.parent.iterdir()] == ["a.fingerprint"]


def test_files_that_are_no_fingerprints(recorded, tmp_path):
    with pytest.raises(DataError, match="there is no fingerprint"):
        load_fingerprint(tmp_path / "none")
    bad = tmp_path / "bad"
    bad.write_bytes(b"PK no")
    with pytest.raises(DataError, match="no whole fingerprint"):
        load_fingerprint(bad)
    path = recorded.save(tmp_path / "good")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(parts["fingerprint.json"])

    def rewritten(**changes):
        with zipfile.ZipFile(tmp_path / "changed", "w") as archive:
            for name, data in {
                **parts,
                "fingerprint.json": json.dumps({**about, **changes}).encode(),
            }.items():
                archive.writestr(name, data)
        return tmp_path / "changed"

    with pytest.raises(DataError, match="later version"):
        load_fingerprint(rewritten(schema=SCHEMA + 1))
    with pytest.raises(DataError, match="not those it was recorded with"):
        load_fingerprint(rewritten(probes={"n": N, "digest": "0" * 16}))


def test_claims_pass_fail_and_cannot_be_told(recorded, probes):
    accuracy = recorded.answers["correct"].mean()

    def state(value, tolerance=0.05, **about):
        claim = PerformanceClaim("accuracy", value, **about)
        found = verify(recorded, Threshold(), claims=[claim], claim_tolerance=tolerance, progress=False)
        return found.checks[1]

    assert state(accuracy - 0.01).state == "pass"
    assert state(accuracy + 0.08, tolerance=0.01).state == "fail"
    open_one = state(accuracy + 0.045)
    assert open_one.state == "cannot tell"
    assert "probes would tell" in open_one.note
    assert state(accuracy, n=10).state == "cannot tell"  # measured on few: nothing can be told from it
    assert state(round(accuracy, 3), digest=probes.digest()).state == "pass"
    assert (
        state(accuracy + 0.06, digest=probes.digest()).state == "fail"
    )  # on the same data there is no chance
    other = state(accuracy, digest="f" * 16)
    assert other.state == "cannot tell"
    assert other.now is None


def test_losses_are_claimed_downwards(recorded):
    loss = verify(recorded, Threshold(), progress=False)["log loss"].now
    for value, wanted in ((loss + 0.2, "pass"), (loss - 0.25, "fail")):
        claim = PerformanceClaim("log_loss", value)
        assert verify(recorded, Threshold(), claims=[claim], progress=False).checks[1].state == wanted


def test_metrics_that_cannot_be_measured_are_shown(recorded):
    found = verify(recorded, Threshold(), claims=[PerformanceClaim("rouge1", 0.4)], progress=False)
    assert found.state == "pass"
    assert "not checked" in found.checks[1].note


def test_figures_over_classes_are_those_of_scikit_learn(recorded):
    from sklearn.metrics import f1_score, log_loss, precision_score, recall_score

    from concordant.versions.fingerprints.asking import FIRST, Asked, asked

    answers = asked(
        cc.load(Threshold()), recorded.probes, Asked(), grade=None, request=Request(), progress=False
    )
    found = outcomes(answers[FIRST])
    truth, said = recorded.probes.reference.to_numpy(), recorded.answers["output"].to_numpy()
    for metric, of in (("f1", f1_score), ("recall", recall_score), ("precision", precision_score)):
        measured = estimate(metric, found)
        assert measured.value == pytest.approx(of(truth, said, average="macro"))
        assert measured.low < measured.value < measured.high
    p = Threshold().probabilities(recorded.probes.array)
    assert estimate("log_loss", found).value == pytest.approx(log_loss(truth, p))
    brier = ((p - np.eye(2)[truth]) ** 2).sum(axis=1).mean()
    assert estimate("brier_loss", found).value == pytest.approx(brier)
    error = estimate("calibration_error", found)
    assert error.low <= error.value <= error.high or error.value == pytest.approx(error.low, abs=0.02)
    assert estimate("error_rate", found).value == pytest.approx(1 - estimate("accuracy", found).value)
    assert needed_n(estimate("accuracy", found), 0.5) is not None


def test_one_changed_answer_of_a_server_may_be_chance():
    async def steady(prompt):
        return prompt.upper()

    async def once_otherwise(prompt):
        return "?" if prompt == "w3" else prompt.upper()

    async def often_otherwise(prompt):
        return "?" if prompt[-1] in "37" else prompt.upper()

    items = cc.Items.from_records([{"input": f"w{i}", "reference": f"W{i}"} for i in range(60)])
    fingerprint = record(steady, items, progress=False)
    assert not fingerprint.about["deterministic"]
    once = verify(fingerprint, once_otherwise, progress=False)
    assert once["answers changed"].state == "cannot tell"
    assert verify(fingerprint, often_otherwise, progress=False).state == "fail"


def test_servers_are_recorded_too():
    async def shouting(prompt):
        return prompt.upper()

    items = cc.Items.from_records([{"input": f"w{i}", "reference": f"W{i}"} for i in range(30)])
    fingerprint = record(shouting, items, progress=False)
    assert fingerprint.tokens is None
    assert verify(fingerprint, shouting, progress=False).state == "pass"
    assert verify(fingerprint, str.lower, grade="exact", progress=False).state == "fail"


def test_two_models_at_hand_need_no_file(probes):
    assert compare_models(Threshold(), Threshold(), probes, progress=False).state == "pass"
    found = compare_models(Threshold(), Threshold(at=0.6), probes, progress=False)
    assert found.state == "fail"
    assert found.to_dict()["changed"]


def test_a_grader_of_ones_own_must_be_given_again(probes):
    own = lambda output, item: output == item.reference  # noqa: E731
    fingerprint = record(Threshold(), probes, grade=own, progress=False)
    with pytest.raises(ConfigError, match="give it again"):
        verify(fingerprint, Threshold(), progress=False)
    assert verify(fingerprint, Threshold(), grade=own, progress=False).state == "pass"


def test_options_out_of_range(recorded):
    with pytest.raises(ConfigError, match="tolerance must be at least 0"):
        verify(recorded, Threshold(), tolerance=-1)
    with pytest.raises(ConfigError, match="alpha must lie"):
        verify(recorded, Threshold(), alpha=1.0)


# -- claims in files ----------------------------------------------------------------------------------------


def test_claims_of_a_file(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(
        "claims:\n- {metric: acc, value: 0.93, n: 100}\n- {metric: ECE, value: 0.02, where: test}\n"
    )
    first, second = read_claims(path)
    assert (first.metric, first.n) == ("accuracy", 100)
    assert (second.metric, second.where) == ("calibration_error", "test")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("claims: []", DataError, "holds no claims"),
        ("claims: [{metric: accuracy}]", ConfigError, "claim 1 must have a metric and a value"),
        ("claims: [{metric: accuracy, value: 93}]", ConfigError, "between 0 and 1, got 93"),
        ("claims: [{metric: accuracy, value: high}]", ConfigError, "a number"),
        ("claims: [{metric: accuracy, value: .9, split: x}]", ConfigError, "has 'split'; allowed are metric"),
        ("claims: [{metric: accuracy, value: .9, n: 0}]", ConfigError, "whole number"),
        ("claims: [", DataError, "cannot be read as YAML"),
    ],
)
def test_claims_that_are_not_understood(tmp_path, text, error, message):
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        read_claims(path)


def test_a_card_without_figures_and_a_file_that_is_not_there(tmp_path):
    (tmp_path / "README.md").write_text("# A model\n\nIt is good.\n")
    with pytest.raises(DataError, match="model-index"):
        read_claims(tmp_path)
    with pytest.raises(DataError, match="no file of claims"):
        read_claims(tmp_path / "claims.json")


def test_a_card_may_hold_texts_beside_figures(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nmodel-index:\n- name: m\n  results:\n  - dataset: {name: d}\n    metrics:\n"
        "    - {type: accuracy, value: 0.5}\n    - {type: accuracy, value: good}\n    - {type: loss, value: 2.5}\n---\n"
    )
    assert [(c.metric, c.value) for c in read_claims(tmp_path)] == [("accuracy", 0.5), ("loss", 2.5)]


def test_repeats_can_be_left_out(probes):
    fingerprint = record(Threshold(), probes, noise=False, progress=False)
    assert fingerprint.about["noise"] == {"repeats": []}
    assert fingerprint.answers["repeats"].to_list() == [0] * N
    assert verify(fingerprint, Threshold(), progress=False).state == "pass"
    assert isinstance(fingerprint.answers, pl.DataFrame)
