"""The catalogue of papers: its data and how it is read."""

import importlib.util
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from concordant.core.errors import DataError
from concordant.studies.catalogue.entries import NOT_YET, Counterpart, EntryClaim, load, read, with_states
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
