import pytest

from concordant.core.errors import DataError
from concordant.core.items import Items
from concordant.core.prompts import LETTERS, prompts


def test_texts_are_asked_as_they_are():
    assert prompts(Items.from_records([{"input": "2+2?"}, {"input": " x\n"}])) == ["2+2?", " x\n"]


def test_choices_become_lettered_lines():
    items = Items.from_records(
        [{"input": "Fruit?", "choices": ["apple", "brick"]}, {"input": "Why?", "choices": None}]
    )
    asked = "Fruit?\n\nA. apple\nB. brick\n\nAnswer with the letter of the right option."
    assert prompts(items) == [asked, "Why?"]


def test_messages_are_asked_as_they_are():
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    assert prompts(Items.from_records([{"input": turns}, {"input": turns[1:]}])) == [turns, turns[1:]]


def test_choices_follow_the_last_turn_of_the_user():
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "user", "content": "Fruit?"},
        {"role": "assistant", "content": "Let me think."},
    ]
    (asked,) = prompts(Items.from_records([{"input": turns, "choices": ["apple", "brick"]}]))
    assert asked[0] == turns[0]
    assert (
        asked[1]["content"] == "Fruit?\n\nA. apple\nB. brick\n\nAnswer with the letter of the right option."
    )
    assert asked[2] == turns[2]


def test_what_else_a_message_holds_is_left_out():
    (asked,) = prompts(Items.from_records([{"input": [{"role": "user", "content": "Hi", "name": "Ada"}]}]))
    assert asked == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("value", [1, 2.5, True, [1.0, 2.0], {"x": 1}, [{"role": "user"}]])
def test_a_language_model_needs_text(value):
    with pytest.raises(DataError, match=r"a language model needs text: .* got "):
        prompts(Items.from_records([{"input": value}]))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "item 'a': every turn"),
        ([{"role": "user", "content": None}], "item 'a': every turn"),
        ([{"role": "system", "content": "x"}], "item 'a' has choices but no turn of the user"),
    ],
)
def test_turns_that_cannot_be_asked(turns, message):
    good = [{"role": "user", "content": "x"}]
    rows = [
        {"id": "a", "input": turns, "choices": ["x", "y"]},
        {"id": "b", "input": good, "choices": ["x", "y"]},
    ]
    with pytest.raises(DataError, match=message):
        prompts(Items.from_records(rows))


def test_there_are_as_many_choices_as_letters():
    most = [str(i) for i in range(len(LETTERS))]
    assert "\nZ. 25\n" in prompts(Items.from_records([{"input": "?", "choices": most}]))[0]
    with pytest.raises(DataError, match="item 'a' has 27 choices; allowed are at most 26"):
        prompts(Items.from_records([{"id": "a", "input": "?", "choices": [*most, "more"]}]))
