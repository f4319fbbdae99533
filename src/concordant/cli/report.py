"""The verb ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from concordant.cli.options import Json, Junit, Output, TrustCode


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")],
    *,
    output: Output = None,
    json: Json = False,
    junit: Junit = None,
    trust_code: TrustCode = False,
) -> int:
    """Show again what a run found, without asking any model.

    The recorded answers are judged again by the check file that the run keeps; the run itself is not touched.

    For example:

        concordant report runs/check-20260131-120000 -o report.html
    """
    from concordant.cli.output import clean_stdout, deliver
    from concordant.suite.again import judged_again

    with clean_stdout():
        found = judged_again(run, trust_code=trust_code)
    return deliver(found, json=json, outputs=output or [], junit=junit)
