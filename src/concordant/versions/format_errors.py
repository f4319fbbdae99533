r"""Format errors and content errors: of the wrong answers, which are badly written, and which are well written and wrong.

A strict parser reads an answer only where the template says; a lenient one takes the number that an output
gives as its answer, however it is written. An answer
out of the template that the lenient parser finds right is a format error alone; scored strictly, it would count as a lack
of reasoning.

References
----------
M. Raghavendra, V. Nath, S. Hendryx (2024), Revisiting the superficial alignment hypothesis, arXiv:2410.03717.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.agreement.values import number as same_number
from concordant.core.answers import number
from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class FormatErrors:
    """The split, one entry an answer.

    Parameters
    ----------
    valid
        Shape (n,): whether the answer is in the template.
    strictly_right
        Shape (n,): whether what the template holds is right.
    leniently_right
        Shape (n,): whether the number that is given as the answer is right, however it is written.
    """

    valid: NDArray[np.bool_]
    strictly_right: NDArray[np.bool_]
    leniently_right: NDArray[np.bool_]

    @property
    def validity(self) -> float:
        """Share of answers in the template."""
        return float(self.valid.mean())

    @property
    def strict_accuracy(self) -> float:
        """Share of answers that are in the template and right."""
        return float(self.strictly_right.mean())

    @property
    def lenient_accuracy(self) -> float:
        """Share of answers that are right, whatever their form."""
        return float(self.leniently_right.mean())

    @property
    def accuracy_given_valid(self) -> float:
        """Share of right ones among the answers in the template; 0 where there is none."""
        return self.strict_accuracy / self.validity if self.valid.any() else 0.0

    @property
    def format_error_rate(self) -> float:
        """Share of answers out of the template."""
        return 1.0 - self.validity

    @property
    def content_error_rate(self) -> float:
        """Share of answers in the template that are wrong."""
        return float((self.valid & ~self.strictly_right).mean())


def format_errors(outputs: Sequence[str], references: Sequence[str], *, template: str) -> FormatErrors:
    r"""Split answers by their form and their content.

    Parameters
    ----------
    outputs
        What a model wrote.
    references
        The right answers, as many; numbers, or texts whose answer is a number.
    template
        A regular expression with one group, the number; it must be found somewhere in an answer.

    Raises
    ------
    ConfigError
        If the template is no expression with one group.
    DataError
        If there are not as many references as outputs.

    Examples
    --------
    >>> said = ["so it is #### 7", "so it is #### 8", "the answer is 7", "no idea"]
    >>> split = format_errors(said, ["7"] * 4, template=r"####\s*(-?[\d.,]+)")
    >>> split.validity, split.strict_accuracy, split.lenient_accuracy, split.content_error_rate
    (0.5, 0.25, 0.5, 0.25)
    """
    try:
        pattern = re.compile(template)
    except re.error as error:
        message = f"the template {template!r} is no regular expression: {error}"
        raise ConfigError(message) from None
    if pattern.groups != 1:
        message = f"the template {template!r} must have one group, the number, and it has {pattern.groups}"
        raise ConfigError(message)
    if len(outputs) != len(references):
        message = f"there are {len(outputs)} outputs and {len(references)} references"
        raise DataError(message)
    found = [pattern.search(output) for output in outputs]
    strict = pl.Series([match[1] if match else None for match in found], dtype=pl.String)
    right = number(pl.Series(list(references), dtype=pl.String))
    valid = np.array([match is not None for match in found], bool)
    return FormatErrors(
        valid,
        same_number(number(strict), right) == 1.0,
        same_number(number(pl.Series(list(outputs), dtype=pl.String)), right) == 1.0,
    )
