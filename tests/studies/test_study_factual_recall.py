"""The study of factual recall: its world, how heads and scales are chosen in it, and what it reads at full scale."""

from __future__ import annotations

import json

import numpy as np
import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.mechanisms import HeadSweep, Recall
from concordant.studies.contradicted_facts import (
    BEGIN,
    CONTRADICTED,
    FIRST_ID,
    FOLLOWED,
    INTRODUCED,
    STOP,
    ContradictedFacts,
    known_entities,
)
from concordant.studies.factual_recall import (
    CONFLICTS,
    MODEL,
    TEXTS,
    _chosen,
    _some_heads,
    effect_rank_score,
    factual_recall,
    read_conflicts,
)
from concordant.studies.small_decoder import new_decoder
from concordant.studies.study import Scale
from concordant.studies.your_models import your_model
from tiny_models import save_gpt2

ENTITIES, N_VALUES, NAMES, RELATIONS = 12, 6, 5, 2
SUBJECTS = FIRST_ID + RELATIONS
VALUES = SUBJECTS + ENTITIES + NAMES


@pytest.fixture(scope="module")
def world():
    return ContradictedFacts.drawn(np.random.default_rng(0), ENTITIES, n_values=N_VALUES, names=NAMES)


def test_each_value_is_the_true_one_of_as_many_entities(world) -> None:
    for relation in range(RELATIONS):
        assert np.bincount(world.values[:, relation], minlength=N_VALUES).tolist() == [2] * N_VALUES
        assert world.value_frequencies(relation).sum() == pytest.approx(1)
    assert world.frequencies[0] / world.frequencies[3] == pytest.approx(4)
    value = world.values[0, 1]
    (other,) = set(np.flatnonzero(world.values[:, 1] == value)) - {0}
    assert world.value_frequencies(1)[value] == pytest.approx(world.frequencies[[0, other]].sum())


def test_texts_are_of_three_kinds_in_their_shares(world) -> None:
    n = 20_000
    texts = world.texts(np.random.default_rng(1), n)
    assert texts.shape == (n, 8)
    assert texts.max() < world.n_words == VALUES + RELATIONS * N_VALUES
    begin, told_of, relation, told, stop, asked, again, answer = texts.T
    assert (begin == BEGIN).all()
    assert (stop == STOP).all()
    assert (relation == again).all()
    told_of, asked, relation = told_of - SUBJECTS, asked - SUBJECTS, relation - FIRST_ID
    told, answer = (value - VALUES - relation * N_VALUES for value in (told, answer))
    assert ((told >= 0) & (told < N_VALUES) & (answer >= 0) & (answer < N_VALUES)).all()
    introduced = asked >= ENTITIES
    contradicted = (told_of == asked) & ~introduced
    recalled = told_of != asked
    assert introduced.mean() == pytest.approx(INTRODUCED, abs=0.02)
    assert contradicted.mean() == pytest.approx(CONTRADICTED, abs=0.02)
    assert (told == answer)[introduced].all()
    for which, told_there in ((told_of, told), (asked, answer)):
        assert (world.values[which[recalled], relation[recalled]] == told_there[recalled]).all()
    true = world.values[asked[contradicted], relation[contradicted]]
    assert (told[contradicted] != true).all()
    follows = answer[contradicted] == told[contradicted]
    assert follows.mean() == pytest.approx(FOLLOWED, abs=0.03)
    assert (answer[contradicted][~follows] == true[~follows]).all()
    counts = np.bincount(asked[recalled], minlength=ENTITIES) / recalled.sum()
    np.testing.assert_allclose(counts, world.frequencies, atol=0.02)


def test_conflicts_state_a_false_value_and_ask_for_the_true_one(world) -> None:
    known = np.arange(ENTITIES) % 3 == 0
    conflicts, false = world.conflicts(np.random.default_rng(2), 1, 3, known)
    assert len(conflicts) == 3 * known.sum()
    first = VALUES + N_VALUES  # of the second relation
    for row, new, old, entity, value in zip(
        conflicts.rows, conflicts.in_context, conflicts.memorised, conflicts.entities, false, strict=True
    ):
        subject = SUBJECTS + int(entity)
        assert row == [BEGIN, subject, FIRST_ID + 1, new, STOP, subject, FIRST_ID + 1]
        assert old == first + world.values[int(entity), 1]
        assert new == first + value != old
    assert {int(entity) for entity in conflicts.entities} == set(np.flatnonzero(known))
    assert len({(e, f) for e, f in zip(conflicts.entities, false.tolist(), strict=True)}) == len(conflicts)


def test_questions_contradict_nothing(world) -> None:
    questions = world.questions(0)
    assert questions.shape == (ENTITIES, 7)
    told_of, told, asked = questions[:, 1] - SUBJECTS, questions[:, 3] - VALUES, questions[:, 5] - SUBJECTS
    assert asked.tolist() == list(range(ENTITIES))
    assert (told_of != asked).all()
    assert (told == world.values[told_of, 0]).all()
    model = new_decoder(world.n_words, width=8, layers=1, heads=2, positions=8, seed=0)
    assert known_entities(model, world, 0).shape == (ENTITIES,)


def made_sweep(others):
    """Two heads at two scales: the first at 2 copies half, at 5 all of the time but for other answers."""
    sources = np.zeros((2, 2, 4), np.int8)
    sources[0, 0] = [0, 0, 1, 1]
    sources[0, 1, 4 - others :] = 2
    sources[1] = 1
    untouched = Recall(np.ones(4, np.int8), list("abcd"))
    return HeadSweep(untouched, ((0, 0), (0, 1)), (2.0, 5.0), sources, (1, 2))


def test_scales_that_break_the_model_are_not_chosen_unless_all_do() -> None:
    assert _chosen(made_sweep(0), (0, 0), (2.0, 5.0), lowest=False).scale == 5
    assert _chosen(made_sweep(1), (0, 0), (2.0, 5.0), lowest=False).scale == 2
    assert _chosen(made_sweep(1), (0, 0), (5.0,), lowest=False).scale == 5


def test_the_rank_of_effects() -> None:
    sweep = made_sweep(0)
    assert effect_rank_score(np.array([1.0, 0.0]), sweep, 5.0) == 1
    assert effect_rank_score(np.array([0.0, 1.0]), sweep, 5.0) == -1
    assert effect_rank_score(np.array([1.0, 1.0]), sweep, 5.0) == 0


def test_other_heads_are_all_or_drawn() -> None:
    every = _some_heads((2, 3), [(0, 1), (1, 2)], None, 0)
    assert every[:2] == [(0, 1), (1, 2)]
    assert sorted(every) == [(layer, head) for layer in range(2) for head in range(3)]
    some = _some_heads((2, 3), [(0, 1), (0, 1)], 2, 0)
    assert some[0] == (0, 1)
    assert len(set(some)) == len(some) == 3


def test_rates_are_rates_and_add_up() -> None:
    found = factual_recall(Scale.smoke, 1000)
    for name, value in found.items():
        if name.endswith("in_context_rate") and name.replace("in_context", "other") in found:
            parts = [found[name.replace("in_context", s)] for s in ("in_context", "memorised", "other")]
            assert sum(parts) == pytest.approx(1)
        if name.endswith("_rate"):
            assert 0 <= value <= 1, name


def test_conflicts_are_read_with_their_relations(tmp_path) -> None:
    path = tmp_path / "conflicts.json"
    rows = [
        {
            "subject": subject,
            "base_prompt": f"{subject} is in",
            "prompt": f"Redefine: {subject} is in Rome. {subject} is in",
            "target_true": " Paris",
            "target_new": " Rome",
        }
        for subject in ("Lyon", "Nice")
    ]
    path.write_text(json.dumps(rows))
    facts, relations = read_conflicts(path)
    assert [fact.entity for fact in facts] == ["Lyon", "Nice"]
    assert facts[0].prompt.endswith(facts[0].question)
    assert relations == ["{} is in"] * 2
    for wrong in ("{}", "[{}]", "no", '[{"subject": 1}]', "[]"):
        path.write_text(wrong)
        with pytest.raises(DataError, match="must be a list of objects with subject, base_prompt, prompt"):
            read_conflicts(path)
    with pytest.raises(ConfigError, match=f"{CONFLICTS} must name a file"):
        read_conflicts(tmp_path / "none.json")


def test_full_scale_runs_on_what_is_named(tmp_path, monkeypatch) -> None:
    """On a tiny model that knows one fact of each relation: its conflicts are those of the facts it happens to give."""
    folder = save_gpt2(tmp_path / "model")
    model = your_model(folder)
    letters, digits = "abcdefghijklmnop", "0123456789"
    questions = [f"{letter} {where}" for where in ("x", "y") for letter in letters]
    answers = [one[0].text.strip()[:1] for one in model.generate(questions, max_tokens=1)]
    rows = [
        {
            "subject": question[0],
            "base_prompt": question,
            "prompt": f"{question} {digits[i % 10]} {question}",
            "target_true": answer,
            "target_new": digits[i % 10],
        }
        for i, (question, answer) in enumerate(zip(questions, answers, strict=True))
        if answer
    ]
    (tmp_path / "conflicts.json").write_text(json.dumps(rows))
    (tmp_path / "texts.txt").write_text("a 7 b 8 c c d")
    for name, value in ((MODEL, folder), (CONFLICTS, "conflicts.json"), (TEXTS, "texts.txt")):
        monkeypatch.setenv(name, str(tmp_path / value))
    found = factual_recall(Scale.full, 1000)
    assert 0 <= found["second.copy_up.in_context_rate"] <= 1
    assert found["copy_up.scale"] in (2, 3, 5)


def test_what_full_scale_needs(monkeypatch) -> None:
    for name in (MODEL, CONFLICTS, TEXTS):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=f"there is no {MODEL} and no {CONFLICTS} and no {TEXTS}"):
        factual_recall(Scale.full, 0)
