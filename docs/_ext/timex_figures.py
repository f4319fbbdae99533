"""The table of the study of TimeX, written into its page when the documentation is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.report.timex_figures import timex_figures
from concordant.studies.evidence.records import recorded

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGE, PLACE = "timex-figures", "<!-- the table -->"


def write(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the table of the recorded result in its place."""
    del app
    if page == PAGE:
        source[0] = source[0].replace(PLACE, timex_figures(recorded()["timex"]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what writes."""
    app.connect("source-read", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
