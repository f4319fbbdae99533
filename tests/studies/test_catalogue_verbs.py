"""The verbs `papers` and `cite`, and the citations they print."""

import json
import re
from dataclasses import replace
from typing import get_args

import numpy as np
from typer.testing import CliRunner

from concordant.cli.main import app
from concordant.studies.catalogue import ranking
from concordant.studies.catalogue.bibtex import bibtex, escaped
from concordant.studies.catalogue.entries import Counterpart, load

ENTRIES = list(load().values())


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
