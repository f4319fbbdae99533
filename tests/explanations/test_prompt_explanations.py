"""Templates of prompts, and what their fields move: models whose choices are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.items import Items
from concordant.core.model import Completion
from concordant.explanations.prompts import (
    Field,
    PromptTemplate,
    explain_prompt,
    template_stability,
)
from concordant.explanations.prompts.explain import planned_questions
from concordant.explanations.shapley import shapley_plan
from concordant.models.load import load


class Additive:
    """A language model whose log-odds of the option "yes" are the sum of what the words of the prompt weigh.

    With `place`, the option that is shown first has an advantage, as letters often have.
    """

    name = "additive"

    def __init__(self, weights, place=0.0) -> None:
        self.weights, self.place, self.asked = weights, place, []

    def generate(self, prompts, *, n=1, temperature=0.0, max_tokens=256, seed=0, stop=()):
        rng = np.random.default_rng(seed)
        odds = np.array([self.log_odds(prompt) for prompt in prompts])
        yes = rng.random((len(odds), n)) < 1 / (1 + np.exp(-odds))[:, None]
        return [[Completion("yes" if one else "no") for one in row] for row in yes]

    def log_odds(self, prompt):
        return sum(weight for word, weight in self.weights.items() if word in prompt)

    def score(self, prompts, completions):
        self.asked += prompts
        found = []
        for prompt, completion in zip(prompts, completions, strict=True):
            lines = prompt.splitlines()
            answer = completion.strip()
            shown = [line[3:] for line in lines if line[1:3] == ". "]
            meant = shown["AB".index(answer)] if shown else answer
            first = shown[0] if shown else "no"
            log_odds = self.log_odds(prompt) + (self.place if first == "yes" else -self.place if shown else 0)
            found.append(np.array([log_odds if meant == "yes" else 0.0]))
        return found


WEIGHTS = {"sunny": 1.0, "warm": 0.5, "please": -0.25}
TEMPLATE = PromptTemplate(
    "{polite} The day is {sky} and {air}. Do we go out {end}?",
    {
        "polite": Field("please say:", "noise"),
        "sky": "sunny",
        "air": Field("warm", neutral="mild"),
        "end": Field("now", "noise"),
    },
    ["yes", "no"],
    ask="cloze",
)


# -- templates ----------------------------------------------------------------------------------------------


def test_a_prompt_with_all_fields_is_the_text_as_it_is_written() -> None:
    ((prompt, options),) = TEMPLATE.questions([[True] * 4])
    assert prompt == "please say: The day is sunny and warm. Do we go out now?"
    assert options == ("yes", "no")


@pytest.mark.parametrize(
    ("present", "absent", "expected"),
    [
        ([0, 0, 0, 0], "delete", "The day is and. Do we go out?"),
        ([0, 1, 0, 1], "delete", "The day is sunny and. Do we go out now?"),
        ([0, 0, 0, 0], "neutral", "... The day is ... and mild. Do we go out ...?"),
        ([1, 1, 0, 1], "neutral", "please say: The day is sunny and mild. Do we go out now?"),
    ],
)
def test_absent_fields_are_deleted_or_neutral(present, absent, expected) -> None:
    ((prompt, _),) = TEMPLATE.questions([present], absent=absent)
    assert prompt == expected


def test_white_space_around_what_is_deleted_is_mended_and_no_other() -> None:
    text = "  {a} {b} one  two {a}, {b}{a} three {b}\n{a} four\n\n{b} "
    template = PromptTemplate(text, {"a": "A", "b": "B"}, ["x", "y"])
    both, none = (prompt for prompt, _ in template.questions([[True, True], [False, False]]))
    assert both == "  A B one  two A, BA three B\nA four\n\nB "
    assert none == "one  two, three\nfour\n\n"


def test_options_are_lettered_and_turned_around() -> None:
    template = PromptTemplate(
        "Which?", {"price": "80"}, {"bus": "bus for {price}", "train": "train"}, neutral="some"
    )
    assert template.n_orders == 2
    assert template.questions([[1]]) == [("Which?", ("bus for 80", "train"))]
    assert template.questions([[0]], absent="neutral", reverse=True) == [
        ("Which?", ("train", "bus for some"))
    ]


def test_the_list_of_options_stands_where_the_text_wants_it() -> None:
    options = {"red": "red costs {price}", "blue": "blue costs 3"}
    template = PromptTemplate("Choose. {options} Colour:", {"price": "2"}, options, ask="cloze")
    assert template.n_orders == 2
    assert template.questions([[1]], reverse=True) == [
        ("Choose. blue costs 3\nred costs 2 Colour:", ("red", "blue"))
    ]
    assert TEMPLATE.n_orders == 1


def test_a_row_replaces_texts_of_fields() -> None:
    filled = TEMPLATE.filled({"sky": "grey"})
    assert "The day is grey and warm" in filled.questions([[1] * 4])[0][0]
    assert filled.roles == TEMPLATE.roles
    with pytest.raises(DataError, match="no field 'polit'; did you mean polite"):
        TEMPLATE.filled({"polit": "grey"})


def test_braces_are_doubled() -> None:
    template = PromptTemplate("{{x}} {a}", {"a": "b"}, ["y", "n"])
    assert template.questions([[1]])[0][0] == "{x} b"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "{a} {c}", "fields": {"a": "A"}}, r"\{c\} in .* is no field; known: a"),
        ({"text": "{a}", "fields": {"a": "A", "b": "B"}}, "the field 'b' stands nowhere"),
        ({"text": "{a", "fields": {"a": "A"}}, "a brace that is not closed"),
        ({"text": "{a:3}", "fields": {"a": "A"}}, "is no field"),
        ({"text": "a", "fields": {}}, "at least one field"),
        ({"text": "{a}", "fields": {"a": "A"}, "options": ["x"]}, "2 to 26 options"),
        ({"text": "{a}", "fields": {"a": "A"}, "options": ["x", "x"]}, "2 to 26 options that differ"),
        (
            {"text": "{a}", "fields": {"a": Field("A", "loud")}},
            "role must be informative or noise, got 'loud'",
        ),
        ({"text": "{a}", "fields": {"a": "A"}, "ask": "blank"}, "ask must be letter or cloze"),
        ({"text": "{a} {options}", "fields": {"a": "A"}}, "letters follow the text"),
        ({"text": "{options}", "fields": {"options": "A"}}, "cannot be called 'options'"),
    ],
)
def test_templates_that_cannot_be_used_are_refused(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        PromptTemplate(**{"options": ["x", "y"], **arguments})


def test_an_option_must_have_a_word_that_stays() -> None:
    template = PromptTemplate("Which?", {"price": "80"}, {"a": "{price}", "b": "none"})
    with pytest.raises(DataError, match="an option is empty without its fields"):
        template.questions([[0]])
    assert template.questions([[0]], absent="neutral")[0][1] == ("...", "none")
    with pytest.raises(ConfigError, match="absent must be delete or neutral, got 'drop'"):
        template.questions([[0]], absent="drop")


# -- explanations -------------------------------------------------------------------------------------------


def test_log_odds_of_an_additive_model_are_shared_out_by_its_weights() -> None:
    found = explain_prompt(Additive(WEIGHTS), TEMPLATE, value="log_odds", progress=False)
    assert found.phi[0] == pytest.approx([-0.25, 1.0, 0.5, 0.0])
    assert found.is_exact
    assert found.with_none.tolist() == [0.0]
    assert found.noise_share.value == pytest.approx(0.25 / 1.75)
    assert found.table()["standard_error"].to_list() == [None] * 4
    assert found.table()["share"].sum() == pytest.approx(1)


def test_probabilities_add_up_too() -> None:
    found = explain_prompt(Additive(WEIGHTS), TEMPLATE, absent="neutral", progress=False)
    everything = 1 / (1 + np.exp(-1.25))
    assert found.with_all == pytest.approx([everything])
    assert found.phi.sum(1) == pytest.approx(found.with_all - found.with_none)


def test_a_liking_for_a_place_is_averaged_out() -> None:
    template = PromptTemplate(TEMPLATE.text, TEMPLATE.fields, ["yes", "no"])
    model = Additive(WEIGHTS, place=3.0)
    both = explain_prompt(model, template, value="log_odds", progress=False)
    assert both.with_none == pytest.approx([0.0])
    assert both.phi[0] == pytest.approx([-0.25, 1.0, 0.5, 0.0])
    one = explain_prompt(model, template, value="log_odds", both_orders=False, progress=False)
    assert one.with_none == pytest.approx([3.0])


def test_the_target_can_be_any_option() -> None:
    found = explain_prompt(Additive(WEIGHTS), TEMPLATE, target="no", value="log_odds", progress=False)
    assert found.phi[0] == pytest.approx([0.25, -1.0, -0.5, 0.0])
    with pytest.raises(ConfigError, match="no option 'yess'; did you mean yes"):
        explain_prompt(Additive(WEIGHTS), TEMPLATE, target="yess", progress=False)


def test_equal_texts_are_asked_once() -> None:
    template = PromptTemplate("{a} {b}", {"a": "x", "b": "x"}, ["yes", "no"], ask="cloze")
    model = Additive({"x": 1.0})
    found = explain_prompt(model, template, [{}, {"a": "x"}], value="log_odds", progress=False)
    assert found.n_questions == 3  # nothing, "x", "x x"
    assert len(model.asked) == 3 * 2
    assert found.phi.tolist() == [[0.5, 0.5]] * 2


def test_many_fields_are_sampled() -> None:
    weights = {f"w{i:02d}": float(i) for i in range(14)}
    fields = {f"f{i}": word for i, word in enumerate(weights)}
    template = PromptTemplate(" ".join(f"{{{name}}}" for name in fields), fields, ["yes", "no"], ask="cloze")
    found = explain_prompt(Additive(weights), template, value="log_odds", pairs=2, progress=False)
    assert not found.is_exact
    assert found.phi[0] == pytest.approx(list(weights.values()))  # an additive game has no spread over orders
    assert found.table()["standard_error"].to_list() == pytest.approx([0.0] * 14, abs=1e-12)


def test_sampled_fields_have_standard_errors_of_each_row_and_of_the_mean() -> None:
    model = Additive(WEIGHTS | {"warm. Do we go out now": 2.0})
    rows = [{"sky": "sunny"}, {"sky": "grey"}]
    found = explain_prompt(model, TEMPLATE, rows, pairs=4, seed=1, progress=False)
    again = explain_prompt(model, TEMPLATE, rows, pairs=4, seed=1, progress=False)
    assert (found.phi == again.phi).all()
    assert found.standard_errors.shape == (2, 4)
    assert (found.mean_standard_errors <= found.standard_errors.mean(0) + 1e-12).all()
    exact = explain_prompt(model, TEMPLATE, rows, progress=False)
    assert (np.abs(found.phi - exact.phi) <= 5 * found.standard_errors + 1e-9).all()


def test_choices_are_counted_where_scores_are_not_to_be_had() -> None:
    model = Additive(WEIGHTS)
    counted = explain_prompt(model, TEMPLATE, samples=400, value="log_odds", seed=3, progress=False)
    assert (counted.standard_errors > 0).all()
    z = (counted.phi[0] - [-0.25, 1.0, 0.5, 0.0]) / counted.standard_errors[0]
    assert np.abs(z).max() < 4
    shares = explain_prompt(model, TEMPLATE, samples=400, seed=3, progress=False)
    exact = explain_prompt(model, TEMPLATE, progress=False)
    assert (np.abs(shares.phi - exact.phi) < 4 * shares.standard_errors).all()
    assert shares.phi.sum() == pytest.approx(float(shares.with_all[0] - shares.with_none[0]))


def test_errors_of_counting_are_those_of_the_weights() -> None:
    """One field: phi is the difference of two shares of 20 answers each."""
    template = PromptTemplate("go {how}", {"how": "fast"}, ["yes", "no"], ask="cloze")
    found = explain_prompt(lambda prompt: "yes" if "fast" in prompt else "no", template, progress=False)
    assert found.phi.tolist() == [[1.0]]
    p = 21 / 22
    assert found.standard_errors[0, 0] ** 2 == pytest.approx(2 * p * (1 - p) / 20)


def test_a_question_that_is_shared_is_counted_once() -> None:
    """Two fields that write the same: the value of one of them alone is one number, whichever it is."""
    template = PromptTemplate("go {a}{b}", {"a": "x", "b": "x"}, ["yes", "no"], ask="cloze")
    found = explain_prompt(lambda prompt: "yes", template, samples=8, progress=False)
    p = 9 / 10
    # phi_a = (v(xx) - v()) / 2 + (v(x) - v(x)) / 2
    assert found.standard_errors[0] ** 2 == pytest.approx([2 * p * (1 - p) / 8 / 4] * 2)


def test_answers_that_name_no_option_choose_none() -> None:
    found = explain_prompt(
        lambda prompt: "yes" if "sunny" in prompt else "who knows", TEMPLATE, samples=1, progress=False
    )
    assert found.unread_rate == pytest.approx(0.5)
    assert found.phi[0] == pytest.approx([0, 1, 0, 0])


def test_async_functions_are_asked_many_at_once_and_go_on_where_they_stopped(tmp_path) -> None:
    asked = []

    async def answer(prompt):
        asked.append(prompt)
        return "yes" if "sunny" in prompt else "no"

    folder, model = tmp_path / "kept", load(answer, fingerprint="one")
    found = explain_prompt(model, TEMPLATE, samples=2, folder=folder, progress=False)
    assert found.phi[0] == pytest.approx([0, 1, 0, 0])
    n = len(asked)
    again = explain_prompt(model, TEMPLATE, samples=2, folder=folder, progress=False)
    assert (again.phi == found.phi).all()
    assert len(asked) == n == 16 * 2


def test_a_model_that_fails_is_named() -> None:
    def broken(prompt):
        if "sunny" in prompt:
            return "yes"
        message = "out of order"
        raise ValueError(message)

    with pytest.raises(ModelError, match=r"did not answer .*out of order"):
        explain_prompt(broken, TEMPLATE, samples=1, progress=False)


def test_bad_arguments_are_refused() -> None:
    model = Additive(WEIGHTS)
    with pytest.raises(ConfigError, match="value must be probability or log_odds, got 'odds'"):
        explain_prompt(model, TEMPLATE, value="odds", progress=False)
    with pytest.raises(ConfigError, match="samples must be at least 1, got 0"):
        explain_prompt(model, TEMPLATE, samples=0, progress=False)
    with pytest.raises(DataError, match="there are no rows"):
        explain_prompt(model, TEMPLATE, [], progress=False)


# -- shares and stability -----------------------------------------------------------------------------------


def test_the_noise_share_of_rows_is_a_ratio_of_sums_with_its_interval() -> None:
    model = Additive(WEIGHTS)
    rows = [{"sky": "sunny"}, {"sky": "grey"}, {"polite": "say:"}]
    found = explain_prompt(model, TEMPLATE, rows, value="log_odds", progress=False)
    share = found.noise_share
    # noise .25, .25 and 0 of 1.75, .75 and 1.5
    assert share.value == pytest.approx(0.5 / 4)
    assert share.n == 3
    influence = (np.array([0.25, 0.25, 0.0]) - 0.125 * np.array([1.75, 0.75, 1.5])) / (4 / 3)
    assert share.stderr == pytest.approx(np.sqrt((influence**2).sum() / 6))
    assert 0 <= share.low < share.value < share.high <= 1


def test_where_nothing_moves_there_is_no_share() -> None:
    found = explain_prompt(Additive({}), TEMPLATE, progress=False)
    assert np.isnan(found.noise_share.value)
    assert np.isnan(found.shares).all()


def test_wordings_that_agree_have_a_correlation_of_one() -> None:
    other = PromptTemplate(
        "Out {end}? {sky}, {air}! {polite}", TEMPLATE.fields, TEMPLATE.options, ask="cloze"
    )
    model = Additive(WEIGHTS)
    rows = [{}, {"sky": "grey"}]
    both = [explain_prompt(model, t, rows, value="log_odds", progress=False) for t in (TEMPLATE, other)]
    assert template_stability(both).value == pytest.approx(1)
    against = explain_prompt(model, other, rows, value="log_odds", target="no", progress=False)
    assert template_stability([both[0], against]).value == pytest.approx(-1)
    assert template_stability([both[0], against]).n == 2
    nothing = explain_prompt(Additive({}), other, rows, progress=False)
    assert np.isnan(template_stability([both[0], nothing]).value)
    with pytest.raises(DataError, match="at least two explanations of the same fields and rows"):
        template_stability(both[:1])
    with pytest.raises(DataError, match="at least two explanations of the same fields and rows"):
        template_stability([both[0], explain_prompt(model, other, progress=False)])


def test_questions_are_planned_before_any_is_asked() -> None:
    template = PromptTemplate("{a}?", {"a": "x"}, ["yes", "no"])
    questions, targets, at = planned_questions(
        template, None, shapley_plan(1), absent="neutral", target="yes", both_orders=True
    )
    assert questions == [(t, o) for o in (("yes", "no"), ("no", "yes")) for t in ("...?", "x?")]
    assert targets.tolist() == [0, 0, 1, 1]
    assert at.tolist() == [[[0, 1], [2, 3]]]


def test_a_local_model_is_scored_as_the_options_of_items_are() -> None:
    from concordant.models.option_scores import option_scores

    model = load("pocket:250k-chat-v1")
    template = PromptTemplate(
        "what is the {what} of {who} ?", {"what": "job", "who": "sofia"}, ["poet", "baker"]
    )
    found = explain_prompt(model, template, progress=False)
    asked = Items.from_records(
        [
            {"input": "what is the job of sofia ?", "choices": choices}
            for choices in (["poet", "baker"], ["baker", "poet"])
        ]
    )
    first, second = option_scores(model.language_model, asked, options="letter")
    assert found.with_all[0] == pytest.approx(
        (first.probabilities[0] + second.probabilities[1]) / 2, abs=1e-6
    )
