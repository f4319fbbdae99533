"""Small programs with traces in the manner of REval (Chen et al. 2025): coverage, state, path and output.

Four questions may be asked about one run, which is their `group` and falls as a whole into train or test. A
line may be run more than once: then any of its states, or of the lines that follow it, is right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from concordant.pocket.draws import coin, number, pick
from concordant.pocket.skill import Example, Skill, one_of

if TYPE_CHECKING:
    from numpy.random import Generator

NAMES = ("x", "y")


def draw_group(rng: Generator, difficulty: int) -> list[Example]:
    """Draw a program and ask all four questions about one of its lines.

    It has plain lines only (difficulty 1), a choice too (2), or a choice and a loop (3).
    """
    while True:
        values = {"x": number(rng, 0, 9), "y": number(rng, 0, 9)}
        lines = [f"{name} = {value}" for name, value in values.items()]
        trace = [(1, "x", values["x"]), (2, "y", values["y"])]
        blocks = [
            "plain",
            *(["choice"] if difficulty > 1 else ["plain"]),
            *(["loop"] if difficulty > 2 else []),
        ]
        for i in rng.permutation(len(blocks)):
            _block(rng, blocks[i], lines, values, trace)
        if all(0 <= value <= 99 for _, name, value in trace if name):
            break
    shown = pick(rng, NAMES)
    lines.append(f"print {shown}")
    trace.append((len(lines), "", 0))
    program = "program : " + " ; ".join(f"line {i} : {line}" for i, line in enumerate(lines, 1)) + " ."
    steps = " ".join(f"line {i} {name} {value} ;" if name else f"line {i} ;" for i, name, value in trace)
    questions = _questions(rng, lines, trace, str(values[shown]))
    return [
        Example(
            f"{program} question : {question}", answer, "programs", difficulty, form, program, steps=steps
        )
        for form, (question, answer) in questions.items()
    ]


def _block(
    rng: Generator, kind: str, lines: list[str], values: dict[str, int], trace: list[tuple[int, str, int]]
) -> None:
    """Add a block of lines and run it at once."""

    def step(*, run: bool, times: int = 1) -> None:
        name, other, sign, value = pick(rng, NAMES), pick(rng, NAMES), pick(rng, "+-"), number(rng, 1, 9)
        lines.append(f"{name} = {other} {sign} {value}")
        for _ in range(times if run else 0):
            if head:
                trace.append((head, "", 0))
            values[name] = values[other] + (value if sign == "+" else -value)
            trace.append((len(lines), name, values[name]))

    head = 0
    if kind == "plain":
        step(run=True)
    elif kind == "loop":
        times = number(rng, 2, 3)
        lines.append(f"repeat {times} times :")
        head = len(lines)
        step(run=True, times=times)
        trace.append((head, "", 0))
    else:
        name, bound = pick(rng, NAMES), number(rng, 1, 12)
        holds = values[name] > bound
        lines.append(f"if {name} > {bound} :")
        trace.append((len(lines), "", 0))
        step(run=holds)
        lines.append("else :")
        step(run=not holds)


def _questions(
    rng: Generator, lines: list[str], trace: list[tuple[int, str, int]], printed: str
) -> dict[str, tuple[str, str]]:
    """Ask about a line that sets a variable, half of the time one that is not run where there is one."""
    sets = [i for i, line in enumerate(lines, 1) if " = " in line]
    skipped = [i for i in sets if i not in {j for j, _, _ in trace}]
    line = pick(rng, skipped if skipped and coin(rng) else sets)
    name = lines[line - 1].split()[0]
    visits = [(str(value), str(trace[k + 1][0])) for k, (i, _, value) in enumerate(trace) if i == line]
    state, after = visits[-1] if visits else ("nothing", "nothing")
    return {
        "coverage": (f"is line {line} run ?", "yes" if visits else "no"),
        "state": (f"what is {name} after line {line} ?", state),
        "path": (f"which line is run after line {line} ?", after),
        "output": ("what is printed ?", printed),
    }


def run(program: str) -> tuple[list[tuple[int, dict[str, int]]], int]:
    """Run the text of a program line by line; return each line run with the state after it, and what is printed.

    Examples
    --------
    >>> run("program : line 1 : x = 3 ; line 2 : y = x + 1 ; line 3 : print y .")
    ([(1, {'x': 3}), (2, {'x': 3, 'y': 4}), (3, {'x': 3, 'y': 4})], 4)
    """
    code = re.findall(r"line \d+ : (.+?) (?=; line|\.$)", program)
    state: dict[str, int] = {}
    visited: list[tuple[int, dict[str, int]]] = []
    left: dict[int, int] = {}
    at = 0
    while True:
        said, i, at = code[at].split(), at, at + 1
        if said[0] == "if" and not state[said[1]] > int(said[3]):
            at = i + 3  # the line after else
        elif said[0] == "repeat":
            left[i] = left.get(i, int(said[1])) - 1
            at = i + 1 if left[i] >= 0 else i + 2
        elif said[0] == "else":
            at = i + 2
            continue
        elif said[1:2] == ["="]:
            first = state[said[2]] if said[2] in state else int(said[2])
            more = int(said[4]) if len(said) > 3 else 0
            state[said[0]] = first - more if "-" in said else first + more
            if i and code[i - 1].startswith("repeat"):
                at = i - 1
        visited.append((i + 1, dict(state)))
        if said[0] == "print":
            return visited, state[said[1]]


def right_answers(prompt: str) -> list[str]:
    """Return every right answer to a question about a run."""
    program, question = prompt.split(" question : ")
    visited, printed = run(program)
    if "printed" in question:
        return [str(printed)]
    line = int(question.split()[-2] if question.split()[-2].isdigit() else question.split()[2])
    at = [k for k, (i, _) in enumerate(visited) if i == line]
    if question.startswith("is line"):
        return ["yes" if at else "no"]
    if question.startswith("which line"):
        return [str(visited[k + 1][0]) for k in at] or ["nothing"]
    name = question.split()[2]
    return [str(visited[k][1][name]) for k in at] or ["nothing"]


def work_out(prompt: str) -> str:
    """Run the program and look up the last visit."""
    return right_answers(prompt)[-1]


def accepts(prompt: str, answer: str) -> bool:
    """Whether the answer is right of any visit of the line."""
    return answer in right_answers(prompt)


ABOUT = "coverage, state, path and output of small programs"
SKILL = Skill("programs", ABOUT, (1, 2, 3), one_of(draw_group), work_out, accepts, draw_group)
