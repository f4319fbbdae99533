import numpy as np
import pytest

import concordant as cc
from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.model import Request, user
from concordant.models.option_scores import OptionScores, option_scores

CHOICES = ["ab", "c", "d e f"]
ITEMS = cc.Items.from_records(
    [
        {"id": "1", "input": "a b c ?", "choices": CHOICES, "reference": "c"},
        {"id": "2", "input": "d", "choices": ["x y", "z"], "reference": "z"},
    ]
)


class Spelling:
    """Every letter has the probability 1/2 after a prompt that holds it, and 1/4 else; white space is free."""

    chat = False

    def __init__(self):
        self.asked = []

    def generate(self, prompts, **options):
        return [[cc.Completion("written", -1.0, 1)] * options["n"] for _ in prompts]

    def score(self, prompts, completions):
        self.asked += list(zip(prompts, completions, strict=True))
        texts = [p if isinstance(p, str) else p[-1]["content"] for p in prompts]
        pairs = zip(texts, completions, strict=True)
        return [np.log([0.5 if c in p else 0.25 for c in text if not c.isspace()]) for p, text in pairs]


def scored(**options):
    return option_scores(Spelling(), ITEMS, **options)


def test_cloze_by_hand():
    first, second = scored()
    # of "ab" both letters are in "a b c ?", as is "c"; of "d e f" none
    np.testing.assert_allclose(first.logprobs, np.log([0.25, 0.5, 0.25**3]))
    np.testing.assert_allclose(second.scores, np.log([0.25**2, 0.25]))
    assert first.tokens.tolist() == [2, 1, 3]
    assert [first.choice, second.choice] == [1, 1]
    np.testing.assert_allclose(first.probabilities, np.array([0.25, 0.5, 0.25**3]) / (0.75 + 0.25**3))


def test_norms_by_hand():
    (by_token, _), (by_byte, _), (beyond, _) = (
        scored(norm=norm) for norm in ("token", "byte", "unconditional")
    )
    np.testing.assert_allclose(by_token.scores, np.log([0.5, 0.5, 0.25]))
    np.testing.assert_allclose(by_byte.scores, np.log([0.5, 0.5, 0.25 ** (3 / 5)]))  # "d e f" has five bytes
    # after "Answer:" only e is more probable: of "ab" and "c" no letter is there
    np.testing.assert_allclose(beyond.scores, np.log([4, 2, 0.25**3 / (0.25 * 0.5 * 0.25)]))
    np.testing.assert_allclose(by_token.logprobs, scored()[0].logprobs)


def test_letters_follow_the_lettered_options():
    model = Spelling()
    option_scores(model, ITEMS, options="letter")
    assert [text for _, text in model.asked] == [" A", " B", " C", " A", " B"]
    assert model.asked[0][0].startswith("a b c ?\n\nA. ab\nB. c\nC. d e f\n\nAnswer with")


def test_blanks_are_filled_and_the_rest_is_scored():
    model = Spelling()
    records = [{"id": "1", "input": "the ___ is too big", "choices": ["cup", "bag"]}]
    (found,) = option_scores(model, cc.Items.from_records(records), options="blank")
    assert model.asked == [("the cup", " is too big"), ("the bag", " is too big")]
    # i s t o o b i g: after "the cup" t is known; after "the bag" t, b and g are
    np.testing.assert_allclose(found.scores, np.log([0.5 * 0.25**7, 0.5**3 * 0.25**5]))
    assert found.choice == 1


def test_conversations_and_chat_take_no_space_before_the_answer():
    items = cc.Items.from_records([{"id": "1", "input": [user("a ?")], "choices": ["x", "y"]}])
    model = Spelling()
    option_scores(model, items, norm="unconditional")
    assert model.asked[0] == ([user("a ?")], "x")
    assert model.asked[2] == ([user("Answer:")], "x")
    model = Spelling()
    model.chat = True
    option_scores(model, ITEMS.head(1))
    assert model.asked[0] == ("a b c ?", "ab")
    with pytest.raises(ConfigError, match="leave chat out"):
        option_scores(model, ITEMS, options="blank")


@pytest.mark.parametrize(
    ("record", "options", "message"),
    [
        ({"choices": None}, "cloze", "with choices; the columns are"),
        ({"choices": []}, "cloze", "item '1' has 0 choices; allowed are 1 to 26"),
        ({"choices": ["a", " "]}, "cloze", "item '1' has an empty option"),
        ({"choices": list(map(str, range(27)))}, "cloze", "item '1' has 27 choices"),
        (
            {"choices": ["a"]},
            "blank",
            r"item '1': options='blank' needs a text with one blank .* got a text with 0",
        ),
        ({"input": "__ a __ b", "choices": ["a"]}, "blank", "got a text with 2 blanks"),
        ({"input": "a __", "choices": ["a"]}, "blank", "one with nothing behind it"),
        ({"input": [user("a __ b")], "choices": ["a"]}, "blank", "got list"),
    ],
)
def test_items_that_cannot_be_scored(record, options, message):
    record = {"id": "1", "input": "a", **record}
    items = cc.Items.from_records([{k: v for k, v in record.items() if v is not None}])
    with pytest.raises(DataError, match=message):
        option_scores(Spelling(), items, options=options)


def test_unknown_ways_and_norms():
    with pytest.raises(
        ConfigError, match=r"options must be letter, cloze or blank, got 'close'; did you mean cloze\?"
    ):
        scored(options="close")
    with pytest.raises(ConfigError, match="norm must be sum, token, byte or unconditional, got 'mean'"):
        scored(norm="mean")
    with pytest.raises(ConfigError, match="norm='byte' is how options are scored: say options="):
        cc.load(Spelling(), norm="byte")


# -- in the flow


def test_a_model_of_the_flow_answers_with_the_letter_of_its_choice():
    model = cc.load(Spelling(), options="cloze", norm="token", name="m", fingerprint="f")
    frame = model.respond(ITEMS, Request(n=2, temperature=1.0))
    assert frame["output"].to_list() == ["A", "A", "A", "A"]  # equal scores: the first
    np.testing.assert_allclose(frame["score"], np.log([0.5, 0.5, 0.25, 0.25]))
    np.testing.assert_allclose(frame["logprob"], np.log([0.25, 0.25, 0.25**2, 0.25**2]))
    assert frame["tokens"].to_list() == [2, 2, 2, 2]
    assert model.classes[:3] == ("A", "B", "C")
    probabilities = frame["probabilities"].to_numpy()
    np.testing.assert_allclose(probabilities[0, :4], [0.4, 0.4, 0.2, 0.0])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert model.fingerprint != cc.load(Spelling(), options="cloze", name="m", fingerprint="f").fingerprint


def test_items_without_choices_are_answered_by_writing():
    records = [{"id": "0", "input": "a"}, {"id": "1", "input": "a b", "choices": CHOICES}]
    items = cc.Items.from_records([*records, {"id": "2", "input": "c"}])
    frame = cc.load(Spelling(), options="cloze").respond(items, Request(n=2))
    assert frame["output"].to_list() == ["written", "written", "A", "A", "written", "written"]
    assert frame["probabilities"].is_null().to_list() == [True, True, False, False, True, True]


def test_relations_see_the_chosen_options():
    from concordant.variants import OptionOrder

    report = cc.check(cc.load(Spelling(), options="cloze"), ITEMS, [OptionOrder()], progress=False)
    result = report["variants.option_order"]
    assert result.agreement_score.value == 1.0  # a cloze does not see the order
    assert result.accuracy.value == 1.0


def test_a_model_from_a_folder(llama, bert):
    model = cc.load(f"hf:{llama}?options=cloze&norm=byte")
    assert (model.options, model.norm) == ("cloze", "byte")
    lm = model.language_model
    frame = model.respond(ITEMS, Request())
    for i, item in enumerate(ITEMS):
        prompts = [item.input] * len(item.choices)
        sums = [s.sum() for s in lm.score(prompts, [" " + option for option in item.choices])]
        scores = np.array(sums) / [len(option) for option in item.choices]
        assert frame["output"][i] == "ABC"[scores.argmax()]
        assert frame["score"][i] == pytest.approx(scores.max(), abs=1e-5)
        assert frame["logprob"][i] == pytest.approx(sums[scores.argmax()], abs=1e-5)
    with pytest.raises(ConfigError, match="is a classifier: options and norm are for causal language models"):
        cc.load(f"hf:{bert}", options="letter")


def test_a_prompt_that_is_too_long_is_the_error_of_its_item(llama):
    records = [
        {"id": "1", "input": "a " * 200, "choices": ["b", "c"]},
        {"id": "2", "input": "a", "choices": ["b", "c"]},
    ]
    model = cc.load(f"hf:{llama}", options="cloze")
    with pytest.raises(ModelError, match="takes 128"):
        model.respond(cc.Items.from_records(records), Request())


def test_equal_scores_choose_the_first():
    assert OptionScores(np.zeros(3), np.zeros(3), np.ones(3, int)).choice == 0
