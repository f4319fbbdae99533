"""The parts of the study of superficial alignment: the world of two steps, grading, and saturation."""

import numpy as np
import pytest

from concordant.core.errors import ConfigError
from concordant.studies.superficial_alignment import (
    DATA,
    MODEL,
    _your_model,
    log2_examples_to_saturate,
    zipf_order,
)
from concordant.studies.two_step_world import (
    ANSWER,
    BEGIN,
    CLOSE,
    IS,
    OPEN,
    QUESTION,
    THEN,
    TwoStepWorld,
    graded,
    likeness,
)

# operation 0 adds 1 to a number of 0, 1, 2; operation 1 swaps 0 and 2
WORLD = TwoStepWorld(np.array([[1, 2, 0], [2, 1, 0]]))


def test_documents_questions_and_answers_by_hand():
    number, operation = (lambda k: CLOSE + 1 + k), (lambda k: CLOSE + 4 + k)
    assert WORLD.documents([1])[0] == ([BEGIN, operation(1), number(0), IS, number(2)], 3)
    questions = np.array([[0, 0, 1]])  # 0, plus 1, swapped: 1, then 1
    prompt = [BEGIN, QUESTION, number(0), operation(0), operation(1), ANSWER]
    answer = [OPEN, number(1), THEN, number(1), CLOSE]
    assert WORLD.prompts(questions).tolist() == [prompt]
    assert WORLD.answers(questions).tolist() == [answer]
    assert WORLD.lessons(questions) == [([*prompt, *answer], 6)]
    assert len(WORLD.questions([0, 1], [1])) == 3 * 2 * 1


def test_idle_texts_say_nothing_of_the_world():
    rows = WORLD.idle_texts(np.random.default_rng(0), 50)
    assert min(min(row[1:]) for row, _ in rows) >= CLOSE + 1 + 3 + 2


def test_operations_are_orders_of_the_numbers():
    drawn = TwoStepWorld.drawn(np.random.default_rng(0), 4, 7)
    assert all(sorted(row) == list(range(7)) for row in drawn.table.tolist())


def test_form_and_content_are_graded_apart():
    questions = np.array([[0, 0, 1]] * 5)
    right = WORLD.answers(questions[:1])[0]
    wrong, formless, half, nothing = right.copy(), right.copy(), right.copy(), right.copy()
    wrong[3] += 1  # another number: in the template, wrong
    formless[0] = THEN  # a wrong mark: out of the template, right
    half[3] = CLOSE  # the last number is the one between, which here is right as well
    nothing[:] = THEN
    said = np.stack([right, wrong, formless, half, nothing])
    found = graded(WORLD, questions, said)
    assert found.valid.tolist() == [True, True, False, False, False]
    assert found.strictly_right.tolist() == [True, False, False, False, False]
    assert found.leniently_right.tolist() == [True, False, True, True, False]
    assert likeness(WORLD, questions, said) == pytest.approx((5 + 5 + 4 + 4 + 1) / 25)


def test_frequent_operations_come_first():
    world = TwoStepWorld.drawn(np.random.default_rng(0), 6, 5)
    questions = world.questions(range(6), range(6))
    ordered = zipf_order(np.random.default_rng(1), questions)
    assert sorted(map(tuple, ordered.tolist())) == sorted(map(tuple, questions.tolist()))
    assert ordered[:40, 1:].mean() < ordered[-40:, 1:].mean() - 1


def test_when_a_curve_saturates():
    # 95 % of 0.8 is 0.76, half way between 0.72 at 4 and 0.8 at 8
    assert log2_examples_to_saturate([2, 4, 8], [0.1, 0.72, 0.8]) == pytest.approx(2.5)
    assert log2_examples_to_saturate([2, 4], [0.0, 0.0]) == 1.0


def test_full_scale_names_what_it_needs(monkeypatch):
    for name in (MODEL, DATA):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=f"{MODEL}.*{DATA}"):
        _your_model(0)
