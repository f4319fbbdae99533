"""The grid of strategies: what is shown, how it is written, how answers vote, and what is asked again."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics.pairwise import cosine_similarity

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.items import Items
from concordant.core.model import Completion
from concordant.explanations.mechanisms.cells import cells_of
from concordant.explanations.mechanisms.circuit import CircuitModel
from concordant.explanations.mechanisms.demonstrations import chosen_demonstrations, flux_of, tfidf
from concordant.explanations.mechanisms.prompt_grid import strategy_grid
from concordant.explanations.mechanisms.strategies import Strategy, Wording, all_strategies

ITEMS = Items.from_records(
    [
        {"id": "a", "input": "2 + 2", "reference": "4", "size": 2, "topic": "sums"},
        {"id": "b", "input": "2 + 7", "reference": "9", "size": 7, "topic": "sums"},
        {"id": "c", "input": "3 * 3", "reference": "9", "size": 3, "topic": "products"},
    ]
)
SHOWN = Items.from_records(
    [
        {"input": "1 + 7", "reference": "8", "solution": "1, 8", "topic": "sums"},
        {"input": "2 + 2", "reference": "4", "solution": "2, 4", "topic": "sums"},
        {"input": "3 * 2", "reference": "6", "solution": "3, 6", "topic": "products"},
    ]
)


class Asked:
    """A language model that keeps its prompts and answers by a function of prompt and sample."""

    name = "asked"
    fingerprint = "asked-1"

    def __init__(self, answer):
        self.answer, self.prompts = answer, []

    def generate(self, prompts, *, n=1, temperature=0.0, max_tokens=256, seed=0, stop=()):
        self.prompts += [(prompt, n, temperature, tuple(stop)) for prompt in prompts]
        return [[Completion(self.answer(prompt, i), tokens=3) for i in range(n)] for prompt in prompts]

    def score(self, prompts, completions):
        raise NotImplementedError


def test_default_flux_is_the_cosine_of_words() -> None:
    questions, pool = ITEMS.inputs.to_list(), SHOWN.inputs.to_list()
    rows = tfidf(questions + pool)
    np.testing.assert_allclose(flux_of(questions, pool), cosine_similarity(rows[:3], rows[3:]))


@given(arrays(float, (5, 3), elements=st.floats(-5, 5)))
def test_flux_is_a_projection(vectors) -> None:
    flux = flux_of(["q", "r"], ["a", "b", "c"], lambda _: vectors)
    for i in range(2):
        length = np.linalg.norm(vectors[i])
        expected = vectors[2:] @ vectors[i] / (length or 1.0)
        np.testing.assert_allclose(flux[i], expected, atol=1e-9)


def test_embeddings_must_fit() -> None:
    with pytest.raises(DataError, match=r"of 2 texts must be finite and of shape \(2, d\), got \(1, 2\)"):
        flux_of(["a"], ["b"], lambda _: np.zeros((1, 2)))


def test_nearest_and_reverse_by_hand() -> None:
    flux = np.array([[0.3, 0.1, 0.9, 0.5]])
    assert chosen_demonstrations(flux, 3, "nearest").tolist() == [[0, 3, 2]]
    assert chosen_demonstrations(flux, 2, "reverse").tolist() == [[1, 0]]
    may = np.array([[True, True, False, True]])
    assert chosen_demonstrations(flux, 1, "nearest", allowed=may).tolist() == [[3]]
    with pytest.raises(DataError, match="question 0 may be shown 3 demonstrations, and 4 are wanted"):
        chosen_demonstrations(flux, 4, "random", allowed=may)


def test_fewer_random_demonstrations_are_among_more() -> None:
    flux = np.random.default_rng(0).random((20, 9))
    two, five = (chosen_demonstrations(flux, k, "random", seed=3) for k in (2, 5))
    assert all(set(few) <= set(many) for few, many in zip(two.tolist(), five.tolist(), strict=True))
    assert (chosen_demonstrations(flux, 5, "random", seed=4) != five).any()
    along = np.take_along_axis(flux, five, 1)
    assert (np.diff(along, axis=1) >= 0).all()


def test_names_and_bounds_of_strategies() -> None:
    assert len(all_strategies(ks=(0, 1, 4), samples=(1, 3))) == 2 * 2 * (1 + 2 * 3)
    names = [one.name for one in all_strategies(ks=(0, 1, 4), samples=(1, 3))]
    assert len(set(names)) == len(names)
    for options in ({"reasoning": "step"}, {"choice": "near"}, {"k": -1}, {"samples": 0}):
        with pytest.raises(ConfigError, match="of a strategy must be"):
            Strategy(**options)


def test_prompts_end_where_the_answer_begins() -> None:
    wording = Wording(
        direct="{input} = {reference}", steps="{input} : {solution} = {reference}", separator=" ; "
    )
    shown = [{"input": "1 + 7", "reference": "8", "solution": "1, 8"}]
    assert wording.prompt("direct", {"input": "2 + 2"}, shown) == "1 + 7 = 8 ; 2 + 2 ="
    assert wording.prompt("steps", {"input": "2 + 2"}, shown) == "1 + 7 : 1, 8 = 8 ; 2 + 2 :"
    told = Wording(steps_instruction="Think.").prompt("steps", {"input": "{reference}"}, [])
    assert told == "Think.\n\nQuestion: {reference}\nSolution:"
    with pytest.raises(DataError, match="a demonstration has no solution"):
        wording.prompt("steps", {"input": "2"}, [{"input": "1", "reference": "1"}])
    with pytest.raises(ConfigError, match="wording direct must have the fields"):
        Wording(direct="{input}")


def test_every_item_is_asked_under_every_strategy() -> None:
    model = Asked(lambda prompt, _: "4" if prompt.endswith("2 + 2\nAnswer:") else "so 9")
    strategies = [Strategy(), Strategy("steps", 1, "nearest"), Strategy(k=1, choice="reverse")]
    rows = strategy_grid(
        model, ITEMS, strategies, demonstrations=SHOWN, descriptors=["size"], within="topic", progress=False
    )
    assert rows.columns == [
        "item", "strategy", "reasoning", "k", "choice", "samples", "flux", "size", "tokens", "right"
    ]  # fmt: skip
    assert rows.filter(pl.col("strategy") == "direct")["right"].to_list() == [True, True, True]
    assert rows.filter(pl.col("reasoning") == "steps")["right"].to_list() == [False, True, True]
    assert rows["tokens"].unique().to_list() == [3]
    nearest = [prompt for prompt, *_ in model.prompts[3:6]]
    assert nearest[0].startswith("Question: 1 + 7\nSolution: 1, 8\nAnswer: 8")  # not the question itself
    assert nearest[1].startswith("Question: 2 + 2")  # "2" is the rarer word
    assert nearest[2].startswith("Question: 3 * 2")  # the only one of its topic
    assert all(call[1:] == (1, 0.0, ("Question:",)) for call in model.prompts)
    flux = rows.filter(pl.col("k") == 0)["flux"]
    assert flux.to_list() == [0.0] * 3


def test_samples_vote_and_ties_go_to_the_first() -> None:
    answers = {"2 + 2": ["5", "4", "4"], "2 + 7": ["9", "8", "7"], "3 * 3": ["none", "none", "9"]}

    def answer(prompt, i):
        return next(given[i] for question, given in answers.items() if question in prompt)

    model = Asked(answer)
    rows = strategy_grid(model, ITEMS, [Strategy(samples=3)], temperature=0.5, progress=False)
    assert rows["right"].to_list() == [True, True, True]
    assert rows["tokens"].to_list() == [9, 9, 9]
    assert model.prompts[0][1:3] == (3, 0.5)


def test_what_is_recorded_is_not_asked_again(tmp_path) -> None:
    model = Asked(lambda *_: "9")
    grid = [Strategy(), Strategy(k=2)]
    first = strategy_grid(
        model, ITEMS, grid[:1], demonstrations=SHOWN, folder=tmp_path / "run", progress=False
    )
    assert len(model.prompts) == 3
    both = strategy_grid(model, ITEMS, grid, demonstrations=SHOWN, folder=tmp_path / "run", progress=False)
    assert len(model.prompts) == 6
    assert both.filter(pl.col("k") == 0).equals(first)
    again = strategy_grid(model, ITEMS, grid, demonstrations=SHOWN, folder=tmp_path / "run", progress=False)
    assert again.equals(both)
    assert len(model.prompts) == 6


def test_functions_are_models_too_and_tokens_are_then_unknown() -> None:
    rows = strategy_grid(lambda _: "9", ITEMS, [Strategy()], grader="number", progress=False)
    assert rows["right"].to_list() == [False, True, True]
    assert rows["tokens"].null_count() == 3
    cells = cells_of(rows.drop("tokens"), ["strategy"])
    assert cells.select("n", "n_right").row(0) == (3, 2)
    CircuitModel(starts=1).fit(cells)


def test_what_cannot_be_asked_is_said() -> None:
    with pytest.raises(ConfigError, match="each once, got direct, direct"):
        strategy_grid(str, ITEMS, [Strategy(), Strategy()])
    with pytest.raises(DataError, match="but none were given"):
        strategy_grid(str, ITEMS, [Strategy(k=1)])
    bare = Items(SHOWN.frame.drop("solution"))
    with pytest.raises(DataError, match="the demonstrations have no column 'solution'"):
        strategy_grid(str, ITEMS, [Strategy("steps", 1)], demonstrations=bare)
    with pytest.raises(DataError, match="the items have no column 'sizes'; did you mean size"):
        strategy_grid(str, ITEMS, [Strategy()], descriptors=["sizes"])
    with pytest.raises(DataError, match="inputs of the items must be texts"):
        strategy_grid(str, Items.from_arrays(np.zeros((2, 3)), [0, 1]), [Strategy()])

    class Down(Asked):
        def generate(self, prompts, *, n=1, **_):
            return [[Completion("", error="busy")] * n for _ in prompts]

    with pytest.raises(ModelError, match="under 'direct' answered nothing: busy"):
        strategy_grid(Down(None), ITEMS, [Strategy()], progress=False)
