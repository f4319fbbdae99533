"""Check files: what they may say, what is said of those that are wrong, and that they run."""

# ruff: noqa: E501, F821 - one line a case, and annotations that are not to be imported

import json
from pathlib import Path

import jsonschema
import polars as pl
import pytest
import yaml

import concordant as cc
from concordant.core.errors import ConcordantError, ConfigError, DataError, ModelError
from concordant.suite import Suite, suite_schema
from concordant.suite.loading import located
from concordant.suite.marked_yaml import read_marked
from concordant.suite.options import checked, options_of, parameters_of

DOCS = Path(__file__).parents[1] / "docs"

GOOD = """\
models:
  old: python:models.py:old
  new: python:models.py:new
items: questions.jsonl
slices: [topic]
checks:
  - relation: versions.flips
    against: old
    gate: negative_flip_rate <= 0.02
  - relation: relations.py:case_insensitive
    gates:
      - agreement_score >= 0.9
      - violation_rate within -1% to 10%
  - relation: variants.perturbed
    perturbations: [case]
"""
MODELS = """\
def number(prompt):
    text = prompt if isinstance(prompt, str) else prompt[0]["content"]
    return int(text.split()[0])


def old(prompt):
    return str(min(number(prompt), 50))


def new(prompt):
    return str(max(number(prompt), 10))
"""
RELATIONS = """\
import concordant as cc


@cc.relation(variants=("plain", "shouted"))
def case_insensitive(item):
    yield item.input
    yield item.input.upper()


@cc.episode
async def second_look(model, item):
    first = await model.generate(item.input)
    return first, await model.generate([*first.messages, cc.user("Are you sure?")])


class Louder(cc.Relation):
    '''Louder is not different.

    Parameters
    ----------
    marks
        How many exclamation marks.
    '''

    name = "louder"

    def __init__(self, marks: int = 1) -> None:
        self.marks = marks

    def expand(self, items):
        return [cc.Variant("plain", items), cc.Variant("loud", items.replace(input=items.inputs + "!" * self.marks))]

    def judge(self, items, answers):
        return answers["plain"].frame.select(agreement=(answers["plain"]["answer"] == answers["loud"]["answer"]).cast(float))


number = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "relations.py").write_text(RELATIONS)
    rows = [{"input": f"{i} marbles", "reference": i, "topic": "ab"[i % 2]} for i in range(100)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "check.yaml").write_text(GOOD)
    return tmp_path


def read(folder, text=GOOD, **how):
    (folder / "check.yaml").write_text(text)
    return Suite.read(folder / "check.yaml", **{"trust_code": True, **how})


# -- YAML with lines ---------------------------------------------------------------------------------------------


def test_scalars_are_those_of_yaml_1_2():
    text = "a: no\nb: 1e-3\nc: 2026-01-02\nd: 12:30\ne: true\nf: ~\ng: '1'\nh: -7\ni: .5\nj: 0\n"
    expected = {
        "a": "no",
        "b": 1e-3,
        "c": "2026-01-02",
        "d": "12:30",
        "e": True,
        "f": None,
        "g": "1",
        "h": -7,
        "i": 0.5,
        "j": 0,
    }
    data = read_marked(text, "x").data
    assert data == expected
    assert [type(value) for value in data.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "x, line 1: malformed YAML"),
        ("a: 1\nb: 2\na: 3\n", "x, line 3: the key 'a' comes twice, first on line 1"),
        ("a:\n  1: b\n", "x, line 2: a key must be a text, got 1; put it in quotes"),
        ("a: &x [*x]\n", "x, line 1: an alias stands inside what it names"),
        ("a: 1\nb: \x00", "x, line 2: the character '\\x00' is not allowed in YAML"),
        ("a: !!python/object/apply:os.system [ls]", "x, line 1: malformed YAML"),
        ("a: 1\n---\nb: 2\n", "malformed YAML"),
    ],
)
def test_malformed_yaml_names_the_line(text, message):
    with pytest.raises(ConfigError) as caught:
        read_marked(text, "x")
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_places_have_lines():
    document = read_marked(GOOD, "check.yaml")
    assert document.where(("checks", 1, "gates", 1)) == "check.yaml, line 13"
    assert (
        document.where(("checks", 1, "gates", 7, "x")) == "check.yaml, line 11"
    )  # the nearest part around it
    assert document.where(("nothing",)) == "check.yaml, line 1"


# -- what is wrong -----------------------------------------------------------------------------------------------

WRONG = {
    "unknown key": (GOOD + "slcies: [a]\n", "line 16: there is no key 'slcies'; did you mean slices?"),
    "unknown key below": (GOOD + "request:\n  tempertaure: 1\n", "line 17: there is no key 'tempertaure'; did you mean temperature?"),
    "missing": (GOOD.replace("checks:", "chekcs:"), "line 6: there is no key 'chekcs'; did you mean checks?"),
    "wrong type": (GOOD + "seed: many\n", "line 16: seed: should be a valid integer, got 'many'"),
    "out of range": (GOOD + "level: 2\n", "line 16: level: should be less than 1, got 2"),
    "no list": ("- a\n", "line 1: a check file is a mapping with models, items and checks, got list"),
    "unknown relation": (GOOD.replace("versions.flips", "version.flip"), "line 7: there is no relation 'version.flip'; did you mean versions.flips?"),
    "unknown option": (GOOD.replace("against:", "agianst:"), "line 8: versions.flips has no option 'agianst'; did you mean against?"),
    "unknown model": (GOOD.replace("against: old", "against: odl"), "line 8: against should be the name of a model, got 'odl'; did you mean old?"),
    "option of a wrong type": (GOOD.replace("[case]", "7"), "line 15: perturbations should be"),
    "option that the relation refuses": (GOOD.replace("[case]", "[csae]"), "line 14: variants.perturbed: there is no perturbation 'csae'; did you mean case?"),
    "missing option": (GOOD.replace("    against: old\n", ""), "line 7: versions.flips needs the option 'against', the name of a model (old, new)"),
    "gate that does not parse": (GOOD.replace("<= 0.02", "= 0.02"), "line 9: the gate 'negative_flip_rate = 0.02' does not parse"),
    "gate that does not parse, of several": (GOOD.replace("within -1% to 10%", "within 10% to -1%"), "line 13: the gate"),
    "loader": (GOOD.replace("old: python:", "old: pyhton:"), "line 2: there is no model loader 'pyhton' (pyhton:models.py:old); did you mean python?"),
    "loader option": (GOOD.replace("  old: python:models.py:old", "  old: {spec: 'openai:x', concurency: 3}"), "line 2: openai: models have no option 'concurency'; did you mean concurrency?"),
    "loader option in the spec": (GOOD.replace("python:models.py:old", "openai:x?concurency=3"), "line 2: openai: models have no option 'concurency'"),
    "trust in the file": (GOOD.replace("python:models.py:old", "{spec: 'sklearn:m.pkl', trust_pickle: true}"), "line 2: trust_pickle is no option of a model"),
    "trust in the spec": (GOOD.replace("python:models.py:old", "sklearn:m.pkl?trust_pickle=true"), "line 2: trust_pickle is no option of a model"),
    "grader": (GOOD + "grade: nubmer\n", "line 16: there is no grader 'nubmer'; did you mean number?"),
    "subject": (GOOD + "subject: nwe\n", "line 16: there is no model 'nwe'; did you mean new?"),
    "file of a relation": (GOOD.replace("relations.py:", "relatoins.py:"), "relatoins.py: there is no such file"),
    "name in a file": (GOOD.replace("case_insensitive", "case_insensitiv"), "has no 'case_insensitiv'; did you mean case_insensitive?"),
    "not a relation": (GOOD.replace("case_insensitive", "number"), "line 10: relations.py:number is int; allowed is a relation or an episode"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_line(folder, case):
    text, message = WRONG[case]
    with pytest.raises(ConcordantError) as caught:
        read(folder, text)
    said = str(caught.value)
    assert said.startswith(str(folder / "check.yaml"))
    assert message in said
    assert "\n" not in said


def test_which_model_is_meant_must_be_clear(folder):
    two = GOOD.replace("  new:", "  newer:").replace(
        "  - relation: versions.flips\n    against: old\n    gate: negative_flip_rate <= 0.02\n", ""
    )
    with pytest.raises(
        ConfigError, match=r"which model is under test is not clear \(it could be old or newer\)"
    ):
        read(folder, two)
    assert read(folder, two + "subject: old\n").subject == "old"
    assert read(folder, GOOD.replace("  new:", "  newer:")).subject == "newer"


def test_code_is_run_on_the_users_word_only(folder):
    with pytest.raises(
        ConfigError, match=r"line 10: relations.py:case_insensitive runs the code of a file; .* --trust-code"
    ):
        read(folder, trust_code=False)
    plain = GOOD.replace("relations.py:case_insensitive", "variants.resample")
    suite = read(
        folder,
        plain.replace(
            "gates:\n      - agreement_score >= 0.9\n      - violation_rate within -1% to 10%", "k: 2"
        ),
        trust_code=False,
    )
    with pytest.raises(
        ConfigError, match=r"line 3: python.* --trust-code|line 3: .*models.py:new runs the code"
    ):
        suite.load_models()


def test_a_gate_on_a_measure_that_is_not_there_is_refused_before_anything_is_asked(folder):
    for wrong in ("agreement_score", "negative_flip_rate"):
        with pytest.raises(ConfigError, match=rf"has no finding .*; did you mean {wrong}\?"):
            read(folder, GOOD.replace(wrong, wrong.replace("e", "e_", 1)))


def test_items_that_are_wrong_name_the_line_of_the_file(folder):
    with pytest.raises(DataError, match=r"check.yaml, line 4: .*missing.jsonl: there is no such file"):
        read(folder, GOOD.replace("questions.jsonl", "missing.jsonl")).run(progress=False)
    with pytest.raises(
        ConfigError, match=r"check.yaml, line 5: there is no column 'topci' to slice by; did you mean topic\?"
    ):
        read(folder, GOOD.replace("[topic]", "[topci]")).run(progress=False)


def test_a_model_that_cannot_be_loaded_names_the_line_of_the_file(folder):
    with pytest.raises(ModelError, match=r"check.yaml, line 2: .*absent.skops"):
        read(folder, GOOD.replace("python:models.py:old", "sklearn:absent.skops")).run(progress=False)


# -- running it --------------------------------------------------------------------------------------------------


def test_a_file_gives_what_the_python_interface_gives(folder):
    report = read(folder).run(progress=False)
    flips = report["versions.flips"]
    # old is right up to 50, new from 10 on: 51 and 90 of 100; 0 to 9 are lost, 51 to 99 are won
    assert (flips.accuracy_old.value, flips.accuracy_new.value) == (0.51, 0.90)
    assert (flips.negative_flip_rate.value, flips.positive_flip_rate.value) == (0.10, 0.49)
    assert [gate.state for gate in report.gates] == ["fails", "holds", "holds"]
    assert (report.state, report.exit_code) == ("fails", 1)
    assert {f.slice for f in report.slices if f.slice} == {("topic", "a"), ("topic", "b")}

    namespace = {}
    exec(MODELS, namespace)
    items = cc.Items.read(folder / "questions.jsonl")
    old, new = (cc.load(namespace[name]) for name in ("old", "new"))
    from concordant.versions import Flips

    by_hand = cc.check(new, items, [Flips(old)], progress=False)["versions.flips"]
    assert {m: f.value for m, f in flips.findings.items()} == {
        m: f.value for m, f in by_hand.findings.items()
    }


def test_paths_start_from_the_file(folder, monkeypatch, tmp_path_factory):
    suite = read(folder)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert len(suite.run(progress=False).items) == 100
    monkeypatch.chdir(folder)
    assert len(Suite.read("check.yaml", trust_code=True).run(progress=False, limit=7).items) == 7


def test_the_same_relation_twice_keeps_its_gates_apart(folder):
    text = """\
models: {new: "python:models.py:new"}
items: {source: questions.jsonl, limit: 20}
checks:
  - relation: relations.py:Louder
    marks: 1
    gate: agreement_score >= 0.5
  - relation: relations.py:Louder
    marks: 3
    gate: agreement_score >= 0.6
  - relation: relations.py:Louder
    name: loudest
    marks: 9
  - relation: relations.py:second_look
"""
    report = read(folder, text).run(progress=False)
    assert list(report.results) == ["louder", "louder#2", "loudest", "second_look"]
    assert [(gate.finding.relation, gate.gate.low) for gate in report.gates] == [
        ("louder", 0.5),
        ("louder#2", 0.6),
    ]
    assert [report[name].relation.marks for name in ("louder", "louder#2", "loudest")] == [1, 3, 9]
    with pytest.raises(ConfigError, match=r"line 5: marks should be a valid integer.*, got 'x'"):
        read(folder, text.replace("marks: 1", "marks: x"))
    with pytest.raises(
        ConfigError, match=r"line 5: relations.py:Louder has no option 'marsk'; did you mean marks\?"
    ):
        read(folder, text.replace("marks: 1", "marsk: 1"))


def test_columns_request_and_seed_reach_the_check(folder):
    rows = [{"key": f"k{i}", "q": f"{i} marbles", "truth": i, "who": i // 2} for i in range(8)]
    (folder / "other.csv").write_text(pl.DataFrame(rows).write_csv())
    text = """\
title: A check of nothing
models: {new: "python:models.py:new"}
items: {source: other.csv, id: key, input: q, reference: truth, group: who}
request: {temperature: 1, max_tokens: 5, stop: "."}
seed: 3
level: 0.9
checks:
  - relation: relations.py:case_insensitive
"""
    report = read(folder, text).run(progress=False)
    assert report.title == "A check of nothing"
    assert report.items.ids.to_list() == [f"k{i}" for i in range(8)]
    assert report["case_insensitive"].agreement_score.estimate.n_clusters == 4
    request = report.about["request"]
    assert (request["temperature"], request["max_tokens"], request["stop"], request["seed"]) == (
        1.0,
        5,
        (".",),
        3,
    )
    assert (report.about["seed"], report.about["level"]) == (3, 0.9)
    assert read(folder, text).run(progress=False, seed=9).about["request"]["seed"] == 9


def test_a_password_in_an_address_stays_out_of_the_record(folder):
    suite = read(folder, GOOD + "# http://me:secret@host/v1\n")
    report = suite.run(progress=False)
    assert "secret" not in json.dumps(report.about, default=str)


def test_items_may_be_those_of_a_recorded_subject(folder):
    for name, shift in (("a", 0), ("b", 1)):
        rows = [
            {"id": f"q{i}", "question": f"{i}?", "output": str(i + shift * (i < 4)), "target": str(i)}
            for i in range(40)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = """\
models: {old: "log:a.jsonl", new: b.jsonl}
checks: [{relation: versions.flips, against: old, gate: negative_flip_rate <= 0.5}]
"""
    report = read(folder, text, trust_code=False).run(progress=False)
    assert report["versions.flips"].negative_flip_rate.value == 0.1
    assert report.exit_code == 0


# -- options and schema ------------------------------------------------------------------------------------------


def test_options_are_read_from_signatures():
    def made(
        against: "Model",
        agree: "str | Callable[[Any], float] | None" = None,
        k: int = 2,
        other: "Unknown[int]" = 0,
    ): ...

    options = options_of(made)
    assert [(o.name, o.required, o.takes_model, o.takes_function) for o in options.values()] == [
        ("against", True, True, False),
        ("agree", False, False, True),
        ("k", False, False, False),
        ("other", False, False, False),
    ]
    assert checked(options["agree"], "number") == "number"
    assert checked(options["other"], object) is object
    for name, wrong in (("k", "x"), ("agree", 3), ("against", "anything")):
        with pytest.raises(ValueError, match="should be"):
            checked(options[name], wrong)
    assert options_of(lambda **anything: None) is None


def test_parameters_end_with_their_section():
    doc = "Do.\n\nParameters\n----------\na\n    One\n    two.\n\nReturns\n-------\nint\n    Three.\n"
    assert parameters_of(doc) == {"a": "One two."}
    assert parameters_of("Do.") == {}


def test_the_published_schema_is_current():
    published = json.loads((DOCS / "check.schema.json").read_text())
    message = "docs/check.schema.json is not current: concordant validate --schema > docs/check.schema.json"
    assert published == suite_schema(), message


def test_the_schema_agrees_with_the_reader(folder):
    validator = jsonschema.Draft202012Validator(suite_schema())
    assert not list(validator.iter_errors(yaml.safe_load(GOOD)))
    for case in (
        "unknown key",
        "unknown key below",
        "missing",
        "wrong type",
        "out of range",
        "unknown relation",
        "unknown option",
        "missing option",
    ):
        assert list(validator.iter_errors(yaml.safe_load(WRONG[case][0]))), case


# -- specifications of models ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("log:a.jsonl#m", "log:BASE/a.jsonl#m"),
        ("a.jsonl?id=x#m", "log:BASE/a.jsonl?id=x#m"),
        ("python:models.py:old", "python:BASE/models.py:old"),
        ("sklearn:gone.skops", "sklearn:BASE/gone.skops"),  # so that the message says where it was looked for
        ("hf:org/name", "hf:org/name"),  # a name on the hub
        ("hf:models.py", "hf:BASE/models.py"),  # what is there is a path
        ("openai:models.py", "openai:models.py"),
        ("log:/absolute.jsonl", "log:/absolute.jsonl"),
    ],
)
def test_paths_in_specifications_start_from_the_file(folder, spec, expected):
    assert located(spec, folder) == expected.replace("BASE", str(folder))
    assert located(spec, Path()) in (spec, f"log:{spec}")


def test_prompts_in_flight_reach_async_functions(folder):
    (folder / "models.py").write_text(MODELS + "\n\nasync def soon(prompt):\n    return '1'\n")
    suite = read(folder, GOOD.replace("models.py:new", "models.py:soon"))
    assert suite.load_models(concurrency=3)["new"].concurrency == 3
    assert suite.load_models()["new"].concurrency == 16


def test_an_option_may_hold_several_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, right in (("one", "ab"), ("two", "b"), ("three", "a")):
        rows = (
            {"id": id, "input": f"{id}?", "reference": "yes", "output": "yes" if id in right else "no"}
            for id in "abc"
        )
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = """\
models: {one: one.jsonl, two: two.jsonl, three: three.jsonl}
items: one.jsonl
checks:
  - relation: versions.retention
    against: [one, two]
"""
    suite = Suite.parse(text)
    assert suite.file.subject is None
    result = suite.run(progress=False)["versions.retention"]
    assert (result.forgetting_rate.value, result.regained_rate.value) == (0.5, 1 / 3)
    with pytest.raises(
        ConfigError, match=r"line 5: against should hold names of models, got 'tow'; did you mean two\?"
    ):
        Suite.parse(text.replace("two]", "tow]"))
    with pytest.raises(ConfigError, match="line 5: against should be the name of a model"):
        Suite.parse(text.replace("[one, two]", "7"))
