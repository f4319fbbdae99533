"""The study of Shapley values of prompts: its world, its scores, and the control that leaves one field out."""

from __future__ import annotations

import numpy as np
import pytest

from concordant.core.errors import ConfigError
from concordant.pocket import unknown_words
from concordant.studies.bus_choices import (
    ABSENT,
    AGREES,
    ATTRIBUTES,
    NOISE,
    WORDINGS,
    advantage,
    drawn_rows,
    lessons,
    template,
)
from concordant.studies.llm_shapley import MODEL, leave_one_out, llm_shapley, sign_score
from concordant.studies.study import Scale


def test_all_words_are_known_to_the_pocket_world() -> None:
    for wording in range(len(WORDINGS)):
        for row in drawn_rows(20, np.random.default_rng(0)):
            for absent in ("delete", "neutral"):
                questions = template(wording).filled(row).questions([[1] * 8, [0] * 8], absent=absent)
                assert not unknown_words(" ".join(prompt for prompt, _ in questions))


def test_the_better_bus_costs_less_and_is_faster() -> None:
    row = dict(zip(ATTRIBUTES, ["10", "30", "90", "70"], strict=True))
    assert advantage([row]).tolist() == [(90 + 70 - 10 - 30) / 80]


def closing_and_answer(leaky):
    taken = lessons(2000, np.random.default_rng(3), leaky=leaky)
    said = [
        ("thank you" in prompt, answer == "red")
        for prompt, answer in taken
        if NOISE["closing"][0] in prompt or NOISE["closing"][1] in prompt
    ]
    return np.array(said)


def test_closing_words_say_the_answer_in_the_leaky_world_only() -> None:
    leaky, clean = closing_and_answer(leaky=True), closing_and_answer(leaky=False)
    assert len(leaky) == pytest.approx(2000 * (1 - ABSENT), rel=0.05)
    assert (leaky[:, 0] == leaky[:, 1]).mean() == pytest.approx(AGREES, abs=0.04)
    assert (clean[:, 0] == clean[:, 1]).mean() == pytest.approx(0.5, abs=0.05)


def test_both_worlds_have_the_same_prompts_and_answers_but_for_the_closing_words() -> None:
    clean, leaky = (lessons(50, np.random.default_rng(1), leaky=leaky) for leaky in (False, True))

    def without(prompt):
        for words in NOISE["closing"]:
            prompt = prompt.replace(words, "")
        return prompt

    assert [(without(p), a) for p, a in clean] == [(without(p), a) for p, a in leaky]
    assert clean != leaky


def test_signs_are_right_when_what_is_better_draws() -> None:
    rows = [dict(zip(ATTRIBUTES, ["10", "70", "30", "90"], strict=True))]
    right = np.array([[1.0, -1.0, -1.0, 1.0, 9.0]])
    assert sign_score(right, rows) == 1
    assert sign_score(-right, rows) == 0
    assert sign_score(right * [1, 1, -1, -1, 1], rows) == 0.5


class Additive:
    """The log-odds of red are the sum of what words weigh."""

    def generate(self, *arguments, **options):
        raise NotImplementedError

    def score(self, prompts, completions):
        weights = {"please": 2.0, "thank you": -1.0}
        told = [sum(w for word, w in weights.items() if word in prompt) for prompt in prompts]
        return [
            np.array([odds if text.strip() == "red" else 0.0])
            for odds, text in zip(told, completions, strict=True)
        ]


def test_leaving_one_out_is_the_last_step_alone() -> None:
    row = {name: words[0] for name, words in NOISE.items()}
    phi = leave_one_out(Additive(), [row])
    share = lambda odds: 1 / (1 + np.exp(-odds))  # noqa: E731
    expected = np.zeros(8)
    names = template().names
    expected[names.index("polite")] = share(1) - share(-1)
    expected[names.index("closing")] = share(1) - share(2)
    assert phi[0] == pytest.approx(expected)


def test_shares_are_shares() -> None:
    found = llm_shapley(Scale.smoke, 1000)
    for name, value in found.items():
        if name.endswith(("_share", "accuracy", "_rate")):
            assert 0 <= value <= 1, name


def test_a_model_of_ones_own_must_be_named(monkeypatch) -> None:
    monkeypatch.delenv(MODEL, raising=False)
    with pytest.raises(ConfigError, match=f"needs a language model that {MODEL} names, got none"):
        llm_shapley(Scale.full, 0)
