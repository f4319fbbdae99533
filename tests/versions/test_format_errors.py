"""Answers split by form and content."""

import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.versions.format_errors import format_errors

TEMPLATE = r"####\s*(-?[\d.,]+)"


def test_each_kind_of_answer():
    said = ["#### 7", "#### 8", "The answer is 7", "The answer is 8", ""]
    split = format_errors(said, ["7"] * 5, template=TEMPLATE)
    assert split.valid.tolist() == [True, True, False, False, False]
    assert split.strictly_right.tolist() == [True, False, False, False, False]
    assert split.leniently_right.tolist() == [True, False, True, False, False]
    assert (split.format_error_rate, split.content_error_rate) == (0.6, 0.2)
    assert split.accuracy_given_valid == 0.5
    assert split.validity == pytest.approx(split.strict_accuracy + split.content_error_rate)


def test_references_may_be_worked_answers():
    assert (
        format_errors(["#### 1,250"], ["so 1000 + 250 = 1250 #### 1250"], template=TEMPLATE).strict_accuracy
        == 1
    )


def test_nothing_in_the_template_has_no_accuracy_there():
    assert format_errors(["seven"], ["7"], template=TEMPLATE).accuracy_given_valid == 0


def test_what_is_refused():
    with pytest.raises(ConfigError, match="one group"):
        format_errors(["7"], ["7"], template=r"\d")
    with pytest.raises(ConfigError, match="no regular expression"):
        format_errors(["7"], ["7"], template="(")
    with pytest.raises(DataError, match="1 outputs and 2 references"):
        format_errors(["7"], ["7", "8"], template=TEMPLATE)
