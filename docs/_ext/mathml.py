"""Formulas as MathML, which browsers show by themselves: a page needs no script and no network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math import MathError, mathml_elements
from docutils.utils.math.latex2mathml import parse_latex_math
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SIZES = re.compile(r"\\(?:[bB]igg?[lrm]?)(?![a-zA-Z])")  # browsers stretch brackets by themselves
logger = logging.getLogger(__name__)


def to_mathml(latex: str, *, block: bool, place: nodes.Node) -> str:
    """Return a formula in LaTeX as one MathML element; what cannot be read is a warning and stays as it is."""
    root = mathml_elements.math(
        xmlns="http://www.w3.org/1998/Math/MathML", **({"display": "block"} if block else {})
    )
    try:
        parse_latex_math(root, SIZES.sub("", latex))
    except MathError as error:
        logger.warning("formula %r: %s", latex, error, location=place)
        return f"<code>{nodes.unescape(latex)}</code>"
    return str(root.toxml())


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
