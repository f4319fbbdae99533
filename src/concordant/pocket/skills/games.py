"""Two-by-two games with moves J and F, worded as rules and a history (compare Akata et al. 2025)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import number, pick, several
from concordant.pocket.skill import Example, Skill

if TYPE_CHECKING:
    from numpy.random import Generator

MOVES = ("J", "F")


def draw(rng: Generator, difficulty: int) -> Example:
    """Draw a game and ask for a payoff (difficulty 1), the best reply (2), or the other's best reply to your move (3)."""
    pays: dict[tuple[str, str], tuple[int, int]] = {}
    while not pays:
        mine, theirs = ([number(rng, 0, 10) for _ in range(4)] for _ in range(2))
        if mine[0] != mine[2] and mine[1] != mine[3] and theirs[0] != theirs[1] and theirs[2] != theirs[3]:
            cells = [(a, b) for a in MOVES for b in MOVES]
            pays = dict(zip(cells, zip(mine, theirs, strict=True), strict=True))
    rules = [
        f"if you play {a} and the other plays {b} , you get {yours} and the other gets {others} ."
        for (a, b), (yours, others) in pays.items()
    ]
    a, b = pick(rng, MOVES), pick(rng, MOVES)
    if difficulty == 1:
        form, side = "payoff", pick(rng, ("you", "the other"))
        question = f"you play {a} and the other plays {b} . how much {'do' if side == 'you' else 'does'} {side} get ?"
        answer = str(pays[a, b][0 if side == "you" else 1])
    elif difficulty == 2:
        form, question = "best reply", f"the other plays {b} . which move is best for you ?"
        answer = max(MOVES, key=lambda move: pays[move, b][0])
    else:
        form, question = "best reply of the other", f"you play {a} . which move is best for the other ?"
        answer = max(MOVES, key=lambda move: pays[a, move][1])
    game = " ".join(several(rng, rules, 4))
    choices = tuple(several(rng, MOVES, 2)) if difficulty > 1 else None
    return Example(f"{game} {question}", answer, "games", difficulty, form, " ".join(rules), choices)


def work_out(prompt: str) -> str:
    """Read the table of payoffs out of the rules."""
    rule = r"if you play (\w) and the other plays (\w) , you get (\d+) and the other gets (\d+) \."
    table = {(a, b): (int(mine), int(theirs)) for a, b, mine, theirs in re.findall(rule, prompt)}
    question = re.sub(rule, "", prompt)
    mine, theirs = re.findall(r"you play (\w)", question), re.findall(r"other plays (\w)", question)
    if "how much" in question:
        return str(table[mine[0], theirs[0]]["do you" not in question])
    if "best for you" in question:
        return "J" if table["J", theirs[0]][0] > table["F", theirs[0]][0] else "F"
    return "J" if table[mine[0], "J"][1] > table[mine[0], "F"][1] else "F"


SKILL = Skill("games", "payoffs and best replies in two-by-two games", (1, 2, 3), draw, work_out)
