"""Sums in a chain that begin with a letter: what the letter is worth differs from world to world, and only examples say it.

An item is up to five numbers and a letter, ``3 1 - - - B``; the answer is the letter's number plus the others, on a dial
of five. Half of the time a letter has its usual number, which can be learnt by heart; else demonstrations of its world are
needed, of the same letter. Asked with ``?`` a model says the answer; asked with ``!`` it writes every total from the
letter's number on. A small decoder learns all of this from contexts of nine items of one world.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch.nn import functional as F

from concordant.core.items import Items
from concordant.explanations.mechanisms.strategies import Wording
from concordant.learn import train
from concordant.learn.schedules import cosine
from concordant.models.causal import CausalLM
from concordant.studies.small_decoder import new_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerFast

DIAL = 5
LETTERS = "ABC"
TERMS = 5
"""Numbers in the longest chain; shorter ones end in dashes."""
SHOWN = 8
"""Demonstrations in the longest prompt."""
USUAL = 0.35
"""How often a letter is sure to have its usual number; else all numbers are alike."""
LENGTHS = {True: (1, 1, 1, 1, 1, 1), False: (6, 6, 4, 2, 1, 1)}
"""How often chains of 0 to 5 additions are in lessons with written steps, and in lessons without."""

WORDING = Wording(
    direct="? {input} {reference} .", steps="! {input} {solution} {reference} .", separator=" ", stop=()
)
"""As the decoder is taught to be asked."""

_SPECIAL = ("<pad>", "<bos>", ".", "?", "!", "-")
WORDS = {word: i for i, word in enumerate((*_SPECIAL, *LETTERS, *map(str, range(DIAL))))}
_DASH, _LETTER, _NUMBER = WORDS["-"], WORDS[LETTERS[0]], WORDS["0"]


@dataclass(frozen=True)
class Chains:
    """Chains of additions, arrays of one shape but for their last axes.

    Parameters
    ----------
    letters
        Which letter each begins with.
    lengths
        How many additions, 0 to 5.
    terms
        What is added, shape ``(..., 5)``, 0 beyond the length.
    totals
        All totals, from the letter's number to the answer, shape ``(..., 6)``.
    """

    letters: NDArray[np.int64]
    lengths: NDArray[np.int64]
    terms: NDArray[np.int64]
    totals: NDArray[np.int64]


def worlds(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw what the letters are worth in each world, shape ``(n, letters)``."""
    usual = np.arange(len(LETTERS)) % DIAL
    return np.where(rng.random((n, len(LETTERS))) < USUAL, usual, rng.integers(DIAL, size=(n, len(LETTERS))))


def chains(worth: NDArray[np.int64], lengths: NDArray[np.int64], rng: np.random.Generator) -> Chains:
    """Draw chains in each world.

    Parameters
    ----------
    worth
        What letters are worth, shape ``(n, letters)``.
    lengths
        Additions in each chain, shape ``(n, k)``.
    rng
        Draws letters and numbers.
    """
    letters = rng.integers(len(LETTERS), size=lengths.shape)
    terms = rng.integers(DIAL, size=(*lengths.shape, TERMS)) * (np.arange(TERMS) < lengths[..., None])
    first = np.take_along_axis(worth, letters, 1)[..., None]
    totals = np.concatenate([first, first + terms.cumsum(-1)], -1) % DIAL
    return Chains(letters, lengths, terms, totals)


def items_of(drawn: Chains) -> Items:
    """Write chains as items: ``input``, ``solution``, ``reference``, ``length``, and the ``world`` they are of."""
    n, k = drawn.lengths.shape
    rows = []
    for world in range(n):
        for i in range(k):
            length, totals = int(drawn.lengths[world, i]), drawn.totals[world, i].tolist()
            shown = [*map(str, drawn.terms[world, i, :length].tolist()), *"-" * (TERMS - length)]
            rows.append(
                {
                    "id": f"{world}-{i}",
                    "input": " ".join([*shown, LETTERS[drawn.letters[world, i]]]),
                    "reference": str(totals[-1]),
                    "solution": " ".join(map(str, totals[:-1])),
                    "length": length,
                    "world": world,
                }
            )
    return Items(pl.DataFrame(rows))


def rows_of(drawn: Chains, *, written: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Write chains as rows of tokens, one a world, and say which tokens are answers; both of shape ``(n, tokens)``."""
    n, k = drawn.lengths.shape
    blank = np.arange(TERMS) >= drawn.lengths[..., None]

    def same(word: str) -> NDArray[np.int64]:
        return np.full((n, k, 1), WORDS[word])

    question = [
        same("!" if written else "?"),
        np.where(blank, _DASH, _NUMBER + drawn.terms),
        _LETTER + drawn.letters[..., None],
    ]
    answer = [_NUMBER + (drawn.totals if written else drawn.totals[..., -1:]), same(".")]
    tokens = np.concatenate([*question, *answer], -1)
    learnt = np.arange(tokens.shape[-1]) >= TERMS + 2
    begin = np.full((n, 1), WORDS["<bos>"])
    return (
        np.concatenate([begin, tokens.reshape(n, -1)], 1),
        np.concatenate([begin < 0, np.broadcast_to(learnt, tokens.shape).reshape(n, -1)], 1),
    )


class Lessons:
    """Batches of contexts, drawn as they are needed: with written steps, or without, in turn by chance.

    Parameters
    ----------
    steps
        Batches an epoch.
    contexts
        Contexts of nine items a batch with written steps; without them there are half as many again.
    """

    def __init__(self, steps: int, contexts: int) -> None:
        self.steps, self.contexts = steps, contexts

    def __len__(self) -> int:
        return self.steps

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through one epoch; tokens and which of them are learnt, both ``(contexts, tokens)``."""
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        for _ in range(self.steps):
            written = bool(rng.random() < 0.6)
            n = self.contexts if written else self.contexts * 3 // 2
            odds = np.array(LENGTHS[written]) / sum(LENGTHS[written])
            lengths = rng.choice(TERMS + 1, p=odds, size=(n, SHOWN + 1))
            tokens, learnt = rows_of(chains(worlds(n, rng), lengths, rng), written=written)
            yield torch.from_numpy(tokens), torch.from_numpy(learnt)


def taught_model(*, width: int, layers: int, steps: int, contexts: int, rate: float, seed: int) -> CausalLM:
    """Teach a small decoder chained sums, and return it as a language model of words.

    Parameters
    ----------
    width, layers
        Of the decoder.
    steps, contexts
        How long; see `Lessons`.
    rate
        The highest learning rate, of a schedule with a tenth of warm-up and half a cosine.
    seed
        Decides weights and lessons.
    """
    longest = 1 + (SHOWN + 1) * (2 * TERMS + 4)
    model = new_decoder(len(WORDS), width=width, layers=layers, positions=longest, seed=seed)
    train(
        model,
        _loss,
        Lessons(steps, contexts),
        epochs=1,
        optimizer=partial(torch.optim.AdamW, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
        schedule=partial(cosine, warm_up=steps // 10),
        clip=1.0,
        device="cpu",
        seed=seed,
        progress=False,
    )
    return CausalLM(model, _tokenizer(), name="chained sums", batch_size=512)


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean negative log-likelihood of the tokens of answers; the first of an answer, which examples say, weighs three."""
    tokens, learnt = batch
    wanted = learnt[:, 1:]
    before = tokens[:, :-1][wanted]
    weight = torch.where((before >= _LETTER) & (before < _NUMBER), 3.0, 1.0)
    logits = model(tokens).logits[:, :-1][wanted]
    losses = F.cross_entropy(logits, tokens[:, 1:][wanted], reduction="none")
    return (losses * weight).sum() / weight.sum()


def _tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    inner: Any = Tokenizer(models.WordLevel(WORDS, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", WORDS["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<bos>", eos_token=".", padding_side="left"
    )
