"""The model card of a pocket model: what it is, how it was made, and what it can do."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment

from concordant.pocket import recipes
from concordant.pocket.released import load_pocket
from concordant.pocket.sampling import TEST_PERCENT
from concordant.pocket.skill_table import skill_items, skill_table
from concordant.pocket.skills import SKILLS

if TYPE_CHECKING:
    import polars as pl

    from concordant.core.items import Items
    from concordant.pocket.recipes import Recipe

CARD = "README.md"

TEMPLATE = Path(__file__).with_name("card.md.jinja")


def write_card(folder: str | Path, recipe: Recipe, steps: int, items: Items | None = None) -> pl.DataFrame:
    """Ask a model the test items and write its card, ``README.md``, into its folder.

    Parameters
    ----------
    folder
        Of the model.
    recipe
        How it was made.
    steps
        Optimiser steps it was trained for.
    items
        What it is asked; `skill_items` by default.

    Returns
    -------
    pl.DataFrame
        The table of `skill_table`.
    """
    folder = Path(folder)
    model = load_pocket(str(folder), device="cpu")
    table = skill_table(model, skill_items() if items is None else items)
    parameters = model.language_model.model.num_parameters()  # type: ignore[attr-defined]
    (folder / CARD).write_text(card(recipe, steps, parameters, table), encoding="utf-8")
    return table


def card(recipe: Recipe, steps: int, parameters: int, table: pl.DataFrame) -> str:
    """Return the text of a card.

    Parameters
    ----------
    recipe, steps
        How the model was made.
    parameters
        How many weights it has, the tied ones once.
    table
        From `skill_table`.
    """
    mix = recipe.mix
    total = sum(mix.shares.values())
    abouts = {name: skill.about for name, skill in SKILLS.items()} | {"all": "all of them"}
    return (
        Environment(keep_trailing_newline=True, autoescape=False)
        .from_string(TEMPLATE.read_text(encoding="utf-8"))
        .render(
            recipe=recipe,
            recipes=recipes,
            parameters=parameters,
            steps=steps,
            shares={skill: share / total for skill, share in mix.shares.items()},
            versions={name: version(name) for name in ("torch", "transformers")},
            test_percent=TEST_PERCENT,
            table=[{**row, "about": abouts[row["skill"]]} for row in table.iter_rows(named=True)],
        )
    )
