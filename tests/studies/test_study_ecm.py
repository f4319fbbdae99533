"""The study of the circuit: chains and their texts, what a model is taught and asked, and laws on a made grid."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.mechanisms import all_strategies
from concordant.studies import chained_sums as sums
from concordant.studies import ecm as study
from concordant.studies.study import Scale


def drawn(n=6, k=9, seed=0):
    rng = np.random.default_rng(seed)
    return sums.chains(sums.worlds(n, rng), rng.integers(sums.TERMS + 1, size=(n, k)), rng)


def test_totals_by_python() -> None:
    rng = np.random.default_rng(1)
    worth = sums.worlds(4, rng)
    made = sums.chains(worth, rng.integers(6, size=(4, 7)), rng)
    for world in range(4):
        for i in range(7):
            totals = [int(worth[world, made.letters[world, i]])]
            for term in made.terms[world, i].tolist():
                totals.append((totals[-1] + term) % sums.DIAL)
            assert made.totals[world, i].tolist() == totals
            assert not made.terms[world, i, made.lengths[world, i] :].any()


def test_letters_have_their_usual_number_as_often_as_is_said() -> None:
    worth = sums.worlds(20_000, np.random.default_rng(0))
    usual = (worth == np.arange(len(sums.LETTERS))).mean()
    assert usual == pytest.approx(sums.USUAL + (1 - sums.USUAL) / sums.DIAL, abs=0.01)


@pytest.mark.parametrize("written", [True, False])
def test_what_is_asked_is_what_was_taught(written) -> None:
    """Prompts of the grid, cut into words, are the rows that the decoder learns."""
    made = drawn()
    tokens, learnt = sums.rows_of(made, written=written)
    rows = sums.items_of(made).frame.to_dicts()
    encode = sums._tokenizer()
    for world in range(6):
        *shown, asked = rows[9 * world : 9 * world + 9]
        prompt = sums.WORDING.prompt("steps" if written else "direct", asked, shown)
        answer = f"{asked['solution']} {asked['reference']}" if written else asked["reference"]
        assert encode(f"{prompt} {answer} .").input_ids == tokens[world].tolist()
        n_answer = len(answer.split()) + 1
        assert learnt[world, -n_answer:].all()
        assert not learnt[world, -n_answer - sums.TERMS - 2 : -n_answer].any()


def test_solutions_end_before_the_answer() -> None:
    for row in sums.items_of(drawn()).frame.to_dicts():
        *terms, letter = row["input"].split()
        assert letter in sums.LETTERS
        assert sum(term != "-" for term in terms) == row["length"]
        totals = [int(word) for word in [*row["solution"].split(), row["reference"]]]
        added = [0 if term == "-" else int(term) for term in terms]
        assert all((a + t) % sums.DIAL == b for a, t, b in zip(totals, added, totals[1:], strict=False))


def test_lessons_are_drawn_by_the_generator() -> None:
    lessons = sums.Lessons(4, 2)
    first, again, other = (list(lessons(torch.Generator().manual_seed(seed))) for seed in (0, 0, 1))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert any(
        a[0].shape != b[0].shape or not torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=True)
    )


def test_a_seed_decides_what_is_taught() -> None:
    first, again, other = (
        sums.taught_model(width=16, layers=1, steps=3, contexts=2, rate=1e-2, seed=seed) for seed in (0, 0, 1)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint
    answer = first.generate(["! - - - - - A"], max_tokens=8)[0][0]
    assert set(answer.text.split()) <= set(sums.WORDS)


def made_grid(seed=0):
    """Return a grid of answers drawn from a law of flux, length and reasoning."""
    rng = np.random.default_rng(seed)
    rows = []
    for one in all_strategies(ks=(0, 1, 2, 4)):
        for length in range(1, 6):
            flux = one.k * {"random": 0.5, "nearest": 0.9, "reverse": 0.1}[one.choice]
            logit = flux - (0.8 if one.reasoning == "direct" else 0.2) * length
            rows += [
                {
                    "item": f"{length}-{i}",
                    "strategy": one.name,
                    "reasoning": one.reasoning,
                    "k": one.k,
                    "choice": one.choice,
                    "samples": 1,
                    "flux": flux,
                    "length": length,
                    "tokens": 2 if one.reasoning == "direct" else 8,
                    "right": bool(rng.random() < 1 / (1 + np.exp(-logit))),
                }
                for i in range(25)
            ]
    rows.append({**rows[-1], "samples": 3, "strategy": "a vote"})
    return pl.DataFrame(rows)


def test_laws_on_a_made_grid() -> None:
    grid = made_grid()
    found = study.measured(grid, ("length",), starts=1, seed=0)
    assert found["circuit.rank_score"] > 0.8
    assert found["logistic.rank_score"] > 0.8
    assert found["constant.rank_score"] == 0
    assert found["constant.auroc"] == 0.5
    assert found["published.rank_score"] == max(
        found["published_bge.rank_score"], found["published_skill.rank_score"]
    )
    shown = grid.filter((pl.col("k") > 0) & (pl.col("samples") == 1))["right"].mean()
    assert found["shown.accuracy"] == pytest.approx(shown)
    assert found["grid.cells"] == 2 * (1 + 3 * 3) * 5 + 1


def test_worked_answers_are_read(tmp_path) -> None:
    path = tmp_path / "gsm.jsonl"
    worked = {"question": "q", "answer": "Half of 48 is <<48/2=24>>24.\nThree are <<24*3=72>>72.\n#### 72"}
    pl.DataFrame([worked]).write_ndjson(path)
    row = study._worked(str(path), 0).frame.row(0, named=True)
    assert row["solution"] == "Half of 48 is 24.\nThree are 72."
    assert (row["reference"], row["operations"], row["largest"]) == ("72", 2, 72.0)
    pl.DataFrame([{"question": "q", "answer": "72"}]).write_ndjson(path)
    with pytest.raises(DataError, match="must end in '#### NUMBER'"):
        study._worked(str(path), 0)


def test_full_scale_says_what_it_needs(monkeypatch) -> None:
    for name in study.NAMES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="at full scale needs a language model"):
        study.ecm(Scale.full, 0)


def test_full_scale_asks_a_model_of_yours(tmp_path, monkeypatch) -> None:
    rows = [
        {"question": f"what is {a} + 2 ?", "answer": f"It is <<{a}+2={a + 2}>>{a + 2}.\n#### {a + 2}"}
        for a in range(9)
    ]
    pl.DataFrame(rows).write_ndjson(tmp_path / "gsm.jsonl")
    monkeypatch.setenv("CONCORDANT_ECM_MODEL", "pocket:250k-base")
    for name in ("CONCORDANT_ECM_SHOWN", "CONCORDANT_ECM_TEST"):
        monkeypatch.setenv(name, str(tmp_path / "gsm.jsonl"))
    monkeypatch.setattr(study, "FULL_ITEMS", 3)
    monkeypatch.setattr(study, "FULL_TOKENS", 4)
    grid = study._your_grid(study.Sizes(ks=(0, 1), voted_ks=(1,), samples=2), 0)
    assert len(grid) == 3 * (2 * (1 + 3) + 2)
    assert grid["operations"].unique().to_list() == [1]
    assert set(grid["samples"]) == {1, 2}
