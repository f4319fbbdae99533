"""Conflicts between context and memory: how they are built, where answers come from, and sweeps over heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import concordant as cc
from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.statistics import wilson
from concordant.explanations.mechanisms import (
    Conflicts,
    FactConflict,
    HeadChoice,
    HeadSweep,
    Recall,
    contradicted,
    frequency_correlation,
    head_sweep,
    known_conflicts,
    recall,
)
from concordant.explanations.mechanisms.conflicts import next_tokens
from concordant.explanations.mechanisms.decoder import module_of
from concordant.explanations.mechanisms.sources import sources_of


class Scripted(torch.nn.Module):
    """A model of texts whose next token is looked up by the whole row, and else token 0."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers
        self.embedding = torch.nn.Embedding.from_pretrained(torch.zeros(256, 2))
        self.config, self.device = None, torch.device("cpu")

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, attention_mask, position_ids, use_cache=True):
        logits = torch.zeros(*input_ids.shape, 256)
        for i, (row, mask) in enumerate(zip(input_ids.tolist(), attention_mask.tolist(), strict=True)):
            text = bytes(token for token, real in zip(row, mask, strict=True) if real).decode()
            logits[i, -1, self.answers.get(text, 0)] = 1
        return type("Output", (), {"logits": logits})


class Bytes:
    """Texts as their bytes."""

    def encode(self, prompts):
        return [list(prompt.encode()) for prompt in prompts]

    def encode_pairs(self, prompts, completions):
        pairs = zip(prompts, completions, strict=True)
        return [list((p + c).encode()) for p, c in pairs], [len(p) for p in prompts]


class LanguageModel:
    def __init__(self, answers):
        self.model, self.tokens = Scripted(answers), Bytes()


FACTS = {"fr": "paris", "it": "rome", "es": "madrid", "mt": "misida"}


def test_facts_are_contradicted_by_the_answers_of_others() -> None:
    made = contradicted(FACTS, context="{entity}:{answer};", question="{entity}:", per_entity=2, seed=3)
    assert len(made) == 8
    for one in made:
        assert one.memorised == f" {FACTS[one.entity]}"
        assert one.in_context.strip() in set(FACTS.values()) - {FACTS[one.entity]}
        assert one.prompt == f"{one.entity}:{one.in_context.strip()};{one.question}"
    assert len({(one.entity, one.in_context) for one in made}) == 8
    assert made == contradicted(
        FACTS, context="{entity}:{answer};", question="{entity}:", per_entity=2, seed=3
    )


def test_there_are_no_more_false_answers_than_there_are_others() -> None:
    assert len(contradicted(FACTS, per_entity=9)) == 4 * 3
    assert len(contradicted({"fr": "paris"}, answers=["paris", "oslo"], per_entity=9)) == 1
    with pytest.raises(ConfigError, match=r"the context of conflicts must have \{answer\}"):
        contradicted(FACTS, context="no")


def test_only_what_is_known_and_can_be_told_apart_is_kept() -> None:
    def ask(entity, true, false):
        return FactConflict(entity, f"{entity}:", f"{entity}:{false};{entity}:", true, false)

    facts = [
        ask("fr", "paris", "rome"),
        ask("fr", "paris", "prague"),  # begins alike
        ask("it", "rome", "paris"),  # not known
        ask("es", "madrid", "rome"),
    ]
    known = {"fr:": ord("p"), "it:": ord("x"), "es:": ord("m")}
    found = known_conflicts(LanguageModel(known), facts)
    assert found.dropped == {"not_known": 1, "same_first_token": 1}
    assert list(found.entities) == ["fr", "es"]
    assert found.memorised.tolist() == [ord("p"), ord("m")]
    assert found.in_context.tolist() == [ord("r"), ord("r")]
    assert [bytes(row).decode() for row in found.rows] == ["fr:rome;fr:", "es:rome;es:"]
    with pytest.raises(DataError, match="no conflict is left of 4: not_known 3, same_first_token 1"):
        known_conflicts(LanguageModel({}), facts)
    with pytest.raises(ModelError, match="need a language model with its tokenizer, got Scripted"):
        known_conflicts(Scripted(known), facts)
    with pytest.raises(DataError, match="an answer needs one token at least, got ''"):
        known_conflicts(LanguageModel({}), [ask("fr", "", "rome")])


def test_recall_reads_the_first_token() -> None:
    conflicts = Conflicts([[97], [98], [99]], [7, 7, 7], [8, 8, 8], ["a", "b", "c"])
    found = recall(Scripted({"a": 7, "b": 8, "c": 9}), conflicts)
    assert found.sources.tolist() == [0, 1, 2]
    table = found.table()
    assert table["source"].to_list() == ["in_context", "memorised", "other"]
    low, high = wilson(1, 3)
    np.testing.assert_allclose(table["rate"], 1 / 3)
    np.testing.assert_allclose(table["low"], low)
    np.testing.assert_allclose(table["high"], high)
    assert sources_of(np.array([[7, 7, 7], [0, 8, 7]]), conflicts).tolist() == [[0, 0, 0], [2, 1, 0]]


def test_items_of_one_entity_are_one_cluster() -> None:
    sources = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int8)
    apart, together = Recall(sources, list("abcdefgh")), Recall(sources, list("aabbccdd"))
    assert apart.rate().n_clusters is None
    assert together.rate().n_clusters == 4
    assert together.rate().high > apart.rate().high
    assert together.rate().value == 0.5


def test_a_change_is_in_pairs() -> None:
    before = Recall(np.array([1, 1, 1, 0], np.int8), list("abcd"))
    after = Recall(np.array([0, 0, 2, 0], np.int8), list("abcd"))
    assert after.change(before).value == 0.5
    assert after.change(before, "memorised").value == -0.75
    assert after.change(before, "other").value == 0.25
    with pytest.raises(DataError, match="same conflicts in the same order"):
        after.change(Recall(before.sources, list("abce")))
    with pytest.raises(DataError, match="there is no source 'memorized'; did you mean memorised"):
        after.rate("memorized")


def test_frequency_goes_by_what_was_counted() -> None:
    found = Recall(np.array([0, 0, 0, 1, 1, 1], np.int8), list("aabbcc"))
    falling = frequency_correlation(found, [100, 100, 10, 10, 1, 1])
    assert falling.value == pytest.approx(1.0)
    same = frequency_correlation(found, np.log([100, 100, 10, 10, 1, 1]))
    assert same.value == falling.value  # ranks know no logarithm
    by_answer = frequency_correlation(found, [1, 2, 3, 3, 2, 1], of=list("xyzzyx"))
    assert by_answer.value == 0.0  # each answer is copied half of the time
    with pytest.raises(DataError, match="each of 6 items needs a frequency, got 2 of 6"):
        frequency_correlation(found, [1, 2])
    with pytest.raises(DataError, match="three different things that were counted, got 2"):
        frequency_correlation(found, [1] * 6, of=list("xxxyyy"))


@settings(max_examples=30)
@given(
    entities=st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=20).filter(lambda e: len(set(e)) > 1),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_a_split_keeps_entities_together_and_all_items(entities, share, seed) -> None:
    n = len(entities)
    conflicts = Conflicts([[i] for i in range(n)], np.zeros(n), np.ones(n), entities)
    first, second = conflicts.split(share, seed=seed)
    assert len(first)
    assert len(second)
    assert not set(first.entities) & set(second.entities)
    assert sorted(row[0] for part in (first, second) for row in part.rows) == list(range(n))
    assert first.rows == conflicts.split(share, seed=seed)[0].rows


def test_what_is_no_conflict() -> None:
    with pytest.raises(DataError, match="got 1 rows, 1 in_context, 2 memorised, 1 entities"):
        Conflicts([[1]], [1], [2, 3], ["a"])
    with pytest.raises(DataError, match="got 0 rows"):
        Conflicts([], [], [], [])
    with pytest.raises(DataError, match="must begin with different tokens, got 5 twice in row 1"):
        Conflicts([[1], [2]], [4, 5], [6, 5], ["a", "b"])
    conflicts = Conflicts([[1], [2]], [4, 5], [6, 6], ["a", "a"])
    with pytest.raises(DataError, match="two entities at least, got 1"):
        conflicts.split()
    with pytest.raises(ConfigError, match="between 0 and 1, got 1"):
        conflicts.split(1.0)


@pytest.fixture(scope="module")
def model():
    return cc.load("pocket:250k-base")


@pytest.fixture(scope="module")
def conflicts(model):
    """Rows whose answer in the context is what the model says untouched."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(4, 200, size=length).tolist() for length in (3, 5, 5, 4, 6, 3)]
    answers = next_tokens(module_of(model), rows)
    return Conflicts(rows, answers, answers + 1, list("aabbcc"))


def test_a_sweep_is_recall_with_each_head_at_each_scale(model, conflicts) -> None:
    sweep = head_sweep(model, conflicts, scales=[0.0, 8.0], batch_size=5, progress=False)
    assert sweep.sources.shape == (12, 2, 6)
    assert sweep.untouched.rate().value == 1
    for layer, head in ((0, 0), (1, 3), (2, 1)):
        for scale in (0.0, 8.0):
            alone = recall(model, conflicts, scales={(layer, head): scale})
            assert sweep.recall(layer, head, scale).sources.tolist() == alone.sources.tolist()


def test_batches_of_any_size_give_the_same_answers(model, conflicts) -> None:
    sweeps = [
        head_sweep(
            model, conflicts, scales=[-2.0, 3.0], heads=[(0, 1), (2, 2)], batch_size=size, progress=False
        )
        for size in (1, 4, 64)
    ]
    for sweep in sweeps[1:]:
        assert (sweep.sources == sweeps[0].sources).all()
    assert (sweeps[0].sources != 0).any()  # scaling changes some answers


def made_sweep():
    """Three heads at two scales, four items of two entities each."""
    sources = np.array(
        [
            [[0, 0, 0, 0], [0, 0, 0, 1]],
            [[0, 0, 1, 1], [0, 0, 0, 0]],
            [[1, 1, 1, 1], [2, 2, 0, 0]],
        ],
        np.int8,
    )
    untouched = Recall(np.array([0, 1, 1, 1], np.int8), list("aabb"))
    return HeadSweep(untouched, ((0, 0), (0, 1), (1, 0)), (-1.0, 2.0), sources, (2, 2))


def test_the_best_head_has_the_extreme_rate_and_the_mildest_scale() -> None:
    sweep = made_sweep()
    np.testing.assert_allclose(sweep.rates(), [[1, 0.75], [0.5, 1], [0, 0.5]])
    assert sweep.best() == HeadChoice(0, 1, 2.0)  # as high as (0, 0) at -1, which is further from 1
    assert sweep.best(head=(0, 0)) == (0, 0, -1.0)
    assert sweep.best(lowest=True) == (1, 0, -1.0)
    assert sweep.best(lowest=True, scales=[2.0]) == (0, 0, 2.0)  # (1, 0) at 2 says other things
    assert sweep.best(lowest=True, scales=[2.0], most_other=0.5) == (1, 0, 2.0)
    assert sweep.best("memorised", scales=[2.0]).scales == {(0, 0): 2.0}
    with pytest.raises(DataError, match=r"no scale of head \(1, 0\) keeps other answers within 0.1"):
        sweep.best(head=(1, 0), scales=[2.0])
    with pytest.raises(DataError, match=r"head \(1, 1\) was not scaled; 3 heads were"):
        sweep.best(head=(1, 1))
    with pytest.raises(DataError, match="the scale 3 was not measured; these were: -1, 2"):
        sweep.recall(0, 0, 3.0)


def test_a_head_is_compared_with_the_mean_of_the_others() -> None:
    found = made_sweep().against_others(0, 0, -1.0)
    assert found.value == pytest.approx(1 - (0.5 + 0) / 2)
    assert found.n_clusters == 2
    alone = HeadSweep(made_sweep().untouched, ((0, 0),), (2.0,), made_sweep().sources[:1, 1:], (1, 1))
    with pytest.raises(DataError, match="where others were scaled, too"):
        alone.against_others(0, 0, 2.0)


def test_the_grid_and_the_table_have_the_rates() -> None:
    sweep = made_sweep()
    grid = sweep.grid(2.0)
    np.testing.assert_allclose(grid[[0, 0, 1], [0, 1, 0]], [0.75, 1, 0.5])
    assert np.isnan(grid[1, 1])
    table = sweep.table()
    assert table["change"].abs().is_sorted(descending=True)
    row = table.filter((table["layer"] == 1) & (table["scale"] == 2.0)).row(0, named=True)
    assert row["rate"] == 0.5
    assert row["change"] == 0.25
    assert row["other_rate"] == 0.5
    assert row["change_low"] <= 0.25 <= row["change_high"]
    assert row["n"] == 4


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"scales": []}, ConfigError, "different numbers other than 1"),
        ({"scales": [2, 2]}, ConfigError, "different numbers other than 1"),
        ({"scales": [1]}, ConfigError, "different numbers other than 1"),
        ({"heads": [(3, 0)]}, DataError, r"layer 0 to 2 and head 0 to 3, got \(3, 0\)"),
    ],
)
def test_sweeps_that_cannot_be(model, conflicts, options, error, match) -> None:
    with pytest.raises(error, match=match):
        head_sweep(model, conflicts, progress=False, **options)


def test_recall_takes_one_scaling_for_all_items(model, conflicts) -> None:
    with pytest.raises(DataError, match="the same for all items"):
        recall(model, conflicts, scales=np.ones((6, 3, 4)))
