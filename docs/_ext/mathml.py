"""Formulas as MathML, which browsers show by themselves: a page needs no script and no network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SIZES = re.compile(r"\\(?:[bB]igg?[lrm]?)(?![a-zA-Z])")  # browsers stretch brackets by themselves
SHORT_FRACTION = re.compile(
    r"(\\[dt]?frac)\s*(\d)\s*(\w)"
)  # \frac12, which docutils reads as 12 over what follows
logger = logging.getLogger(__name__)


def to_mathml(latex: str, *, block: bool, place: nodes.Node) -> str:
    """Return a formula in LaTeX as one MathML element; one that cannot be read is a warning, and left out."""
    plain = SHORT_FRACTION.sub(r"\1{\2}{\3}", SIZES.sub("", latex))
    try:
        return tex2mathml(plain, as_block=block)
    except MathError as error:
        logger.warning("formula %r: %s", latex, error, location=place)
        return ""


def inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a sentence."""
    translator.body.append(to_mathml(node.astext(), block=False, place=node))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula that stands alone."""
    translator.body.append(f'<div class="math">{to_mathml(node.astext(), block=True, place=node)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
