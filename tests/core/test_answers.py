"""Answers read out of outputs: hand-worked cases, properties, and the recorded outputs of real models."""

import json
import re
import string

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core import answers
from concordant.core.answers.numbers import are_numbers
from concordant.core.errors import DataError
from concordant.core.items import Items

NUMBERS = {
    # marks, in the order in which they count
    "so 3.\n#### 18": 18,
    "#### 7\nQ: and 9?": 7,
    "#### 7\n#### 8\nrest 9": 8,
    "#### $1,234.50": 1234.5,
    r"\boxed{18} of 20": 18,
    r"\boxed{\text{about } 7} 9": 7,
    r"\boxed{\frac{3}{4}} of 7": 0.75,
    r"\boxed{10,\!000}": 10000,
    r"\boxed{\$18}": 18,
    "Answer: 18 of 20": 18,
    "answer: none": None,
    "**Answer:** 42, not 3": 42,
    "**Answer**: 42, not 3": 42,
    "Answer: **42** or 3": 42,
    "Answer:\n42\nand then 3": 42,
    "The answer is 5. The answer is 6. Or 7": 6,
    "Final Answer: The final answer is $18$. I have 3 doubts": 18,
    "Answer: 3 * 4 = 12. Or 5": 12,
    "A: 18\nQ: 19": 18,
    # nothing marked: the last number
    "6 * 3 = $18": 18,
    "18.": 18,
    "(18)": 18,
    "18%": 18,
    "18 dollars": 18,
    "18kg": 18,
    "$ 1,000": 1000,
    "1,2,3": 3,
    "H2O and GPT4": None,
    "nothing": None,
    "": None,
    # signs
    "-5": -5,
    "−5": -5,
    "x = -5": -5,
    "10-5": 5,
    "5 - 3": 3,
    "covid-19": 19,
    "(-3)": -3,
    "[-3]": -3,
    "$-5": -5,
    "-$5": -5,
    "+5": 5,
    # decimals, fractions, powers
    "1,234,567.89": 1234567.89,
    ".5": 0.5,
    "-.5": -0.5,
    "it is .5": 0.5,
    "3/4": 0.75,
    "-3/4": -0.75,
    "1 1/2": 1.5,
    "-1 1/2": -1.5,
    "50 / 4": 12.5,
    "1/0": None,
    "1e5": 1e5,
    "1.5E-3": 1.5e-3,
    r"1.5 \times 10^{3}": 1500,
    "3×10^-2": 0.03,
}


@pytest.mark.parametrize(("output", "expected"), NUMBERS.items())
def test_number_of_an_output(output, expected):
    assert answers.number(pl.Series([output]))[0] == (
        pytest.approx(expected) if expected is not None else None
    )


def test_number_reads_a_column_as_it_reads_each_of_its_rows():
    together = answers.number(pl.Series("output", [*NUMBERS, None]))
    assert together.name == "output"
    assert together.dtype == pl.Float64
    assert together.to_list() == [*(answers.number(pl.Series([text]))[0] for text in NUMBERS), None]


@given(st.integers(-(10**12), 10**12))
def test_number_reads_any_integer_in_any_dress(value):
    dressed = [
        f"{value}",
        f"{value:,}",
        f"#### {value}",
        f"It is {value:,}.",
        f"Answer: {value}",
        f"\\boxed{{{value}}}",
    ]
    assert answers.number(pl.Series(dressed)).to_list() == [float(value)] * len(dressed)


@given(st.floats(1e-300, 1e300))
def test_number_reads_what_python_writes(value):
    assert answers.number(pl.Series([repr(value), f"so {value!r}", f"x = {-value!r}"])).to_list() == [
        value,
        value,
        -value,
    ]


@given(st.text())
def test_number_takes_any_text(text):
    found = answers.number(pl.Series([text], dtype=pl.String))
    assert len(found) == 1


def test_number_of_other_types():
    assert answers.number(pl.Series([1, 2])).to_list() == [1.0, 2.0]
    assert answers.number(pl.Series([True, None])).to_list() == [1.0, None]
    assert answers.number(pl.Series([None, None])).to_list() == [None, None]
    assert answers.number(pl.Series([], dtype=pl.String)).to_list() == []
    assert answers.number(pl.Series(["7"], dtype=pl.Enum(["7"]))).to_list() == [7.0]
    with pytest.raises(DataError, match="numbers are read from texts or plain values, got List"):
        answers.number(pl.Series([[1, 2]]))


def test_are_numbers_takes_numbers_with_units_and_marked_solutions_only():
    texts = {
        "12": 1,
        "-1,250.5": 1,
        "$5": 1,
        "5 %": 1,
        "3/4": 1,
        "so\n#### 7": 1,
        "so\nA: 7": 1,
        "7 dwarfs": 0,
        "x": 0,
    }
    assert are_numbers(pl.Series(list(texts))).to_list() == [bool(value) for value in texts.values()]


OPTIONS = ["Paris", "Rome", "a dog"]
LETTERS = {
    "B": "B",
    " b ": "B",
    "(b)": "B",
    "**B.**": "B",
    "[B]": "B",
    "Option B": "B",
    "Rome": "B",
    " rome.": "B",
    "a dog": "C",
    "Answer: B": "B",
    "Answer: b": "B",
    "The answer is (B).": "B",
    "The answer is B because A is not.": "B",
    "The answer is Rome": "B",
    "The answer is a dog": "C",
    "The answer is (A). No, the answer is (B).": "B",
    "**Answer**: B) Rome": "B",
    "#### B": "B",
    r"so \boxed{B}": "B",
    r"so \boxed{\text{B}}": "B",
    "B) Rome": "B",
    "B. Rome": "B",
    "(B) Rome": "B",
    "Let me think.\nB": "B",
    "Let me think.\n\n**B**": "B",
    "A. Paris\nB. Rome": None,
    "I think (B)": "B",
    "I would take option B": "B",
    "either (A) or (B)": None,
    "A man walks": None,
    "maybe": None,
    "D": None,
    "Answer: D": None,
    "": None,
}


@pytest.mark.parametrize(("output", "expected"), LETTERS.items())
def test_letter_of_an_output(output, expected):
    assert answers.letter(pl.Series([output]), pl.Series([OPTIONS]))[0] == expected


def test_letter_reads_a_column_as_it_reads_each_of_its_rows():
    together = answers.letter(
        pl.Series("output", [*LETTERS, None]), pl.Series([OPTIONS] * (len(LETTERS) + 1))
    )
    assert together.name == "output"
    assert together.to_list() == [*LETTERS.values(), None]


def test_letter_with_a_number_of_choices_knows_no_texts():
    assert answers.letter(pl.Series(["Rome", "C", "D"]), 3).to_list() == [None, "C", None]
    for wrong in (0, 27):
        with pytest.raises(DataError, match="1 to 26"):
            answers.letter(pl.Series(["A"]), wrong)


def test_letter_of_positions_and_of_rows_without_choices():
    choices = pl.Series([["x", "y"], ["x", "y"], None, []], dtype=pl.List(pl.String))
    assert answers.letter(pl.Series([1, 2, 0, 0]), choices).to_list() == ["B", None, None, None]
    assert answers.letter(pl.Series(["y", "B", "A", "A"]), choices).to_list() == ["B", "B", None, None]
    with pytest.raises(DataError, match="2 outputs for the choices of 4 items"):
        answers.letter(pl.Series(["A", "B"]), choices)


def test_letter_where_the_texts_of_two_options_are_alike():
    choices = pl.Series([["Yes.", "yes"], ["Yes.", "yes"]])
    assert answers.letter(pl.Series(["yes", "YES"]), choices).to_list() == ["B", None]


@given(st.permutations(["Paris", "Rome", "Oslo", "Bern"]), st.integers(0, 3))
def test_choice_does_not_depend_on_the_order_of_the_options(order, chosen):
    items = Items.from_records([{"input": "?", "choices": order}] * 3)
    letter = string.ascii_uppercase[chosen]
    outputs = pl.Series([letter, f"The answer is ({letter})", order[chosen]])
    assert answers.choice(outputs, items).to_list() == [order[chosen]] * 3


def test_choice_needs_choices():
    with pytest.raises(DataError, match="no choices"):
        answers.choice(pl.Series(["A"]), Items.from_records([{"input": "?"}]))


@pytest.mark.parametrize(
    ("references", "choices", "expected"),
    [
        (["Rome", "Oslo"], [["Rome", "Oslo"]] * 2, [0, 1]),
        (["B", "(a)"], [["Rome", "Oslo"]] * 2, [1, 0]),
        ([1, 0], [["Rome", "Oslo"]] * 2, [1, 0]),
        ([1.0, None], [["Rome", "Oslo"]] * 2, [1, None]),
        ([True, False], [["No", "Yes", "True", "False"]] * 2, [2, 3]),
        (["B", "A"], [["B", "A"], ["A", "B"]], [0, 0]),  # options that are letters: the text wins
        (["1", "0"], [["1", "0"], ["0", "1"]], [0, 0]),  # options that are digits: the text wins
        ([2, 1], [["4", "2", "0"], ["x", "y", "z"]], [2, 1]),  # but a column of positions stays one
        (["Rome", "B"], [["Rome", "Oslo"]] * 2, [0, 1]),  # mixed: each in its way
        ([1, 2], [["Rome", "Oslo"]] * 2, [None, None]),  # counted from 1, it seems: never guessed
        (["Rome.", "Bern"], [["Rome", "Oslo"]] * 2, [0, None]),
    ],
)
def test_named_option(references, choices, expected):
    assert answers.named_option(pl.Series(references), pl.Series(choices)).to_list() == expected


def squad(text):
    """Normalise as the SQuAD paper says: lower case, no punctuation, no articles, single spaces."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


@given(st.text(alphabet=string.ascii_letters + " .,;:!?'\"()-_\n\t", max_size=30))
def test_normalized_is_that_of_squad_on_words(text):
    expected = squad(text)
    found = answers.normalized(pl.Series([text]))[0]
    assert found == expected if expected else found == " ".join(text.lower().split())


@given(st.text())
def test_normalized_does_not_depend_on_case_and_space(text):
    words = " ".join(text.split())
    forms = answers.normalized(pl.Series([words, f"  {words}\n", words.replace(" ", " \t ")]))
    assert forms.n_unique() == 1


def test_normalized_by_hand():
    cases = {
        "Don't  STOP!": "dont stop",
        "3.5": "3.5",
        "-3": "-3",
        "3/4": "3/4",
        "1,234": "1234",
        "x < y": "x < y",
        "Straße": "strasse",
        "ＡＢＣ": "abc",
        "Ὀδυσσεύς": "ὀδυσσεύσ",
        "The": "the",
        "...": "...",
        "": "",
    }
    assert answers.normalized(pl.Series(list(cases))).to_list() == list(cases.values())
    assert answers.normalized(pl.Series([1, None])).to_list() == ["1", None]
    with pytest.raises(DataError, match="normalised texts"):
        answers.normalized(pl.Series([["x"]]))


plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
values = st.recursive(
    plain | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_canonical_is_one_form_of_one_value(value):
    flat, loose = json.dumps(value), json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    forms = answers.json_canonical(pl.Series([flat, loose, f"Here:\n```json\n{loose}\n```\nDone."]))
    assert forms.n_unique() == 1
    assert json.loads(forms[0]) == value


def test_json_canonical_by_hand():
    texts = [
        '{"b": 1.0, "a": [2.5, true]}',
        "```\n[1]\n```",
        "[1",
        "NaN",
        "Infinity",
        "words",
        "[" * 100_000,
        None,
    ]
    assert answers.json_canonical(pl.Series(texts)).to_list() == [
        '{"a":[2.5,true],"b":1}',
        "[1]",
        *[None] * 6,
    ]
    assert answers.json_canonical(pl.Series([{"b": 1, "a": [2]}])).to_list() == ['{"a":[2],"b":1}']
    assert answers.json_canonical(pl.Series([1.0, None])).to_list() == ["1", None]
