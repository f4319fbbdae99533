"""Items and training examples from the skills, split so that train and test never share an item."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.items import Items
from concordant.pocket.skill import read_options
from concordant.pocket.skills import SKILLS, facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from concordant.pocket.skill import Example, Skill

Split = Literal["train", "test"]

TEST_PERCENT = 10
"""How many of 100 prompts are test prompts, on average."""

PATIENCE = 200
"""How many draws in a row may bring nothing new before a skill is said to be exhausted."""


def content(prompt: str) -> str:
    """Return what decides the split of a prompt: its words without options, and of a story only the story.

    Examples
    --------
    >>> content("story : the tea is bad . question : is it bad ?")
    'story : the tea is bad .'
    """
    return read_options(prompt)[0].partition(" question : ")[0]


def split_of(prompt: str) -> Split:
    """Return the split that a prompt belongs to, whatever seed, skill or difficulty brought it.

    Examples
    --------
    >>> split_of("what is 3 + 4 ?") == split_of("What is 3+4?")
    True
    """
    digest = hashlib.blake2b(content(prompt).encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "little") % 100 < TEST_PERCENT else "train"


def examples(
    skills: Sequence[str], n: int, *, split: Split = "train", difficulty: int | None = None, seed: int = 0
) -> list[Example]:
    """Draw training examples, as often as they come: what is frequent in the world is frequent here.

    Parameters
    ----------
    skills
        Names of skills.
    n
        How many examples of each skill.
    split
        "train" or "test".
    difficulty
        One difficulty; by default all of a skill, in turn.
    seed
        What is drawn of a skill depends on it, the skill and the difficulty, not on the other skills.

    Returns
    -------
    list of Example
        Skill by skill.

    Raises
    ------
    ConfigError
        If a skill, split or difficulty does not exist, or nothing is asked for.

    Examples
    --------
    >>> drawn = examples(["arithmetic"], 2, difficulty=1)
    >>> [SKILLS["arithmetic"].verify(e.prompt, e.answer) for e in drawn]
    [True, True]
    """
    drawn: list[Example] = []
    for skill in _asked_for(skills, n, split, difficulty, seed):
        levels = skill.difficulties if difficulty is None else (difficulty,)
        streams = [_stream(skill, level, split, seed) for level in levels]
        drawn += [next(streams[i % len(streams)])[0] for i in range(n)]
    return drawn


def items(
    skills: Sequence[str],
    n: int,
    *,
    split: Split = "test",
    difficulty: int | None = None,
    seed: int = 0,
    whole_groups: bool = False,
) -> Items:
    """Draw items to ask a model, all different.

    Parameters
    ----------
    skills, split, difficulty, seed
        As in `examples`.
    n
        How many items of each skill, or how many groups where `whole_groups`.
    whole_groups
        Draw all the questions about one story, run or family together, where the skill has such.

    Returns
    -------
    Items
        With `choices` where a skill has any, `group`, and the slices `skill`, `difficulty` and `form`. The
        reference is the text of an option, not its letter. Ids are made from skill and prompt.

    Raises
    ------
    ConfigError
        As in `examples`.
    DataError
        If a skill does not have so many different items.

    Examples
    --------
    >>> drawn = items(["facts", "beliefs"], 20)
    >>> len(drawn), drawn.slices
    (40, ('skill', 'difficulty', 'form'))
    >>> items(["beliefs"], 1, whole_groups=True).frame["form"].to_list()
    ['mental state', 'behaviour', 'judgment']
    """
    drawn: list[Example] = []
    for skill in _asked_for(skills, n, split, difficulty, seed):
        levels = skill.difficulties if difficulty is None else (difficulty,)
        streams = [_stream(skill, level, split, seed, whole_groups=whole_groups) for level in levels]
        seen: set[str] = set()
        for i in range(n):
            drawn += _unseen(streams[i % len(streams)], seen, n, split)
    return Items.from_records([_record(example) for example in drawn])


def rewordings(item: Any) -> list[str]:
    """Return the same question in other words, where the world has any: for facts, alone or with options.

    The source for `concordant.variants.Reworded`: ``Reworded(rewrite=rewordings)``.

    Parameters
    ----------
    item
        An item of `items`.

    Examples
    --------
    >>> (item,) = items(["facts"], 1, difficulty=1, seed=1)
    >>> item.input, rewordings(item)[0]
    ('the best friend of emma is', 'who is the best friend of emma ?')
    """
    return facts.rewordings(item.input)


def _record(example: Example) -> dict[str, object]:
    identity = f"{example.skill} {example.prompt}".encode()
    return {
        "id": hashlib.blake2b(identity, digest_size=8).hexdigest(),
        "input": example.prompt,
        "reference": example.answer,
        **({} if example.choices is None else {"choices": list(example.choices)}),
        "group": f"{example.skill} : {example.group}",
        "skill": example.skill,
        "difficulty": example.difficulty,
        "form": example.form,
    }


def _asked_for(names: Sequence[str], n: int, split: str, difficulty: int | None, seed: int) -> list[Skill]:
    """Return the skills of these names, if what is asked for exists."""
    if split not in ("train", "test"):
        message = f"split must be 'train' or 'test', got {split!r}"
        raise ConfigError(message)
    if isinstance(names, str) or not names or n < 1:
        message = f"a list of skills and a positive n must be given, got {names!r} and n = {n}"
        raise ConfigError(message)
    if seed < 0:
        message = f"a seed must be a whole number from 0, got {seed}"
        raise ConfigError(message)
    if len(set(names)) < len(names):
        message = f"each skill may be named once, got {', '.join(names)}"
        raise ConfigError(message)
    if unknown := next((name for name in names if name not in SKILLS), None):
        message = f"there is no skill {unknown!r}; {nearest(unknown, SKILLS)}"
        raise ConfigError(message)
    skills = [SKILLS[name] for name in names]
    if difficulty is not None:
        for skill in skills:
            skill.check_difficulty(difficulty)
    return skills


def _stream(
    skill: Skill, difficulty: int, split: str, seed: int, *, whole_groups: bool = False
) -> Iterator[list[Example]]:
    """Draw without end what lies in the split: single examples, or groups all of whose prompts do."""
    name = int.from_bytes(hashlib.blake2b(skill.name.encode(), digest_size=4).digest(), "little")
    rng = np.random.default_rng([seed, name, difficulty, split == "test"])
    while True:
        group = skill.generate_group(rng, difficulty) if whole_groups else [skill.generate(rng, difficulty)]
        kept = [example for example in group if split_of(example.prompt) == split]
        if len(kept) == len(group):
            yield kept


def _unseen(stream: Iterator[list[Example]], seen: set[str], n: int, split: str) -> list[Example]:
    """Return the next group with no prompt that was seen, and remember its prompts."""
    for _ in range(PATIENCE):
        group = next(stream)
        prompts = {example.prompt for example in group}
        if not prompts & seen:
            seen |= prompts
            return group
    where = f"skill {group[0].skill!r} at difficulty {group[0].difficulty}"
    message = (
        f"{where} has too few different {split} items for n = {n}: {PATIENCE} draws in a row brought none"
    )
    raise DataError(message)
