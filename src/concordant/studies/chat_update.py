"""The second setting of the study `muscle`: two released chat models; the second shows its steps and knows fewer facts.

The items to learn from, the items that judge and the adapters differ from seed to seed; the two models do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.core.model import Request
from concordant.learn.randomness import child_seeds
from concordant.learn.sequences import answer_rows
from concordant.models.language import GenerativeModel
from concordant.pocket import MAX_ANSWER_WORDS, SKILLS, grader, items
from concordant.studies.small_language import released_language_model, taught
from concordant.versions.repairing.language import language_lessons, language_way
from concordant.versions.repairing.measuring import Asked, answered, measured
from concordant.versions.repairing.preparing import routing
from concordant.versions.repairing.settings import RepairSettings

if TYPE_CHECKING:
    from concordant.core.behaviours import Behaviours
    from concordant.core.model import Model

OLD, NEW = "250k-chat-v1", "250k-chat-v2"
MEASURES = {"negative_flip_rate": "negative_flip_rate", "accuracy": "accuracy_new"}
SHARE_OF_OLD, STRENGTH = 0.5, 1.0
"""How many questions the route sends to the old model, and how much of the adapter is taken."""


@dataclass(frozen=True)
class ChatSizes:
    """How many items are drawn of how many skills, and how long is trained."""

    skills: tuple[str, ...] = tuple(SKILLS)
    lessons: int = 100
    questions: int = 60
    epochs: int = 4
    rate: float = 1e-3


SMALLEST = ChatSizes(("arithmetic", "facts"), lessons=12, questions=8, epochs=1)


def chat_update(n: ChatSizes, *, seed: int) -> dict[str, float]:
    """Measure flips and accuracy of the update of the chat models, of its repairs, and of further training.

    Parameters
    ----------
    n
        How large all is.
    seed
        Decides which items are drawn and how adapters begin.
    """
    lesson_seed, question_seed, adapter_seed = child_seeds(seed, 3)
    lessons = items(n.skills, n.lessons, split="train", seed=lesson_seed)
    questions = items(n.skills, n.questions, split="test", seed=question_seed)
    versions = tuple(released_language_model(name) for name in (OLD, NEW))
    old, new = (GenerativeModel(version) for version in versions)
    asked = Asked(Request(max_tokens=MAX_ANSWER_WORDS), grader(), 0.95, seed, progress=False)
    learnt: tuple[Behaviours, Behaviours] = (answered(old, lessons, asked), answered(new, lessons, asked))
    settings = RepairSettings(epochs=n.epochs)
    how = {"cut_at": MAX_ANSWER_WORDS, "seed": adapter_seed, "checkpoint": None, "progress": False}
    adapter = language_way("muscle", (old, new), learnt, settings, **how)  # type: ignore[arg-type]
    again = language_lessons("muscle", learnt, settings, cut_at=MAX_ANSWER_WORDS, way=None)
    turns = [[{"role": "user", "content": prompt}] for prompt in again.prompts]
    rows = answer_rows(versions[1].tokens.tokenizer, turns, again.texts)
    longer = taught(versions[1], rows, rate=n.rate, epochs=n.epochs, seed=adapter_seed)
    models: dict[str, Model] = {
        "chat_update": new,
        "chat_muscle": adapter.at(STRENGTH),
        "chat_longer": GenerativeModel(longer),
        "chat_route": routing(old, new, learnt, adapter_seed).at(SHARE_OF_OLD),
    }
    before = answered(old, questions, asked)
    found: dict[str, float] = {"chat_old.accuracy": before.accuracy()}
    for name, model in models.items():
        points = measured(questions, before, answered(model, questions, asked), asked).points
        found |= {f"{name}.{metric}": points[measure].value for metric, measure in MEASURES.items()}
    return found
