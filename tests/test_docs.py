"""The manual against the code: what it links to exists, and what there is to name is named in it."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import concordant as cc
from concordant import variants, versions
from concordant.cli import main
from concordant.core import statistics
from concordant.core.agreement import AGREEMENTS
from concordant.core.columns import ALIASES
from concordant.core.finding import Finding
from concordant.core.grading import GRADERS
from concordant.core.registry import lookup, registered
from concordant.core.results import EXIT_CODES
from concordant.core.statistics import wilson_estimate
from concordant.models.readers.aliases import ALIASES as RECORD_ALIASES
from concordant.models.readers.source import COLUMN_OPTIONS, OTHER_OPTIONS
from concordant.suite import Suite
from concordant.suite.document import CheckEntry, CheckFile, ItemsEntry, RequestEntry
from concordant.variants.perturbations import PERTURBATIONS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *DOCS.glob("*.md"),
    *DOCS.glob("design/*.md"),
]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    return FENCE.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    return [body for found, body in FENCE.findall(text) if found == language]


def sections(text: str) -> dict[str, str]:
    """Return the text below each heading, up to the next one of any depth, with all code."""
    outside = FENCE.sub(lambda match: re.sub(r"^#", " #", match[0], flags=re.MULTILINE), text)
    parts = re.split(r"^#+ (.+)$", outside, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and the manual make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def names(text: str, name: str) -> bool:
    """Say whether a text names something, as a word of its own in code."""
    return re.search(rf"`[^`\n]*(?<![\w.-]){re.escape(name)}(?![\w-])[^`\n]*`", text) is not None


# -- links --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = page if not file else (page.parent / file).resolve()
        assert path.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(path), f"{page.name} links to {target}; {path.name} has no such heading"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(" ".join(blocks(text_of("index.md"), "")).split())
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} == listed - {":hidden:", "design/index"}
    design = set(" ".join(blocks(text_of("design/index.md"), "")).split())
    assert {page.stem for page in DOCS.glob("design/*.md")} - {"index"} == design


def test_design_pages_stay_short() -> None:
    for page in DOCS.glob("design/*.md"):
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 40, page.name


# -- relations ----------------------------------------------------------------------------------------------


def test_every_relation_has_a_section_with_an_example() -> None:
    found = sections(text_of("relations.md"))
    for name in registered("relations"):
        assert blocks(found[name], "python"), name


def test_every_relation_is_in_the_table_that_helps_to_choose() -> None:
    table = sections(text_of("relations.md"))["Which relation?"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if "](#" in line]
    assert {re.findall(r"\[(.+?)\]", row[1])[0] for row in rows} == set(registered("relations"))
    for row in rows:
        made = lookup("relations", re.findall(r"\[(.+?)\]", row[1])[0])
        relation = made(cc.load(str.upper)) if hasattr(versions, made.__name__) else made
        known = {measure.name for measure in relation.measures}
        assert row[2].strip("`") in known
        assert cc.Gate.parse(row[3].strip("`")).measure in known


@pytest.mark.parametrize("name", [*GRADERS, *AGREEMENTS, *PERTURBATIONS])
def test_every_grader_agreement_and_perturbation_is_named(name: str) -> None:
    assert names(text_of("relations.md"), name)


# -- the command --------------------------------------------------------------------------------------------


def commands() -> dict[str, set[str]]:
    """Return the flags of each verb, those of its own verbs among them."""
    group = typer.main.get_command(main.app)
    return {verb: flags_of(command) - {"-h", "--help"} for verb, command in group.commands.items()}


def flags_of(command: Any) -> set[str]:
    own = {
        option
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return own.union(*map(flags_of, getattr(command, "commands", {}).values()))


def test_every_verb_has_a_section() -> None:
    text = text_of("commands.md")
    assert set(main.VERBS) == set(commands())
    for verb in main.VERBS:
        assert verb in sections(text)
        assert f"[{verb}](#{verb})" in text


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_flag_of_a_verb_is_described(verb: str) -> None:
    found = sections(text_of("commands.md"))
    described = set(FLAG.findall(found[verb] + found["Flags of several verbs"]))
    assert commands()[verb] <= described


def test_no_flag_is_described_that_is_not_there() -> None:
    group = typer.main.get_command(main.app)
    own = {option for parameter in group.params for option in parameter.opts}
    known = set().union(own, {"-h", "--help"}, *commands().values())
    mentioned = set(FLAG.findall("\n".join(re.findall(r"`[^`\n]+`", prose(text_of("commands.md"))))))
    assert {flag for flag in mentioned if flag.startswith("-")} <= known
    assert own <= mentioned


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_examples_are_commands(page: Path) -> None:
    known = commands()
    for block in blocks(page.read_text(encoding="utf-8"), "console"):
        for line in block.splitlines():
            if not line.startswith("$ concordant "):
                continue
            words = shlex.split(line)[2:]
            if words[0].isupper() or words[0].startswith("-"):
                continue
            assert words[0] in known, line
            assert {word for word in words[1:] if word.startswith("-")} <= known[words[0]], line


def test_every_exit_code_is_documented() -> None:
    table = sections(text_of("commands.md"))["Exit codes"]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert documented == {*EXIT_CODES.values(), main.COULD_NOT_BE_RUN, main.STOPPED, main.BROKEN_PIPE}


# -- formats and models -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_check_files_in_examples_are_understood(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "yaml"):
        if re.search(r"^models:", block, re.MULTILINE) and re.search(r"^checks:", block, re.MULTILINE):
            assert Suite.parse(block).checks


@pytest.mark.parametrize(
    "key",
    [
        *CheckFile.model_fields,
        *CheckEntry.model_fields,
        *RequestEntry.model_fields,
        *ItemsEntry.model_fields,
    ],
)
def test_every_key_of_a_check_file_is_described(key: str) -> None:
    assert names(sections(text_of("formats.md"))["check.yaml"], key)


def test_every_column_of_items_and_records_is_described() -> None:
    found = sections(text_of("formats.md"))
    for role, aliases in ALIASES.items():
        assert all(names(found["Items"], alias) for alias in aliases), role
    assert all(names(found["Records"], role) for role in RECORD_ALIASES)


def test_every_column_of_the_findings_is_described() -> None:
    row = Finding("a", "b", wilson_estimate(0.5, n=4)).to_dict()
    assert all(names(sections(text_of("formats.md"))["findings.parquet"], column) for column in row)


def test_every_scheme_of_models_is_described_with_all_its_options() -> None:
    found = sections(text_of("models.md"))
    for scheme in registered("models"):
        section = next(text for heading, text in found.items() if heading.startswith(f"{scheme}:"))
        if scheme == "log":
            continue
        for option in list(inspect.signature(lookup("models", scheme)).parameters)[1:]:
            flag = f"--{option.replace('_', '-')}"
            assert names(section, option) or names(text_of("models.md"), flag), f"{scheme}: {option}"


def test_every_option_of_logs_is_described() -> None:
    section = sections(text_of("models.md"))["log: recorded answers"]
    for option in (*COLUMN_OPTIONS, *OTHER_OPTIONS):
        assert f"?{option}=" in section or option == "model", option


# -- the reference ------------------------------------------------------------------------------------------


def test_every_public_name_is_in_the_reference() -> None:
    listed = set(re.findall(r"^\.\. auto\w+:: (?:[\w.]+\.)?(\w+)$", text_of("reference.md"), re.MULTILINE))
    public = set(cc.__all__) - {"__version__", *cc._PACKAGES}
    assert public <= listed
    for module in (versions, variants, statistics):
        exported = {
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", "").startswith("concordant.")
        }
        assert exported <= listed, module.__name__
