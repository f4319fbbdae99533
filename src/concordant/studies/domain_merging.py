"""Merging for a domain: the domain model and the general instruct model of one base, and what their merges can do.

The domain model read documents, learnt to answer in the format of the domain and was trained by preferences; the general
model answers in conversations and knows nothing of the domain. The task needs both: questions about the domain in a
conversation. Merges lie on the arc (SLERP) and on the line between the two, at the same places; which place is taken is
chosen on validation items. Synergy is the score less the mean of the parents. Controls: two domain models of two seeds,
and the general model with its hidden units in another order, which is no relative of the domain model any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from concordant.models.causal import CausalLM
    from concordant.studies.things_domain import Domain

    Weights = Mapping[str, Tensor]

SCORE, SYNERGY = "composed_accuracy", "synergy"
PLACES = (0.25, 0.5, 0.75)
"""How far a merge is from the general model towards the domain model; the parents are at 0 and 1."""

SCHEDULE: dict[str | None, Sequence[float] | float] = {
    "self_attn": (0.0, 0.5, 0.3, 0.7, 1.0),
    "mlp": (1.0, 0.5, 0.7, 0.3, 0.0),
    None: 0.5,
}
"""The places over depth that the paper takes."""

PREFIX = "CONCORDANT_DOMAIN"
VARIABLES = {
    f"{PREFIX}_{which}{size}": f"{what}{of}"
    for size, of in (("", ""), ("_SMALL", " of a smaller size"))
    for which, what in (
        ("GENERAL", "a general instruct model"),
        ("MODEL", "the domain model"),
        ("AGAIN", "the domain model of another seed"),
    )
} | {f"{PREFIX}_VALIDATION": "items of the domain", f"{PREFIX}_TEST": "as many others"}


@dataclass(frozen=True)
class Steps:
    """How long a domain model is trained in each stage, and how fast; chosen on seeds 1000 and above."""

    documents: int
    lessons: int
    rate: float = 2e-3
    lesson_rate: float = 1e-3
    preference_rate: float = 2e-4


NAMES = {"narrow": ("250k", Steps(200, 60)), "wide": ("1m", Steps(120, 40))}
THINGS = 32


@dataclass(frozen=True)
class Size:
    """The models of one size, and how they are judged.

    Parameters
    ----------
    general
        The general instruct model.
    stages
        The domain model after each stage of its training; the last is the one that is merged.
    again
        The same from another seed.
    score
        ``score(model, part)``: the share of the questions of "validation" or "test" that it answers rightly.
    further
        What else is measured of a model, by name.
    """

    general: CausalLM
    stages: dict[str, CausalLM]
    again: CausalLM
    score: Callable[[CausalLM, str], float]
    further: dict[str, Callable[[CausalLM], float]]

    @property
    def domain(self) -> CausalLM:
        """The domain model, asked as the general one is."""
        return self.stages[list(self.stages)[-1]]


@study(
    "domain-merging",
    claims=[
        Claim("merge-above-mean", f"slerp-wide.{SYNERGY}", 0.0, "higher"),
        Claim("merge-above-parents", f"slerp-wide.{SCORE}", f"better-parent-wide.{SCORE}", "higher"),
        Claim(
            "narrow-merge-above-parents",
            f"slerp-narrow.{SCORE}",
            f"better-parent-narrow.{SCORE}",
            "higher",
        ),
        Claim("grows-with-size", f"slerp-wide.{SYNERGY}", f"slerp-narrow.{SYNERGY}", "higher"),
        Claim("line-is-as-good", f"linear-wide.{SCORE}", f"slerp-wide.{SCORE}", "higher", margin=-0.03),
        Claim("needs-one-ancestor", f"slerp-wide.{SCORE}", f"relabelled-wide.{SCORE}", "higher", margin=0.05),
        Claim("more-than-two-seeds", f"slerp-wide.{SCORE}", f"seeds-wide.{SCORE}", "higher"),
    ],
    baseline="the two parents: the domain model and the general instruct model",
)
def domain_merging(scale: Scale, seed: int) -> Measurements:
    """Measure a task that needs a domain and conversations, of two parents and of the models between them."""
    measured: dict[str, float] = {}
    for name, size in _sizes(scale, seed):
        measured |= {f"{method}-{name}.{metric}": value for (method, metric), value in of(size, seed).items()}
    return measured


def of(size: Size, seed: int) -> dict[tuple[str, str], float]:
    """Measure one size: by method and metric."""
    from concordant.studies.relabelled import relabelled
    from concordant.studies.small_language import with_weights
    from concordant.versions.merging import cosine_of_weights, depth_schedule, slerp_branches

    general, domain, again = (model.model.state_dict() for model in (size.general, size.domain, size.again))
    made = partial(with_weights, size.general)
    depth = depth_schedule(SCHEDULE, size.general.model.config.num_hidden_layers)
    parents = {"general": size.general, "domain": made(domain)}
    found: dict[tuple[str, str], float] = {}
    for name, model in parents.items():
        found[name, SCORE] = size.score(model, "test")
        found |= {(name, metric): measure(model) for metric, measure in size.further.items()}
    mean = (found["general", SCORE] + found["domain", SCORE]) / 2
    found["better-parent", SCORE] = max(found["general", SCORE], found["domain", SCORE])
    for method in ("slerp", "linear"):
        tried = {t: made(between(method, general, domain, t)) for t in PLACES}
        for t, model in tried.items():
            found[method, f"{SCORE}@{t}"] = size.score(model, "test")
        best = max(tried, key=lambda t: size.score(tried[t], "validation"))
        found[method, SCORE] = found[method, f"{SCORE}@{best}"]
        found[method, SYNERGY] = found[method, SCORE] - mean
        found[method, "place"] = best
        found |= {(method, metric): measure(tried[best]) for metric, measure in size.further.items()}
    found["depth-schedule", SCORE] = size.score(made(between("slerp", general, domain, depth)), "test")
    for stage, model in list(size.stages.items())[:-1]:
        found[stage, SCORE] = size.score(made(model.model.state_dict()), "test")
        merged = made(between("slerp", general, model.model.state_dict(), found["slerp", "place"]))
        found[f"slerp-{stage}", SCORE] = size.score(merged, "test")
    stranger = relabelled(general, seed=seed)
    controls = {"relabelled": (stranger, domain), "seeds": (again, domain)}
    for name, (first, second) in controls.items():
        tried = {t: made(between("slerp", first, second, t)) for t in PLACES}
        best = max(tried, key=lambda t: size.score(tried[t], "validation"))
        found[name, SCORE] = size.score(tried[best], "test")
    branches = list(slerp_branches(general, domain).values())
    found["slerp", "linear_branch_rate"] = branches.count("linear") / len(branches)
    found["slerp", "cosine_of_parents"] = cosine_of_weights(general, domain)
    return found


def between(
    method: str, first: Weights, second: Weights, t: float | Callable[[str], float]
) -> dict[str, Any]:
    """Return the model between two, on the arc or on the line, at t from the first to the second."""
    from concordant.versions.merging import linear, slerp

    if method == "slerp":
        return slerp(first, second, t)
    assert not callable(t)
    return linear([first, second], [1.0 - t, t])


def _sizes(scale: Scale, seed: int) -> Iterator[tuple[str, Size]]:
    """Make the models of both sizes, one after the other."""
    from concordant.learn.randomness import child_seeds
    from concordant.pocket.recipes import Size as Shape
    from concordant.studies.small_language import new_language_model, released_language_model
    from concordant.studies.things_domain import Domain

    if scale is Scale.full:
        yield from _your_models()
        return
    drawn, *seeds = child_seeds(seed, 3)
    if scale is Scale.pocket:
        domain = Domain.draw(THINGS, seed=drawn)
        for (name, (released, steps)), size_seed in zip(NAMES.items(), seeds, strict=True):
            base, general = (released_language_model(f"{released}-{stage}") for stage in ("base", "chat-v1"))
            yield name, _size(base, general, domain, steps, size_seed, n_skill_items=24)
        return
    domain = Domain.draw(4, seed=drawn)
    for name, width, size_seed in (("narrow", 8, seeds[0]), ("wide", 16, seeds[1])):
        start = new_language_model(Shape(width, 1, 2, width), seed=size_seed, chat=False)
        general = new_language_model(Shape(width, 1, 2, width), seed=size_seed)
        yield name, _size(start, general, domain, Steps(6, 4), size_seed, n_skill_items=2)


def _size(
    base: CausalLM, general: CausalLM, domain: Domain, steps: Steps, seed: int, *, n_skill_items: int
) -> Size:
    """Train domain models from a base, and say how the models of its size are judged."""
    from concordant.learn.randomness import child_seeds
    from concordant.pocket import SKILLS, skill_items
    from concordant.studies.small_language import greedy_answers

    items = skill_items(n_skill_items, skills=["facts", "arithmetic", "ordering", "siblings"])
    skills = items.frame["skill"].to_list()
    asked = items.inputs.to_list()
    first_seed, second_seed = child_seeds(seed, 2)
    stages = domain_model(base, domain, steps, first_seed)
    again = list(domain_model(base, domain, steps, second_seed).values())[-1]

    def right(model: CausalLM, questions: list[tuple[str, str]]) -> float:
        prompts, answers = ([row[side] for row in questions] for side in (0, 1))
        said = greedy_answers(model, prompts, max_tokens=8)
        return sum(a.strip() == b.strip() for a, b in zip(said, answers, strict=True)) / len(said)

    def skilled(model: CausalLM) -> float:
        said = greedy_answers(model, asked, max_tokens=40)
        answered = zip(skills, asked, said, strict=True)
        return sum(SKILLS[skill].verify(prompt, text) for skill, prompt, text in answered) / len(said)

    def in_domain(model: CausalLM) -> float:
        return right(base.with_model(model.model), domain.lessons())

    score = lambda model, part: right(model, domain.questions(part))  # noqa: E731
    return Size(general, stages, again, score, {"general_accuracy": skilled, "domain_accuracy": in_domain})


def domain_model(base: CausalLM, domain: Domain, steps: Steps, seed: int) -> dict[str, CausalLM]:
    """Train a base on documents, then on lessons, then by preferences (DPO); return the model after each."""
    from concordant.learn.randomness import child_seeds
    from concordant.rewards.language_rounds import preference_trained
    from concordant.studies.small_language import lesson_rows, taught

    seeds = child_seeds(seed, 4)
    documents, lessons = (lesson_rows(base, rows) for rows in (domain.documents(), domain.lessons()))
    read = taught(base, documents, steps=steps.documents, rate=steps.rate, seed=seeds[0])
    asked = taught(read, lessons, steps=steps.lessons, rate=steps.lesson_rate, seed=seeds[1])
    pairs = domain.preferences(seed=seeds[2])
    preferred = preference_trained(asked, pairs, seeds[3], learning_rate=steps.preference_rate)
    return {"documents": read, "lessons": asked, "preferences": preferred}


def _your_models() -> Iterator[tuple[str, Size]]:
    """Merge models of yours, of two sizes, judged by items of yours."""
    from concordant.studies.your_models import accuracy, named, your_items, your_model

    places = named("domain-merging", VARIABLES)
    items = {part: your_items(places[f"{PREFIX}_{part.upper()}"]) for part in ("validation", "test")}
    for name, size in (("narrow", "_SMALL"), ("wide", "")):
        general, domain, again = (
            your_model(places[f"{PREFIX}_{which}{size}"]) for which in ("GENERAL", "MODEL", "AGAIN")
        )
        score = lambda model, part: accuracy(model, items[part])  # noqa: E731
        yield name, Size(general, {"domain": domain}, again, score, {})
