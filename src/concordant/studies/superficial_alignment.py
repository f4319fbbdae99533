"""Superficial alignment revisited: what grows with the number of examples of post-training, and what is soon there.

A small language model is pre-trained on documents about operations on numbers. It is then post-trained on growing,
nested sets of questions that need two operations, answered in a template it has never seen. Format and content of the
answers are graded apart, a reader who only sees the form stands for the preference judge, and both laws of scaling are
fitted to the accuracy. A last part teaches new operations by documents, and asks questions that need them: of the base
after a little post-training (the format alone), and of the model that was post-trained on reasoning.

Every subset gets the same number of steps; with the same number of epochs small sets would hardly be trained at all.
"""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from concordant.learn.sequences import Row
    from concordant.studies.two_step_world import TwoStepWorld
    from concordant.versions.format_errors import FormatErrors

MODEL, DATA = "CONCORDANT_SUPERFICIAL_MODEL", "CONCORDANT_SUPERFICIAL_DATA"
"""A base model (a folder or a name of the hub), and a folder with ``train.jsonl`` and ``test.jsonl``: ``prompt`` and
``answer``, where an answer ends in the template of GSM8K, ``#### number``."""

ENOUGH = 0.95
"""Share of its last value from which a curve counts as saturated."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    operations: int = 12
    numbers: int = 31
    new_operations: int = 2
    width: int = 64
    base_steps: int = 400
    steps: int = 250
    tokens: int = 512
    fact_steps: int = 150
    test: int = 400
    examples: tuple[int, ...] = (25, 50, 100, 200, 400, 800, 1600, 3200)
    format_examples: int = 100


SIZES = {
    Scale.smoke: Sizes(3, 5, 1, 16, 12, 8, 256, 8, 15, (4, 8, 16, 24), 4),
    Scale.pocket: Sizes(),
}


@study(
    "superficial-alignment",
    claims=[
        Claim("format-before-reasoning", "format.log2_examples", "accuracy.log2_examples", "lower"),
        Claim("preference-saturates-first", "judge.log2_examples", "accuracy.log2_examples", "lower"),
        Claim("accuracy-grows-as-a-power", "power_law.r_squared", 0.9, "higher"),
        Claim("reasoning-errors-keep-falling", "most.content_error_rate", "some.content_error_rate", "lower"),
        Claim(
            "post-training-uses-new-facts",
            "post_trained.new_fact_accuracy",
            "base.new_fact_accuracy",
            "higher",
        ),
    ],
    baseline="the same base after post-training on few examples, which fixes the format",
)
def superficial_alignment(scale: Scale, seed: int) -> Measurements:
    """Measure format, accuracy and the use of new facts after post-training on nested sets of examples."""
    if scale is Scale.full:
        return _your_model(seed)
    return _two_steps(SIZES[scale], seed)


def _two_steps(n: Sizes, seed: int) -> dict[str, float]:
    from concordant.learn.randomness import child_seeds
    from concordant.pocket.recipes import Size
    from concordant.pocket.training import new_model
    from concordant.studies.two_step_world import TwoStepWorld, graded, greedy, likeness, trained

    world_seed, base_seed, post_seed, fact_seed = child_seeds(seed, 4)
    rng = np.random.default_rng(world_seed)
    world = TwoStepWorld.drawn(rng, n.operations + n.new_operations, n.numbers)
    known = range(n.operations)
    documents = world.documents(known)
    base: Any = new_model(Size(n.width, 2, 4, 2 * n.width), seed=base_seed)
    texts = documents * 4 + world.idle_texts(rng, 2 * len(documents))
    trained(base, texts, steps=n.base_steps, rate=4e-3, tokens=2 * n.tokens, seed=base_seed)

    pool = zipf_order(rng, world.questions(known, known))
    held_out = np.zeros(len(pool), bool)
    held_out[rng.permutation(max(n.examples) + n.test)[: n.test]] = True
    asked, lessons = pool[held_out], world.lessons(pool[~held_out])
    models: dict[int, nn.Module] = {}
    results: dict[int, FormatErrors] = {}
    alike: list[float] = []
    for count in n.examples:
        model = copy.deepcopy(base)
        options: dict[str, Any] = {"steps": n.steps, "rate": 3e-3, "tokens": n.tokens, "seed": post_seed}
        models[count] = trained(model, lessons[:count], **options)
        said = greedy(models[count], world.prompts(asked))
        results[count] = graded(world, asked, said)
        alike.append(likeness(world, asked, said))
    models = {count: models[count] for count in (n.format_examples, max(n.examples))}
    measured = {
        f"post_trained.{name}@{count}": float(getattr(found, name))
        for count, found in results.items()
        for name in ("validity", "accuracy_given_valid", "lenient_accuracy", "content_error_rate")
    }
    measured |= _growth(results, alike, n.format_examples)
    return measured | _new_facts(world, n, models, lessons[: n.format_examples], fact_seed)


def zipf_order(rng: np.random.Generator, questions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return questions in a random order in which those with operations of a low number tend to come first.

    Operations come up by Zipf's law: the first questions are a sample without replacement with weights
    :math:`1 / ((1 + i)(1 + j))` of the two operations.
    """
    weights = 1.0 / ((1.0 + questions[:, 1]) * (1.0 + questions[:, 2]))
    return questions[np.argsort(rng.exponential(size=len(questions)) / weights)]


def log2_examples_to_saturate(examples: Sequence[int], values: Sequence[float]) -> float:
    """Return the binary logarithm of the examples at which a curve first reaches 95 % of its last value.

    Parameters
    ----------
    examples
        Growing numbers of examples.
    values
        What was measured at each; between two of them the curve is straight in the logarithm.

    Examples
    --------
    >>> log2_examples_to_saturate([4, 8, 16], [0.0, 0.95, 1.0]), log2_examples_to_saturate([4, 8], [1.0, 1.0])
    (3.0, 2.0)
    """
    wanted = ENOUGH * values[-1]
    logs = np.log2(examples)
    first = int(np.argmax(np.asarray(values) >= wanted))
    if first == 0:
        return float(logs[0])
    before, after = values[first - 1], values[first]
    share = (wanted - before) / (after - before)
    return float(logs[first - 1] + share * (logs[first] - logs[first - 1]))


def _growth(results: dict[int, FormatErrors], alike: list[float], some: int) -> dict[str, float]:
    """Return when curves saturate, and the fits of both laws to the accuracy of answers in the template."""
    from concordant.versions.scaling import fit_points

    examples = list(results)
    curves = {
        "format": [found.validity for found in results.values()],
        "judge": alike,
        "accuracy": [found.lenient_accuracy for found in results.values()],
    }
    measured = {
        f"{name}.log2_examples": log2_examples_to_saturate(examples, values)
        for name, values in curves.items()
    }
    measured["some.content_error_rate"] = results[some].content_error_rate
    measured["most.content_error_rate"] = results[examples[-1]].content_error_rate
    accuracy = [found.accuracy_given_valid for found in results.values()]
    if sum(0 < value < ENOUGH for value in accuracy) < 2:  # nothing to draw a line through
        return measured | {"power_law.r_squared": 0.0, "power_law.exponent": 0.0}
    fit = fit_points(examples, accuracy, ceiling=1.0, n_replicates=1)
    for law in fit.laws:
        measured[f"{law.name}_law.r_squared"] = law.law.r_squared
        measured[f"{law.name}_law.exponent"] = law.law.exponent
        if law.held_out_error is not None:
            measured[f"{law.name}_law.held_out_error"] = law.held_out_error
    return measured


def _new_facts(
    world: TwoStepWorld, n: Sizes, models: dict[int, nn.Module], lessons: Sequence[Row], seed: int
) -> dict[str, float]:
    """Teach new operations by documents, and ask questions with one new operation and one old.

    Both models read the same documents, of the new operations and of the old, and the few lessons that fix the format, which
    documents alone would make them forget.
    """
    from concordant.studies.two_step_world import graded, greedy, trained

    new = range(n.operations, n.operations + n.new_operations)
    rng = np.random.default_rng(seed)
    rows = world.documents(new) * 2 + world.documents(range(n.operations)) + list(lessons)
    some = rng.permutation(world.questions(new, range(n.operations)))[: n.test // 2]
    others = rng.permutation(world.questions(range(n.operations), new))[: n.test // 2]
    questions = np.concatenate([some, others])
    measured = {}
    for name, model in zip(("base", "post_trained"), models.values(), strict=True):
        taught = copy.deepcopy(model)
        trained(taught, rows, steps=n.fact_steps, rate=1e-3, tokens=n.tokens, seed=seed)
        facts = np.array([row for row, _ in world.documents(new)])
        recalled = greedy(taught, facts[:, :4], 1)[:, 0] == facts[:, 4]
        found = graded(world, questions, greedy(taught, world.prompts(questions)))
        measured[f"{name}.new_fact_recall"] = float(recalled.mean())
        measured[f"{name}.new_fact_accuracy"] = found.lenient_accuracy
        measured[f"{name}.new_fact_validity"] = found.validity
    return measured


def _your_model(seed: int) -> dict[str, float]:
    """Post-train a base model of yours on nested sets of worked answers, and split its errors into format and content."""
    name, folder = os.environ.get(MODEL), os.environ.get(DATA)
    if not name or not folder or not Path(folder).is_dir():
        message = (
            f"the study 'superficial-alignment' at full scale needs a base model that {MODEL} names and a folder of data "
            f"that {DATA} names, got {name or 'none'} and {folder or 'none'}"
        )
        raise ConfigError(message)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from concordant.models.causal import CausalLM
    from concordant.studies.small_language import greedy_answers, lesson_rows, taught
    from concordant.versions.format_errors import format_errors

    train, test = (_read(Path(folder) / f"{part}.jsonl") for part in ("train", "test"))
    order = np.random.default_rng(seed).permutation(len(train))
    base = CausalLM(
        AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name), name=name
    )
    measured: dict[str, float] = {}
    curves: dict[str, list[float]] = {"format": [], "accuracy": []}
    examples = [count for count in (100, 500, 1000, 5000, 10_000) if count <= len(train)] or [len(train)]
    for count in examples:
        rows = lesson_rows(base, [train[i] for i in order[:count]])
        model = taught(base, rows, epochs=5, rate=1e-5, seed=seed, tokens=4096)
        said = greedy_answers(model, [prompt for prompt, _ in test], max_tokens=400)
        split = format_errors(said, [answer for _, answer in test], template=r"####\s*(-?[\d.,]+)\s*$")
        curves["format"].append(split.validity)
        curves["accuracy"].append(split.lenient_accuracy)
        measured[f"post_trained.validity@{count}"] = split.validity
        measured[f"post_trained.accuracy_given_valid@{count}"] = split.accuracy_given_valid
    for curve, values in curves.items():
        measured[f"{curve}.log2_examples"] = log2_examples_to_saturate(examples, values)
    return measured


def _read(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        message = f"the folder of {DATA} must have a file {path.name}, and it has none"
        raise ConfigError(message)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if not (isinstance(row.get("prompt"), str) and isinstance(row.get("answer"), str)):
            message = f"each line of {path.name} must have prompt and answer as texts, line {number} has not"
            raise DataError(message)
    return [(row["prompt"], row["answer"]) for row in rows]
