"""Check files: ``check.yaml``, the same as the Python interface says, in a file."""

from concordant.suite.schema import suite_schema as suite_schema
from concordant.suite.suite import Suite as Suite
