"""The skills of the pocket world, one file each, and their registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.pocket.skills import (
    arithmetic,
    beliefs,
    choice,
    countdown,
    counting,
    dialogues,
    facts,
    gambles,
    games,
    ordering,
    programs,
    siblings,
    styles,
    twenty,
    worked,
)

if TYPE_CHECKING:
    from concordant.pocket.skill import Skill

MODULES = (
    facts, choice, arithmetic, worked, ordering, counting, siblings, beliefs,
    programs, gambles, games, countdown, twenty, styles, dialogues,
)  # fmt: skip

SKILLS: dict[str, Skill] = {module.SKILL.name: module.SKILL for module in MODULES}
"""Every skill by its name."""
