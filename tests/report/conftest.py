import pytest

from report.made_reports import several_report


@pytest.fixture(scope="module")
def report():
    """A report of several relations; see `made_reports`."""
    return several_report()
