"""Rows of tokens that begin alike, as trees: what several rows share stands, and is read, only once.

A tree is laid out as a sequence: the first row, then what the second does not share with it, and so on. Each
token attends to its ancestors and has its depth as its place, so a forward pass with that mask gives each
row what it would get alone. The last token of a row is only predicted and need not be read: four options of
one token each cost no more than their prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_SHARED = 0.5
"""A row joins the tree before it where it shares at least this part of its tokens with it."""

ROOM = 64
"""Tokens up to which a tree takes further rows, or twice its first row where that is more: in a larger one most
tokens would not see most others, and logits would be kept of all of them."""


@dataclass
class Tree:
    """Some rows that begin alike.

    Attributes
    ----------
    tokens
        Token of each node; ancestors come before their descendants.
    depths
        Its distance from the root, 0 for the root.
    paths
        For each row of the tree, by its index: the nodes of its tokens but the last.
    """

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    paths: dict[int, list[int]] = field(default_factory=dict)
    _branches: list[tuple[int, int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, index: int, row: Sequence[int], stem: list[int]) -> list[int]:
        """Add a row whose first tokens are the nodes `stem`; return all its nodes."""
        start, new = len(self.tokens), row[len(stem) : -1]
        path = stem + list(range(start, start + len(new)))
        self.tokens += new
        self.depths += range(len(stem), len(stem) + len(new))
        if new:
            self._branches.append((stem[-1] if stem else -1, start, len(self.tokens)))
        self.paths[index] = path
        return path

    def ancestors(self) -> NDArray[np.bool_]:
        """Return which nodes are ancestors of which, or they themselves, shape ``(nodes, nodes)``."""
        seen = np.zeros((len(self), len(self)), bool)
        for stem, start, end in self._branches:
            if stem >= 0:
                seen[start:end, :start] = seen[stem, :start]
            seen[start:end, start:end] = np.tri(end - start, dtype=bool)
        return seen


def trees(rows: Sequence[Sequence[int]]) -> list[Tree]:
    """Put rows into trees.

    Parameters
    ----------
    rows
        Token ids of each row, at least two.

    Returns
    -------
    list of Tree
        Each row is in one of them.

    Examples
    --------
    >>> (tree,) = trees([[5, 6, 7, 8], [5, 6, 9], [5, 6, 7, 1]])
    >>> tree.tokens, tree.depths, tree.paths[1]
    ([5, 6, 7], [0, 1, 2], [0, 1])
    """
    made: list[Tree] = []
    before: Sequence[int] = []
    stem: list[int] = []
    room = 0
    for i in sorted(range(len(rows)), key=lambda i: list(rows[i])):
        row = rows[i]
        shared = min(common(before, row), len(stem), len(row) - 1)
        if made and shared >= LEAST_SHARED * len(row) and len(made[-1]) + len(row) - shared <= room:
            stem = made[-1].add(i, row, stem[:shared])
        else:
            made.append(Tree())
            stem = made[-1].add(i, row, [])
            room = max(ROOM, 2 * len(row))
        before = row
    return made


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two rows have in common at their beginning.

    Examples
    --------
    >>> common([1, 2, 3], [1, 2, 4, 5]), common([], [1])
    (2, 0)
    """
    least = min(len(first), len(second))
    if first[:least] == second[:least]:
        return least
    return next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
