"""The parts of the study of merges for a domain: facts and their forms, the training, the places between parents."""

from __future__ import annotations

import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.pocket import unknown_words
from concordant.pocket.recipes import Size as Shape
from concordant.studies import domain_merging as study
from concordant.studies.small_language import new_language_model
from concordant.studies.study import Scale
from concordant.studies.things_domain import DOCUMENTS, QUESTIONS, VALUES, Domain

DOMAIN = Domain.draw(6, seed=1000)


def test_every_word_is_known_to_the_pocket_models():
    texts = [text for rows in (DOMAIN.documents(), DOMAIN.lessons()) for row in rows for text in row]
    assert not any(unknown_words(text) for text in texts)


def test_facts_are_told_and_asked_in_every_form():
    assert len(DOMAIN.facts) == 6 * len(VALUES)
    assert len(DOMAIN.documents()) == sum(6 * len(forms) for forms in DOCUMENTS.values())
    assert len(DOMAIN.lessons()) == sum(6 * len(forms) for forms in QUESTIONS.values())
    colour = DOMAIN.facts["colour", DOMAIN.things[0]]
    assert ("", f"the colour of the {DOMAIN.things[0]} is {colour} .") in DOMAIN.documents()
    asked = f"question : what is the colour of the {DOMAIN.things[0]} ? answer :"
    assert (asked, f" {colour}") in DOMAIN.lessons()


def test_validation_and_test_share_no_thing_and_have_all():
    validation, test = (DOMAIN.questions(part) for part in ("validation", "test"))
    assert len(validation) == len(test) == 3 * 4
    about = [
        {thing for thing in DOMAIN.things for text, _ in rows if f"the {thing} ?" in text}
        for rows in (validation, test)
    ]
    assert not about[0] & about[1]
    assert about[0] | about[1] == set(DOMAIN.things)
    assert not any(text.startswith("question :") for text, _ in validation + test)


def test_preferences_put_the_right_answer_before_a_wrong_one():
    pairs = DOMAIN.preferences(seed=3)
    assert list(zip(pairs.prompts, pairs.chosen, strict=True)) == DOMAIN.lessons()
    assert all(a != b for a, b in zip(pairs.chosen, pairs.rejected, strict=True))
    assert DOMAIN.preferences(seed=3).rejected == pairs.rejected


def test_a_world_is_its_seed():
    assert Domain.draw(6, seed=1000) == DOMAIN
    assert Domain.draw(6, seed=1001) != DOMAIN


def test_places_begin_and_end_at_the_parents():
    first, second = {"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 2.0])}
    for method in ("slerp", "linear"):
        assert torch.allclose(study.between(method, first, second, 0.0)["w"], first["w"])
        assert torch.allclose(study.between(method, first, second, 1.0)["w"], second["w"], atol=1e-6)
    assert torch.allclose(study.between("linear", first, second, 0.25)["w"], torch.tensor([0.75, 0.5]))
    assert torch.allclose(
        study.between("slerp", first, second, 0.5)["w"], torch.tensor([0.5**0.5, 2 * 0.5**0.5])
    )


@pytest.fixture(scope="module")
def size():
    start, general = (new_language_model(Shape(8, 1, 2, 8), seed=1, chat=chat) for chat in (False, True))
    return study._size(start, general, DOMAIN, study.Steps(4, 3), 5, n_skill_items=1)


def test_a_domain_model_passes_three_stages(size):
    assert list(size.stages) == ["documents", "lessons", "preferences"]
    states = [model.model.state_dict()["model.norm.weight"] for model in size.stages.values()]
    assert not torch.equal(states[0], states[1])
    assert not torch.equal(states[1], states[2])
    assert size.domain is size.stages["preferences"]
    assert not torch.equal(states[2], size.again.model.state_dict()["model.norm.weight"])


def test_synergy_is_the_score_less_the_mean_of_the_parents(size):
    scores = iter([0.1, 0.3])  # the parents on the test come first

    def score(model, part):
        return next(scores, 0.9 if part == "test" else 0.5)

    found = study.of(study.Size(size.general, size.stages, size.again, score, {}), 0)
    assert found["slerp", "synergy"] == pytest.approx(0.9 - 0.2)
    assert found["better-parent", study.SCORE] == 0.3
    assert found["slerp", "place"] == study.PLACES[0]  # of equals the first


def test_full_scale_says_what_it_needs(monkeypatch):
    for variable in study.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match="CONCORDANT_DOMAIN_AGAIN_SMALL"):
        study.domain_merging(Scale.full, 0)
