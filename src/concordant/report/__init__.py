"""The report: one self-contained page, a terminal table, JSON, Markdown, Parquet, JUnit, and charts for notebooks.

`Report.save` picks the writer by the suffix of the file; each is an entry point of the group ``concordant.writers``. The
names below are imported when they are first used, so that `sanitize`, which error messages need, costs nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.report.charts import flip_matrix as flip_matrix
    from concordant.report.charts import forest as forest
    from concordant.report.charts import intervals as intervals
    from concordant.report.documents import to_json as to_json
    from concordant.report.documents import to_markdown as to_markdown
    from concordant.report.heads import head_map as head_map
    from concordant.report.html import fragment as fragment
    from concordant.report.junit import to_junit as to_junit
    from concordant.report.retention import retention_map as retention_map
    from concordant.report.sanitize import visible as visible
    from concordant.report.terminal import print_comparison as print_comparison
    from concordant.report.terminal import print_report as print_report

_HOME = {
    "flip_matrix": "charts",
    "forest": "charts",
    "fragment": "html",
    "head_map": "heads",
    "intervals": "charts",
    "print_comparison": "terminal",
    "print_report": "terminal",
    "retention_map": "retention",
    "to_json": "documents",
    "to_junit": "junit",
    "to_markdown": "documents",
    "visible": "sanitize",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME)
