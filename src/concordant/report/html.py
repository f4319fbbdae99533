"""The report as one HTML file that needs nothing else, and as a fragment for notebooks.

The page asks the network for nothing and runs only the script that is in it: its Content-Security-Policy allows the one
style sheet and the one script by their digests, and nothing besides. All text goes through Jinja's autoescape after
`visible` has made control characters inert.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.report.charts import forest_spec, to_svg
from concordant.report.files import write_text
from concordant.report.page import page, summary
from concordant.report.palette import DARK, LIGHT
from concordant.report.retention import is_retention, retention_spec
from concordant.report.telling import leading_slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from concordant.core.results import Report

TEMPLATES = Path(__file__).parent / "templates"
MAX_BYTES = 4_500_000
LIMITS = (2000, 500, 100)


def write(report: Report, path: Path) -> None:
    """Write the report as one self-contained HTML file; `StoreError` where it cannot be written."""
    write_text(path, render(report))


def render(report: Report) -> str:
    """Return the page; where model texts would make it too large they are cut shorter."""
    charts = _charts(report)
    text = ""
    for limit in LIMITS:
        text = _page(report, charts, limit)
        if len(text.encode()) <= MAX_BYTES:
            break
    return text


def fragment(report: Report) -> str:
    """Return the verdict, the gates and the findings as a piece of HTML, for notebooks."""
    template = _environment().get_template("fragment.html.j2")
    return template.render(**summary(report), css=_style("base.css.j2"))


def _page(report: Report, charts: dict[str, list[str]], limit: int) -> str:
    return whole_page("page.html.j2", **page(report, limit=limit), charts=charts)


def whole_page(
    template: str, *, charts: dict[str, list[str]], styles: Sequence[str] = (), **values: Any
) -> str:
    """Return a page that stands alone.

    Parameters
    ----------
    template
        Name of its template, which has the policy, the style sheet and the script at its head and foot.
    charts
        SVG texts by name, in a wide and a narrow form.
    styles
        Names of further style sheets.
    values
        What the template shows.
    """
    from markupsafe import Markup

    css = "".join(map(_style, ("base.css.j2", "page.css.j2", *styles)))
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    text: str = (
        _environment()
        .get_template(template)
        .render(
            **values,
            css=Markup(css),
            script=Markup(script),
            style_digest=_digest(css),
            script_digest=_digest(script),
            charts={name: [Markup(svg) for svg in svgs] for name, svgs in charts.items()},
        )
    )
    return text.lstrip()


def _charts(report: Report) -> dict[str, list[str]]:
    """Draw the forest plots of all relations that have slices, in a wide and a narrow form, and maps of retention."""
    worst = {result.name: leading_slices(report, result, 1) for result in report.results.values()}
    wanted = [(report[name], slices[0].measure) for name, slices in worst.items() if slices]
    svgs = to_svg(forest_spec(*which, compact=narrow) for which in wanted for narrow in (False, True))
    forests = {result.name: svgs[2 * i : 2 * i + 2] for i, (result, _) in enumerate(wanted)}
    retained = [result for result in report.results.values() if is_retention(result)]
    maps = zip(retained, to_svg(map(retention_spec, retained)), strict=True)
    return forests | {f"{result.name} map": [svg] for result, svg in maps}


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style(name: str) -> Any:
    from markupsafe import Markup

    return Markup(_environment().get_template(name).render(light=LIGHT, dark=DARK))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
