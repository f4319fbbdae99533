"""Splits that never share an item, and items and examples drawn from them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.pocket import SKILLS, draw_world, examples, items, split_of
from concordant.pocket.sampling import content
from concordant.pocket.skills.facts import ONE_HOP

EVERY = list(SKILLS)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(EVERY), seeds, seeds)
def test_train_and_test_never_share_an_item_whatever_the_seed(name, one, other):
    train = examples([name], 30, split="train", seed=one)
    test = examples([name], 10, split="test", seed=other)
    assert {example.prompt for example in train}.isdisjoint(example.prompt for example in test)
    assert {content(example.asked()) for example in train}.isdisjoint(
        content(example.asked()) for example in test
    )


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["beliefs", "programs", "siblings"]), st.integers(1, 3), seeds)
def test_a_group_lies_in_one_split(name, difficulty, seed):
    group = SKILLS[name].generate_group(np.random.default_rng(seed), difficulty)
    assert len({split_of(example.prompt) for example in group}) == 1


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(EVERY), seeds)
def test_neither_spelling_nor_options_change_the_split(name, seed):
    example = SKILLS[name].generate(np.random.default_rng(seed), 1)
    capital = example.prompt[0].upper() + example.prompt[1:]
    assert split_of(example.prompt) == split_of(example.asked()) == split_of(f"  {capital} ")


def test_the_split_is_the_same_for_ever():
    # [n for n in range(40) if split_of(f"what is {n} + 3 ?") == "test"]
    assert [n for n in range(40) if split_of(f"what is {n} + 3 ?") == "test"] == GOLDEN


GOLDEN = [4, 20, 21, 24, 32]


def test_every_fact_can_be_learnt_from_train():
    world = draw_world(0)
    for form, templates in ONE_HOP.items():
        for about in world.country if form == "country" else world.people:
            assert "train" in {split_of(template.format(about)) for template in templates}, (form, about)


def test_about_a_tenth_is_test():
    sums = [f"what is {a} + {b} ?" for a in range(100) for b in range(100)]
    share = sum(split_of(prompt) == "test" for prompt in sums) / len(sums)
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / len(sums)) ** 0.5


def test_items_have_what_relations_need():
    drawn = items(EVERY, 30)
    frame = drawn.frame
    assert len(drawn) == 30 * len(EVERY)
    assert drawn.slices == ("skill", "difficulty", "form")
    assert all(split_of(prompt) == "test" for prompt in drawn.inputs)
    for row in drawn:
        assert SKILLS[row.skill].verify(row.input, row.reference)
        assert row.choices is None or row.reference in row.choices
    assert (frame.group_by("skill").len()["len"] == 30).all()
    assert set(frame["difficulty"]) == {1, 2, 3}


def test_items_of_a_skill_do_not_depend_on_the_others():
    alone = items(["games"], 12, seed=5)
    among = items(["choice", "games", "facts"], 12, seed=5)
    assert alone.frame["id"].to_list() == among.frame["id"][12:24].to_list()
    assert alone.digest() == items(["games"], 12, seed=5).digest()
    assert alone.digest() != items(["games"], 12, seed=6).digest()


def test_whole_groups_come_whole():
    frame = items(["beliefs", "programs"], 6, whole_groups=True, difficulty=2).frame
    assert len(frame) == 6 * 3 + 6 * 4
    assert frame.group_by("group").len()["len"].sort().to_list() == [3] * 6 + [4] * 6


def test_one_difficulty():
    assert {example.difficulty for example in examples(["worked"], 9, difficulty=2)} == {2}
    assert [example.difficulty for example in examples(["choice"], 4)] == [1, 2, 1, 2]


def test_well_known_people_are_asked_for_more_often():
    counts = Counter(example.group.split()[-1] for example in examples(["facts"], 1500, difficulty=2))
    first, *_, last = (counts[person] for person in draw_world(0).people)
    assert first > 20 * max(last, 1)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: items(["fact"], 3), ConfigError, "there is no skill 'fact'; did you mean facts?"),
        (lambda: items(["facts"], 3, split="dev"), ConfigError, "split must be 'train' or 'test', got 'dev'"),
        (lambda: items("facts", 3), ConfigError, "a list of skills .* got 'facts'"),
        (lambda: examples([], 3), ConfigError, "a list of skills"),
        (lambda: examples(["facts"], 0), ConfigError, "a positive n .* n = 0"),
        (lambda: examples(["facts"], 1, seed=-1), ConfigError, "a whole number from 0, got -1"),
        (lambda: examples(["facts", "facts"], 1), ConfigError, "each skill may be named once"),
        (lambda: items(["choice"], 3, difficulty=3), ConfigError, "has the difficulties 1, 2; got 3"),
        (
            lambda: items(["choice"], 900),
            DataError,
            "skill 'choice' at difficulty . has too few different test items",
        ),
    ],
)
def test_bad_requests(call, error, says):
    with pytest.raises(error, match=says):
        call()
