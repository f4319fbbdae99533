"""The outcome of a behaviour: right, wrong, ungraded or error.

A grader reads the comparable answer out of an output and says whether it is correct. Verdicts that were
recorded with a behaviour win over it; a failure is an error and never wrong; an output in which no answer was
found is wrong and marked as unparsed, so that failures of the parser can be told from failures of the model.
"""

from concordant.core.grading.default import default_grader
from concordant.core.grading.graders import GRADERS, Grader, grader
from concordant.core.grading.outcome import OUTCOME, OUTCOMES, grade

__all__ = ["GRADERS", "OUTCOME", "OUTCOMES", "Grader", "default_grader", "grade", "grader"]
