"""Every skill through the same battery: solver against generator, verifier, seeds, closed vocabulary, bounds."""

import re

import numpy as np
import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.core.prompts import LETTERS
from concordant.pocket import MAX_ANSWER_WORDS, MAX_PROMPT_WORDS, SKILLS, VOCABULARY, spaced
from concordant.pocket.skills.countdown import value_of
from concordant.pocket.vocabulary import words

DRAWS = 150
LEVELS = [(name, level) for name, skill in SKILLS.items() for level in skill.difficulties]
MANY = {"programs", "countdown", "twenty", "styles", "dialogues"}  # more than one answer may be right
UNIQUE = [name for name in SKILLS if name not in MANY]

levels = pytest.mark.parametrize(("name", "level"), LEVELS)


def drawn(name, level, seed=0, n=DRAWS):
    rng = np.random.default_rng(seed)
    return [SKILLS[name].generate(rng, level) for _ in range(n)]


def perturbed(example):
    """Answers that are wrong whatever the skill: nothing, another number, another word, another option."""
    answer = example.answer
    yield from ("", "nothing at all", f"{answer} maybe", f"maybe {answer}")
    if re.search(r"\d", answer) and example.skill != "styles":
        yield re.sub(r"\d+", lambda found: str(int(found[0]) + 1), answer, count=1)
    if answer in ("yes", "no"):
        yield "no" if answer == "yes" else "yes"
    if example.choices is not None:
        yield from (option for option in example.choices if option != answer)


@levels
def test_the_solver_finds_what_the_generator_meant(name, level):
    skill = SKILLS[name]
    for example in drawn(name, level):
        found = skill.solve(example.prompt)
        assert skill.verify(example.prompt, found), (example, found)
        if name in UNIQUE:
            assert found == example.answer, example


@levels
def test_the_verifier_accepts_the_answer_in_every_form(name, level):
    skill = SKILLS[name]
    for example in drawn(name, level):
        prompt = example.prompt
        assert skill.verify(prompt, example.answer)
        assert skill.verify(prompt, f"{example.answer} .")
        assert skill.verify(prompt, f"Answer: {example.answer}.")
        assert skill.verify(example.asked(), example.reply())
        assert skill.verify(example.asked(), example.reply(worked=True))
        assert skill.verify(example.asked(), example.answer)


@levels
def test_the_verifier_rejects_wrong_answers(name, level):
    skill = SKILLS[name]
    for example in drawn(name, level, n=60):
        for wrong in perturbed(example):
            assert not skill.verify(example.prompt, wrong), (example, wrong)
        if example.choices is not None:
            right = LETTERS[example.choices.index(example.answer)]
            for letter in LETTERS[:5]:
                assert skill.verify(example.asked(), letter) == (letter == right)


@pytest.mark.parametrize("name", UNIQUE)
def test_answers_to_other_questions_are_right_only_where_they_are_equal(name):
    several = drawn(name, SKILLS[name].difficulties[0], n=25)
    for one in several:
        for other in several:
            assert SKILLS[name].verify(one.prompt, other.answer) == (one.answer == other.answer)


@levels
def test_draws_depend_on_the_seed_alone(name, level):
    state = np.random.get_state()[1].copy()  # noqa: NPY002  the global generator itself
    assert drawn(name, level, 3, 20) == drawn(name, level, 3, 20)
    assert drawn(name, level, 3, 20) != drawn(name, level, 4, 20)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


@levels
def test_texts_are_canonical_bounded_and_in_the_vocabulary(name, level):
    for example in drawn(name, level):
        for text in (example.prompt, example.asked(), example.answer, example.reply(worked=True)):
            assert text == spaced(text)
            assert set(words(text)) <= set(VOCABULARY), text
        assert len(words(example.asked())) <= MAX_PROMPT_WORDS
        assert len(words(example.reply(worked=True))) <= MAX_ANSWER_WORDS
        assert (example.skill, example.difficulty) == (name, level)
        assert example.form
        assert example.group


@levels
def test_no_constant_answer_is_good(name, level):
    answers = [example.reply() for example in drawn(name, level, n=300)]
    assert max(answers.count(answer) for answer in set(answers)) < 0.62 * len(answers)


@levels
def test_equations_in_the_steps_hold(name, level):
    for example in drawn(name, level):
        for equation in re.findall(r"([-+*/() \d]+ [-+*] [-+*/() \d]+) = (\d+)", example.steps or ""):
            assert value_of(equation[0]) == int(equation[1]), example


@pytest.mark.parametrize("name", ["beliefs", "programs", "siblings"])
def test_a_group_asks_different_questions_about_one_thing(name):
    rng = np.random.default_rng(0)
    for level in (1, 2):
        group = SKILLS[name].generate_group(rng, level)
        assert len({example.group for example in group}) == 1
        assert len({example.form for example in group}) == len(group) >= 3
        assert all(SKILLS[name].verify(example.prompt, example.answer) for example in group)
    assert len(SKILLS["facts"].generate_group(rng, 1)) == 1


@pytest.mark.parametrize("name", list(SKILLS))
def test_what_a_skill_cannot_do_is_said(name):
    skill = SKILLS[name]
    with pytest.raises(ConfigError, match=f"skill '{name}' has the difficulties 1, 2"):
        skill.generate(np.random.default_rng(0), 9)
    for ask in (skill.solve, lambda prompt: skill.verify(prompt, "7")):
        with pytest.raises(
            DataError, match=f"skill '{name}' reads only prompts such as it generates; got 'zebra'"
        ):
            ask("zebra")
