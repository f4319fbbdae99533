"""Process distillation: a small decoder taught by traces of several teachers, and whether it learns their steps.

Data: running arithmetic on a dial of seven, with teachers that show the answer alone, a short trace or a long one.
Method: the short traces first, then the long ones. Baselines: answers alone, and the long traces alone. Controls: both
kinds of traces in one mix, traces of the right form with wrong values, longer problems than were taught; with as many
examples, and once more with as many tokens. Steps are judged by `versions.step_agreement` against the right trace.

At full scale the student is a language model of yours, and the lessons of an intermediate and of a strong teacher are
yours, too: see `NAMES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from concordant.core.items import Items
    from concordant.learn.sequences import Row
    from concordant.models.causal import CausalLM

NAMES = {
    "CONCORDANT_ORCA_MODEL": "a causal language model",
    "CONCORDANT_ORCA_SHORT": "items whose references are the worked replies of the intermediate teacher",
    "CONCORDANT_ORCA_LONG": "items whose references are the worked replies of the strong teacher",
    "CONCORDANT_ORCA_TEST": "items whose references are worked replies to be judged by",
}
"""What environment variables name at full scale; the answer stands last in each worked reply, behind "answer:"."""

FIGURES = {
    "accuracy": "",
    "step_agreement_score": "step_agreement_score",
    "right_with_wrong_trace_rate": "right_with_wrong_trace_rate",
}


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    examples: int = 4000
    n_lines: int = 6
    lengths: tuple[int, ...] = (2, 3, 4)
    tested: int = 300
    width: int = 64
    batch_tokens: int = 256
    rate: float = 2e-3


SIZES = {
    Scale.smoke: Sizes(examples=24, n_lines=3, lengths=(1, 2), tested=12, width=16),
    Scale.pocket: Sizes(),
}


@study(
    "orca",
    claims=[
        Claim("traces-beat-answers", "long.accuracy", "answer.accuracy", "higher"),
        Claim("traces-beat-answers-at-equal-tokens", "long.accuracy", "answer_as_long.accuracy", "higher"),
        Claim("traces-carry-further", "long.longer_accuracy", "answer_as_long.longer_accuracy", "higher"),
        Claim("progressive-beats-direct", "progressive.accuracy", "long_half.accuracy", "higher"),
        Claim(
            "progressive-beats-direct-at-equal-examples", "progressive.accuracy", "long.accuracy", "higher"
        ),
        Claim(
            "progressive-beats-direct-at-equal-tokens",
            "progressive_as_long.accuracy",
            "long.accuracy",
            "higher",
        ),
        Claim("progressive-beats-mixed", "progressive.accuracy", "mixed.accuracy", "higher"),
        Claim("process-not-style", "long.accuracy", "style.accuracy", "higher"),
        Claim("style-like-answers", "style.accuracy", "answer_as_long.accuracy", "lower", margin=-0.05),
        Claim("steps-tell-style", "style.step_agreement_score", "long.step_agreement_score", "lower"),
    ],
    baseline="answers alone, and the traces of the strong teacher alone",
)
def orca(scale: Scale, seed: int) -> Measurements:
    """Measure what students of several teachers answer, and whether their steps are the teacher's."""
    return _your_student(seed) if scale is Scale.full else _small_student(SIZES[scale], seed)


def stages(lessons: Mapping[str, Sequence[Row]], n: int) -> dict[str, list[list[Row]]]:
    """Return what each student is taught, stage by stage.

    Parameters
    ----------
    lessons
        Rows of token ids by what the teacher shows: "answer", "short", "long" and "style", of the same problems.
    n
        How many examples a student has. Those named "as long" have as many tokens as n long examples instead, and "long
        half" has the second stage of "progressive" alone.
    """
    half = n // 2
    long = list(lessons["long"][:n])
    tokens = _n_tokens(long)
    parts = [lessons["short"][:half], lessons["long"][half:n]]
    return {
        **{name: [list(lessons[name][:n])] for name in ("answer", "short", "long", "style")},
        "long_half": [list(parts[1])],
        "progressive": [list(part) for part in parts],
        "mixed": [[row for part in parts for row in part]],
        **{f"{name}_as_long": [up_to(lessons[name], tokens)] for name in ("answer", "short")},
        "progressive_as_long": [
            up_to(lessons["short"], tokens // 2),
            up_to(lessons["long"][half:], tokens // 2),
        ],
    }


def up_to(rows: Sequence[Row], tokens: int) -> list[Row]:
    """Return rows in their order, and again from the first where they end, until they have so many tokens.

    Examples
    --------
    >>> up_to([([1, 2, 3], 1), ([4, 5], 1)], 6)
    [([1, 2, 3], 1), ([4, 5], 1), ([1, 2, 3], 1)]
    """
    taken: list[Row] = []
    left = tokens
    for row in cycle(rows):
        if left <= 0:
            break
        taken.append(row)
        left -= len(row[0])
    return taken


def _n_tokens(rows: Iterable[Row]) -> int:
    return sum(len(ids) for ids, _ in rows)


def judged(name: str, answer: Callable[[str], str], items: Items, *, prefix: str = "") -> dict[str, float]:
    """Return accuracy and step agreement of a student on items with a column ``trace``; 0 where nothing could be judged.

    Parameters
    ----------
    name
        Of the student, before the names of the figures.
    answer
        What the student replies to a question.
    items
        The questions, with references and right traces.
    prefix
        Before the name of each figure.
    """
    from concordant.core.check import check
    from concordant.models.load import load
    from concordant.versions import StepAgreement

    relation = StepAgreement(column="trace")
    found = check(load(answer), items, [relation], slices=[], progress=False)[relation.name]
    values = {
        figure: found.findings[m].value if m in found.findings else 0.0 for figure, m in FIGURES.items()
    }
    values["accuracy"] = found.answers["model"].accuracy()
    return {f"{name}.{prefix}{figure}": float(value) for figure, value in values.items()}


def _small_student(n: Sizes, seed: int) -> dict[str, float]:
    """Teach small decoders running arithmetic, and ask them problems of the taught lengths and of full length."""
    from concordant.core.items import Items
    from concordant.learn.randomness import child_seeds
    from concordant.studies import running_arithmetic as world
    from concordant.studies.small_decoder import greedy_rows, new_decoder, trained

    rng = np.random.default_rng(seed)
    model_seed, order_seed = child_seeds(seed, 2)
    pool = world.draw_problems(rng, 4 * n.examples, n.n_lines, n.lengths)
    lessons = {
        level: [world.token_row(problem.question(), world.solution(problem, level, rng)) for problem in pool]
        for level in ("answer", "short", "long", "style")
    }
    asked = {}
    for prefix, lengths in (("", n.lengths), ("longer_", (n.n_lines,))):
        problems = world.draw_problems(rng, n.tested, n.n_lines, lengths)
        rows = [
            {
                "id": str(i),
                "input": p.question(),
                "reference": p.values()[-1],
                "trace": world.solution(p, "long", rng),
            }
            for i, p in enumerate(problems)
        ]
        asked[prefix] = Items.from_records(rows)
    longest = max(len(ids) for ids, _ in lessons["long"])
    measured: dict[str, float] = {}
    for name, taught in stages(lessons, n.examples).items():
        model = new_decoder(len(world.WORDS), width=n.width, layers=2, positions=longest, seed=model_seed)
        for part in taught:
            trained(model, part, rate=n.rate, tokens=n.batch_tokens, seed=order_seed)
        for prefix, items in asked.items():
            questions = items.inputs.to_list()
            prompts = [ids[:given] for ids, given in (world.token_row(text, "") for text in questions)]
            replies = map(world.words_of, greedy_rows(model, prompts, longest, end=world.EOS))
            said = dict(zip(questions, replies, strict=True))
            measured |= judged(name, said.__getitem__, items, prefix=prefix)
    return measured


def _your_student(seed: int) -> dict[str, float]:
    """Teach a language model of yours by the lessons of two teachers of yours."""
    from concordant.studies.small_language import lesson_rows, taught
    from concordant.studies.your_models import named, your_items, your_model

    model_name, *files = named("orca", NAMES).values()
    student = your_model(model_name)
    short, long, test = map(your_items, files)
    if short.inputs.to_list() != long.inputs.to_list():
        message = "the two teachers of the study orca must answer the same questions, in the same order"
        raise DataError(message)
    questions, worked = long.inputs.to_list(), long.reference.to_list()  # type: ignore[union-attr]
    others = np.random.default_rng(seed).permutation(len(worked))
    replies = {
        "answer": [f"answer: {_final(text)}" for text in worked],
        "short": short.reference.to_list(),  # type: ignore[union-attr]
        "long": worked,
        # Of the right form, and about another question.
        "style": [
            text.replace(f"answer: {_final(text)}", f"answer: {_final(worked[i])}")
            for i, text in enumerate(worked[j] for j in others)
        ],
    }
    lessons = {
        level: lesson_rows(student, list(zip(questions, said, strict=True)))
        for level, said in replies.items()
    }
    traces = test.reference.to_list()  # type: ignore[union-attr]
    asked = test.replace(reference=[_final(text) for text in traces], trace=traces)
    measured: dict[str, float] = {}
    for name, parts in stages(lessons, len(questions)).items():
        model = student
        for rows in parts:
            model = taught(model, rows, epochs=4, rate=2e-5, seed=seed)
        measured |= judged(name, partial(_reply, model), asked)
        # Longer problems are not marked in items of yours.
        measured[f"{name}.longer_accuracy"] = measured[f"{name}.accuracy"]
    return measured


def _reply(model: CausalLM, question: str) -> str:
    return model.generate([question], max_tokens=1024)[0][0].text


def _final(reply: str) -> str:
    return reply.rpartition("answer:")[2].strip()
