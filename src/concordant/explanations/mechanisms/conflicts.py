"""Prompts whose context contradicts what a model has learnt: one answer stands in the prompt, another in the weights.

A pair is kept where the two answers begin with different tokens, so that the first token of an answer says which it is, and
where the model gives the learnt one when it is asked without the context.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.explanations.mechanisms.decoder import checked_rows, module_of, read_batches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

CONTEXT = "The capital of {entity} is {answer}. "
QUESTION = "The capital of {entity} is"


@dataclass(frozen=True, slots=True)
class FactConflict:
    """A question, its learnt answer, and a context that states another one.

    Parameters
    ----------
    entity
        What it is about; items of one entity stay together when they are split.
    question
        The text that asks, without context.
    prompt
        The text with the context before the question.
    memorised, in_context
        The answer that was learnt, and the one that the context states: texts that follow the question, with the space
        before them where there is one.
    """

    entity: str
    question: str
    prompt: str
    memorised: str
    in_context: str


@dataclass(frozen=True, eq=False)
class Conflicts:
    """Conflicts as token ids: what a model is asked, and how its answer is read.

    Parameters
    ----------
    rows
        The prompts, n rows of token ids.
    in_context, memorised
        The first token of the answer that the context states, and of the learnt one, shape ``(n,)``; they differ.
    entities
        What each is about, n of them.
    dropped
        How many pairs were left out, by reason.

    Raises
    ------
    DataError
        If they are not as many, there are none, or both answers of a row begin with the same token.

    Examples
    --------
    >>> conflicts = Conflicts([[7, 3], [8, 3], [9, 3], [9, 3]], [1, 2, 1, 2], [4, 4, 5, 5], ["a", "b", "c", "c"])
    >>> tune, held_out = conflicts.split(0.4, seed=0)
    >>> len(tune), len(held_out), set(tune.entities) & set(held_out.entities)
    (2, 2, set())
    """

    rows: Sequence[Sequence[int]]
    in_context: NDArray[np.int64]
    memorised: NDArray[np.int64]
    entities: Sequence[str]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("in_context", "memorised"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        sizes = {name: len(getattr(self, name)) for name in ("rows", "in_context", "memorised", "entities")}
        if len(set(sizes.values())) > 1 or not sizes["rows"]:
            got = ", ".join(f"{size} {name}" for name, size in sizes.items())
            message = (
                f"conflicts need as many rows, answers of both kinds and entities, at least one, got {got}"
            )
            raise DataError(message)
        same = np.flatnonzero(self.in_context == self.memorised)
        if len(same):
            message = (
                "the answers of a conflict must begin with different tokens, got "
                f"{self.memorised[same[0]]} twice in row {same[0]}"
            )
            raise DataError(message)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: ArrayLike) -> Conflicts:
        """Return some of the rows, by their numbers or by a mask of shape ``(n,)``."""
        chosen = np.arange(len(self))[np.asarray(index)]
        return Conflicts(
            [self.rows[i] for i in chosen],
            self.in_context[chosen],
            self.memorised[chosen],
            [self.entities[i] for i in chosen],
        )

    def split(self, share: float = 0.5, *, seed: int = 0) -> tuple[Conflicts, Conflicts]:
        """Split by entity: one part to choose heads and scales on, another to measure them on.

        Parameters
        ----------
        share
            Of the entities that are in the first part, in (0, 1); each part has one at least.
        seed
            Decides which.

        Raises
        ------
        ConfigError
            If the share is outside (0, 1).
        DataError
            If there is one entity only.
        """
        if not 0 < share < 1:
            message = f"the share of a split must lie between 0 and 1, got {share:g}"
            raise ConfigError(message)
        known = sorted(set(self.entities))
        if len(known) < 2:
            message = f"a split by entity needs two entities at least, got {len(known)}"
            raise DataError(message)
        n = min(max(round(share * len(known)), 1), len(known) - 1)
        order = np.random.default_rng(seed).permutation(len(known))
        chosen = {known[i] for i in order[:n]}
        first = np.array([entity in chosen for entity in self.entities])
        return self.take(first), self.take(~first)


def contradicted(
    facts: Mapping[str, str],
    *,
    context: str = CONTEXT,
    question: str = QUESTION,
    answers: Sequence[str] | None = None,
    per_entity: int = 1,
    seed: int = 0,
) -> list[FactConflict]:
    """Contradict facts with the answers of others.

    Parameters
    ----------
    facts
        For each entity its answer, without the space before it: ``{"France": "Paris"}``.
    context, question
        Templates; ``{entity}`` and in the context ``{answer}`` are filled in. The prompt is both, one after the other.
    answers
        False answers to draw from; by default those of the other facts.
    per_entity
        How many false answers each entity gets, all different; fewer where there are not as many.
    seed
        Decides which.

    Raises
    ------
    ConfigError
        If a template lacks what is filled in.

    Examples
    --------
    >>> one, *_ = contradicted({"France": "Paris", "Italy": "Rome"})
    >>> one.prompt, one.memorised, one.in_context
    ('The capital of France is Rome. The capital of France is', ' Paris', ' Rome')
    """
    for name, template, wanted in (("context", context, "answer"), ("question", question, "entity")):
        if f"{{{wanted}}}" not in template:
            message = f"the {name} of conflicts must have {{{wanted}}}, got {template!r}"
            raise ConfigError(message)
    rng = np.random.default_rng(seed)
    pool = list(dict.fromkeys(answers if answers is not None else facts.values()))
    made = []
    for entity, answer in facts.items():
        others = [other for other in pool if other != answer]
        asked = question.format(entity=entity)
        for i in rng.permutation(len(others))[:per_entity]:
            told = context.format(entity=entity, answer=others[i])
            made.append(FactConflict(entity, asked, told + asked, f" {answer}", f" {others[i]}"))
    return made


def known_conflicts(model: Any, facts: Sequence[FactConflict], *, batch_size: int = 64) -> Conflicts:
    """Make the conflicts that a model knows the answers of, as its token ids.

    Parameters
    ----------
    model
        A `CausalLM`, or what `concordant.load` returns for one.
    facts
        Of `contradicted`, or of your own.
    batch_size
        Rows in a forward pass.

    Returns
    -------
    Conflicts
        With `dropped`: ``"same_first_token"``, where the answers cannot be told apart by their first tokens, and
        ``"not_known"``, where the model does not answer rightly without the context.

    Raises
    ------
    DataError
        If no conflict is left.
    ModelError
        If the model has no tokenizer.

    Examples
    --------
    >>> import concordant as cc
    >>> model = cc.load("pocket:250k-base")
    >>> facts = contradicted(
    ...     {"sofia": "poet", "emma": "doctor"},
    ...     context="the job of {entity} is {answer} . ",
    ...     question="the job of {entity} is",
    ... )
    >>> known_conflicts(model, facts)
    Traceback (most recent call last):
    ...
    concordant.core.errors.DataError: no conflict is left of 2: not_known 2, same_first_token 0
    """
    tokens = getattr(getattr(model, "language_model", model), "tokens", None)
    if tokens is None:
        message = f"conflicts in words need a language model with its tokenizer, got {type(model).__name__}"
        raise ModelError(message)
    module = module_of(model)
    questions = [fact.question for fact in facts]
    memorised = _first_tokens(tokens, questions, [fact.memorised for fact in facts])
    in_context = _first_tokens(tokens, questions, [fact.in_context for fact in facts])
    distinct = memorised != in_context
    known = np.zeros(len(facts), dtype=bool)
    asked = tokens.encode(questions)
    if asked:
        known = next_tokens(module, asked, batch_size=batch_size) == memorised
    kept = np.flatnonzero(distinct & known).tolist()
    dropped = {
        "not_known": int((distinct & ~known).sum()),
        "same_first_token": int((~distinct).sum()),
    }
    if not len(kept):
        reasons = ", ".join(f"{reason} {n}" for reason, n in dropped.items())
        message = f"no conflict is left of {len(facts)}: {reasons}"
        raise DataError(message)
    prompts = tokens.encode([facts[i].prompt for i in kept])
    return Conflicts(prompts, in_context[kept], memorised[kept], [facts[i].entity for i in kept], dropped)


def next_tokens(module: Any, rows: Sequence[Sequence[int]], *, batch_size: int = 64) -> NDArray[np.int64]:
    """Return the most probable next token of each row of token ids, shape ``(n,)``."""
    checked_rows(rows, -1, module)
    found = np.empty(len(rows), dtype=np.int64)
    for part, logits in read_batches(module, rows, batch_size):
        found[part] = logits[:, -1].argmax(-1).cpu().numpy()
    return found


def _first_tokens(tokens: Any, prompts: list[str], answers: list[str]) -> NDArray[np.int64]:
    """Return the first token of each answer, behind its prompt."""
    rows, starts = tokens.encode_pairs(prompts, answers)
    for row, start, answer in zip(rows, starts, answers, strict=True):
        if len(row) <= start:
            message = f"an answer needs one token at least, got {answer!r}"
            raise DataError(message)
    return np.array([row[start] for row, start in zip(rows, starts, strict=True)], dtype=np.int64)
