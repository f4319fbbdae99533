"""The study of canonical examples: its world, its setting, and what it measures at the smallest scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.studies import attribute_world as attributes
from concordant.studies.attribute_world import AttributeWorld
from concordant.studies.canonical_examples import BOUNDS, SIZES, canonical_examples
from concordant.studies.canonical_setting import attribute_setting
from concordant.studies.study import Scale

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def setting():
    return attribute_setting(SIZES[Scale.smoke], seed=1000)


def test_the_tokens_do_not_overlap():
    parts = (attributes.ENTITIES, attributes.HOMES, attributes.COLOURS, attributes.WORDS, attributes.FILLERS)
    tokens = [token for part in parts for token in part]
    assert tokens == list(range(3, attributes.VOCABULARY))
    used = {
        part
        for template in attributes.TEMPLATES + attributes.COLOUR_TEMPLATES
        for part in template
        if part >= 0
    }
    assert used <= set(range(attributes.N_WORDS))


def test_homes_are_told_truly_and_each_of_them_can_be_told_otherwise():
    rng = np.random.default_rng(1000)
    world = AttributeWorld.drawn(rng)
    other = world.other_homes(rng)
    assert (other != world.homes).all()
    assert set(other) <= set(attributes.HOMES)
    for template in range(len(attributes.TEMPLATES)):
        ids, n_prompt = world.home_row(7, template, world.homes[7], rng)
        assert (ids[0], ids[-1], n_prompt) == (attributes.BOS, world.homes[7], len(ids) - 1)
        assert ids.count(attributes.ENTITIES[7]) == 1
    plainest = world.home_row(7, attributes.CANONICAL, 70, rng)[0]
    assert plainest == [attributes.BOS, attributes.WORDS[0], attributes.ENTITIES[7], attributes.WORDS[1], 70]


def test_texts_leave_out_who_is_edited_and_say_what_is_so():
    rng = np.random.default_rng(1000)
    world = AttributeWorld.drawn(rng)
    rows = world.texts(400, rng, without=range(40))
    named = [[t for t in ids if t in attributes.ENTITIES] for ids, _ in rows]
    at_home = {
        found[0] for (ids, _), found in zip(rows, named, strict=True) if found and ids[-2] in attributes.HOMES
    }
    assert at_home <= set(attributes.ENTITIES[40:])
    for (ids, n_prompt), found in zip(rows, named, strict=True):
        assert (ids[0], ids[-1], n_prompt) == (attributes.BOS, attributes.EOS, 1)
        if found and ids[-2] in attributes.HOMES:
            assert ids[-2] == world.homes[found[0] - attributes.ENTITIES.start]
        elif found:
            assert ids[-2] == world.colours[found[0] - attributes.ENTITIES.start]


def test_validation_and_test_share_no_entity_and_the_tests_are_in_other_words(setting):
    told = {
        part: {t for one in facts.examples for t in one.good[0] if t in attributes.ENTITIES}
        for part, facts in setting.facts.items()
    }
    assert not told["validation"] & told["test"]
    general = {t for rows in (setting.general, setting.held_out) for ids, _ in rows for t in ids}
    assert general & (told["validation"] | told["test"])  # their colours are told
    homes = [
        ids for rows in (setting.general, setting.held_out) for ids, _ in rows if ids[-2] in attributes.HOMES
    ]
    assert not {t for ids in homes for t in ids} & (told["validation"] | told["test"])
    for facts in setting.facts.values():
        assert len(facts.contexts) == 6 * len(facts.examples)
        answers = {one.good[0][2]: one.good[0][-1] for one in facts.examples}
        for ids, n_prompt in facts.contexts:
            (entity,) = (t for t in ids if t in attributes.ENTITIES)
            assert ids[n_prompt:] == [answers[entity]]
            assert ids not in [one.good[0] for one in facts.examples]
        assert len(facts.near) == 2 * len(facts.examples)


def test_a_taught_backpack_has_no_changes_of_senses(setting):
    assert not setting.small.sense_changes.any()
    assert all(parameter.requires_grad for parameter in setting.small.parameters())


def test_what_is_measured():
    measured = canonical_examples(Scale.smoke, 1000)
    for method in ("full", "lora", "senses", "large-full", "large-lora", "ensemble"):
        values = [measured[f"{method}.improvement@{bound}"] for bound in BOUNDS]
        assert measured[f"{method}.improvement"] == pytest.approx(sum(values) / 2)
        for bound in BOUNDS:
            assert measured[f"{method}.drift@{bound}"] <= bound + 1e-9
    for claim in canonical_examples.claims:
        assert len(claim.differences(measured)) == 1


def test_full_scale_asks_for_a_model_and_texts(monkeypatch):
    monkeypatch.delenv("CONCORDANT_CANONICAL_MODEL", raising=False)
    with pytest.raises(ConfigError, match="needs a model that CONCORDANT_CANONICAL_MODEL names"):
        canonical_examples(Scale.full, 1000)
