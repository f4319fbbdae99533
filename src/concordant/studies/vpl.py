"""Variational preference learning: a reward told from a person's own answers, against one reward for everybody.

Data: places on a plane that people compare, each kind of people with a hidden goal of its own; new people in the test.
Method: VPL. Baselines: one Bradley-Terry reward, and one that learns how far people differ. Controls: a reward that is
told the kind of person, posteriors with a divergence weighed ten times more and ten times less, random questions
against chosen ones. Then each reward is filled into a record of random moves, and a policy learnt from that is judged
by whether it brings each kind of people to their goal.

At full scale the networks, the people and the schedule are those of the paper's control tasks, and where the environment
variable CONCORDANT_VPL_DATA names comparisons as embeddings of a language model, these are measured too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.rewards.average import AverageReward
    from concordant.rewards.comparisons import Comparisons
    from concordant.rewards.two_goals import Record, TwoGoals
    from concordant.rewards.vpl import VariationalPreferences

DATA = "CONCORDANT_VPL_DATA"
"""Names a file of :func:`numpy.savez` with ``a`` and ``b`` (people, n, features), ``prefers_a`` (people, n) and ``is_test``
(people,): embeddings of pairs of answers, who preferred which, and who is new in the test."""

ANSWERS = (0, 1, 2, 4, 8)
"""How many answers of a new person are read."""

WEIGHT = 0.1
FORGETFUL, LOOSE = 10 * WEIGHT, WEIGHT / 10


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    people: int = 2000
    answers: int = 16
    new_people: int = 1000
    test_pairs: int = 50
    hidden: tuple[int, ...] = (128, 128)
    latent: int = 8
    steps: int = 400
    learning_rate: float = 3e-3
    average_steps: int = 200
    pool: int = 128
    candidates: int = 256
    episodes: int = 400
    vectors: int = 32
    policy_width: int = 64
    policy_steps: int = 1000
    travellers: int = 300


SIZES = {
    Scale.smoke: Sizes(120, 16, 60, 10, (16,), 2, 40, 1e-2, 20, 16, 16, 20, 4, 16, 20, 20),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(
        people=5000,
        hidden=(256, 256, 256),
        latent=32,
        steps=500 * -(-5000 // 256),
        learning_rate=1e-3,
        average_steps=5000,
        pool=1000,
        candidates=5000,
        episodes=2000,
        policy_width=256,
        policy_steps=20_000,
    ),
}


@study(
    "vpl",
    claims=[
        Claim("personal-beats-average", "vpl.accuracy@8", "average.accuracy", "higher"),
        Claim("answers-help", "vpl.accuracy@8", "vpl.accuracy@2", "higher"),
        Claim("near-the-known-kind", "vpl.accuracy@8", "told.accuracy", "higher", margin=-0.05),
        Claim("too-much-weight-forgets", "vpl.accuracy@8", "forgetful.accuracy@8", "higher"),
        Claim("chosen-questions-tell-more", "chosen.accuracy@2", "vpl.accuracy@2", "higher"),
        Claim("informative-questions-tell-more", "informative.accuracy@2", "vpl.accuracy@2", "higher"),
        Claim("personal-policy-serves-all", "vpl.worst_success_rate", "average.worst_success_rate", "higher"),
    ],
    baseline="one Bradley-Terry reward for everybody",
)
def vpl(scale: Scale, seed: int) -> Measurements:
    """Measure how well rewards predict what new people prefer, and how well policies made from them serve each kind."""
    from concordant.rewards.average import AverageReward
    from concordant.rewards.two_goals import TwoGoals
    from concordant.rewards.vpl import VariationalPreferences

    n = SIZES[scale]
    rng = np.random.default_rng(seed)
    world = TwoGoals.drawn(rng)
    answers, kinds = world.people(rng, n.people, n.answers)
    new_kinds = rng.integers(2, size=n.new_people)
    context = world.answers(rng, new_kinds, max(ANSWERS))
    test = world.answers(rng, new_kinds, n.test_pairs, noisy=False)

    average: dict[str, Any] = {
        "hidden": n.hidden,
        "steps": n.average_steps,
        "learning_rate": n.learning_rate,
        "seed": seed,
    }
    personal = {**average, "steps": n.steps, "n_latent": n.latent}
    plain = AverageReward(**average).fit(answers)
    spread = AverageReward(**average, spread=True).fit(answers)
    told = AverageReward(**average).fit(_told(answers, kinds))
    model = VariationalPreferences(**personal, kl_weight=WEIGHT).fit(answers)
    measured = {
        "average.accuracy": _accuracy(plain, test),
        "spread.accuracy": _accuracy(spread, test),
        "told.accuracy": _accuracy(told, _told(test, new_kinds)),
        **{f"vpl.accuracy@{k}": _personal_accuracy(model, context.columns(slice(k)), test) for k in ANSWERS},
    }
    for name, weight in (("forgetful", FORGETFUL), ("loose", LOOSE)):
        other = VariationalPreferences(**personal, kl_weight=weight).fit(answers)
        measured[f"{name}.accuracy@8"] = _personal_accuracy(other, context, test)
    measured |= _chosen_questions(model, world, new_kinds, test, n, rng)
    measured |= _policies(plain, told, model, world, answers, context, new_kinds, n, rng, seed)
    return measured | (_given_data(seed) if scale is Scale.full and os.environ.get(DATA) else {})


def _accuracy(model: AverageReward, test: Comparisons) -> float:
    predicted = model.reward(test.a) > model.reward(test.b)
    return float((predicted == test.prefers_a).mean())


def _personal_accuracy(model: VariationalPreferences, context: Comparisons, test: Comparisons) -> float:
    predicted = model.probability(test, model.posterior(context).mean) > 0.5
    return float((predicted == test.prefers_a)[test.given].mean())


def _told(answers: Comparisons, kinds: NDArray[np.intp]) -> Comparisons:
    """Return comparisons whose features say the kind of the person too."""
    from concordant.rewards.comparisons import Comparisons

    kind = np.broadcast_to(np.eye(2, dtype=np.float32)[kinds][:, None], (*answers.prefers_a.shape, 2))
    a, b = (np.concatenate([side, kind], axis=2) for side in (answers.a, answers.b))
    return Comparisons(a, b, answers.prefers_a, answers.given)


def _chosen_questions(
    model: VariationalPreferences,
    world: TwoGoals,
    kinds: NDArray[np.intp],
    test: Comparisons,
    n: Sizes,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Ask all new people the same questions, the best of a random pool by either score."""
    from concordant.rewards.comparisons import Comparisons
    from concordant.rewards.queries import Form, best_questions

    a, b = rng.uniform(-1, 1, size=(2, n.pool, 2))
    forms: dict[str, Form] = {"chosen": "released", "informative": "moments"}
    measured = {}
    for name, form in forms.items():
        for k in (1, 2, 4):
            asked = best_questions(model, a, b, k, form=form, n_candidates=n.candidates, seed=k)
            first, second = (np.broadcast_to(side[asked], (len(kinds), k, 2)) for side in (a, b))
            given = Comparisons(first, second, world.preferences(rng, first, second, kinds))
            measured[f"{name}.accuracy@{k}"] = _personal_accuracy(model, given, test)
    return measured


def _policies(
    plain: AverageReward,
    told: AverageReward,
    model: VariationalPreferences,
    world: TwoGoals,
    answers: Comparisons,
    context: Comparisons,
    new_kinds: NDArray[np.intp],
    n: Sizes,
    rng: np.random.Generator,
    seed: int,
) -> dict[str, float]:
    """Fill each reward into the same record of random moves, learn a policy from it, and send new people on their way."""
    from concordant.rewards.conditioned_policy import ConditionedPolicy
    from concordant.rewards.two_goals import random_record, reached, starts
    from concordant.rewards.vpl import expected_win_rate

    record: Record = random_record(rng, n.episodes, 40)
    places, references = record.next_states[:, :2], rng.uniform(-1, 1, size=(64, 2))
    kind_vectors = np.eye(2)
    of_training = model.posterior(answers[: n.vectors].columns(slice(8)))
    vectors = of_training.draw(1, seed)[0]

    def of_kind(things: NDArray[Any], kind: NDArray[Any]) -> NDArray[Any]:
        return told.reward(np.concatenate([things, np.broadcast_to(kind, things.shape)], axis=1))

    rates = {
        "average": [expected_win_rate(plain.reward(places), plain.reward(references))],
        "told": [expected_win_rate(of_kind(places, k), of_kind(references, k)) for k in kind_vectors],
        "vpl": [model.win_rate(places, z, references) for z in vectors],
    }
    told_vectors = {"average": np.zeros((1, 0)), "told": kind_vectors, "vpl": vectors}
    kinds = new_kinds[: n.travellers]
    whom: dict[str, NDArray[Any]] = {
        "average": np.zeros((len(kinds), 0)),
        "told": kind_vectors[kinds],
        "vpl": model.posterior(context[: n.travellers]).mean,
    }
    start = starts(rng, len(kinds))
    measured = {}
    for name, filled in rates.items():
        options: dict[str, Any] = {"hidden": (n.policy_width, n.policy_width), "steps": n.policy_steps}
        policy = ConditionedPolicy(**options, discount=0.6, learning_rate=5e-3, seed=seed)
        policy.fit(*record, np.stack(filled), told_vectors[name])
        there = reached(world, partial(policy.act, goals=whom[name]), start, kinds, 60)
        each = [float(there[kinds == kind].mean()) for kind in (0, 1)]
        measured[f"{name}.success_rate"] = float(np.mean(each))
        measured[f"{name}.worst_success_rate"] = min(each)
    return measured


def _given_data(seed: int) -> dict[str, float]:
    """Learn from embeddings that were given, with the sizes and the schedule of the paper's language models."""
    from concordant.rewards.average import AverageReward
    from concordant.rewards.comparisons import Comparisons
    from concordant.rewards.vpl import VariationalPreferences

    name = os.environ[DATA]
    if not Path(name).is_file():
        message = f"{DATA} must name a file of comparisons, as numpy.savez writes it, got {name}"
        raise ConfigError(message)
    with np.load(name) as file:
        missing = {"a", "b", "prefers_a", "is_test"} - set(file.files)
        if missing:
            message = f"the file {name} of {DATA} must have a, b, prefers_a and is_test, got no {sorted(missing)[0]}"
            raise DataError(message)
        everybody = Comparisons(file["a"], file["b"], file["prefers_a"])
        is_test = file["is_test"].astype(bool)
    n_context = min(8, everybody.n // 2)
    train, new = everybody[~is_test], everybody[is_test]
    context, test = new.columns(slice(n_context)), new.columns(slice(n_context, None))
    batches = -(-train.n_people // 32)
    shared: dict[str, Any] = {"hidden": (512, 512), "learning_rate": 1e-4, "steps": 2 * batches, "seed": seed}
    plain = AverageReward(**shared, batch_size=32 * everybody.n).fit(train)
    personal = {**shared, "batch_size": 32, "n_latent": 512, "n_context": n_context}
    measured = {"language.average.accuracy": _accuracy(plain, test)}
    for method, weight in (("vpl", 1e-4), ("forgetful", 1.0), ("loose", 1e-6)):
        model = VariationalPreferences(**personal, kl_weight=weight).fit(train)
        for k in sorted({*range(0, n_context, 2), n_context} if method == "vpl" else {n_context}):
            accuracy = _personal_accuracy(model, context.columns(slice(k)), test)
            measured[f"language.{method}.accuracy@{k}"] = accuracy
    return measured
