"""The report: one self-contained page, a terminal table, JSON, Markdown, Parquet, JUnit, and charts for notebooks.

`Report.save` picks the writer by the suffix of the file; each is an entry point of the group ``concordant.writers``.
"""

from __future__ import annotations

from concordant.report.charts import flip_matrix as flip_matrix
from concordant.report.charts import forest as forest
from concordant.report.charts import intervals as intervals
from concordant.report.documents import to_json as to_json
from concordant.report.documents import to_markdown as to_markdown
from concordant.report.html import fragment as fragment
from concordant.report.junit import to_junit as to_junit
from concordant.report.sanitize import visible as visible
from concordant.report.terminal import print_comparison as print_comparison
from concordant.report.terminal import print_report as print_report
