"""The verb ``merge``: one model out of the weights of several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from concordant.cli.options import Gates, Grade, Json, Limit, Seed, TrustPickle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from concordant.core.items import Items
    from concordant.core.model import Model
    from concordant.core.results import Report
    from concordant.versions.merging.plan import Plan
    from concordant.versions.merging.recipe import Recipe
    from concordant.versions.merging.record import Merge

FILES_OF_MODELS = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")


def merge(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", show_default=False, help="A YAML file: ours, or one of mergekit."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where the merged model is written."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(metavar="ITEMS", help="Ask the result and every parent these items afterwards."),
    ] = None,
    gate: Gates = None,
    grade: Grade = None,
    limit: Limit = None,
    seed: Seed = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Merge models of other vocabularies, or of no common ancestor.")
    ] = False,
    trust_pickle: TrustPickle = False,
    json: Json = False,
) -> int:
    """Merge models of one ancestor into one, weight by weight, and say what it keeps of each parent.

    Linear, slerp, task arithmetic, breadcrumbs, TIES and DARE, with two weights of every model in memory at a time.
    Models are folders, hf:FOLDER or pocket:NAME. With items, the result is held against every parent: its accuracy as
    a share of the parent's own, and what flipped. The folder is an ordinary model folder, with merge.json in it.

    For example, with method, base, parents, scale, keep and remove in breadcrumbs.yaml:

        concordant merge breadcrumbs.yaml --dry-run

        concordant merge breadcrumbs.yaml -o merged --check items.jsonl --gate "normalised_accuracy >= 0.9"
    """
    from concordant.cli.output import clean_stdout, print_json
    from concordant.core.errors import ConfigError, require

    require("torch", "torch", "merges of weights")
    if output is None and not dry_run:
        message = "say where the merged model goes (-o FOLDER), or try it with --dry-run"
        raise ConfigError(message)
    read, plan = read_plan(recipe, seed)
    with clean_stdout():
        from concordant.versions.merging import examine_folders, merge_folders

        if dry_run or output is None:
            done = examine_folders(plan, force=force, trust_pickle=trust_pickle)
        else:
            asked = _items(recipe, read, plan, check, limit)
            done = merge_folders(plan, output, force=force, trust_pickle=trust_pickle)
    if dry_run or output is None:
        if json:
            print_json(done.to_dict())
        else:
            _tell(done, None)
        return 0
    if not json:
        _tell(done, output)
    reports = _checked(recipe, read, plan, output, asked, gate, grade, trust_pickle=trust_pickle)
    if json:
        from concordant.report.documents import finite

        print_json(done.to_dict() | {"checks": [finite(report.to_dict()) for report in reports]})
    else:
        _show(reports)
    codes = {report.exit_code for report in reports}
    return 1 if 1 in codes else max(codes, default=0)


def read_plan(path: Path, seed: int | None = None) -> tuple[Recipe | None, Plan]:
    """Read a recipe, ours or of mergekit."""
    from dataclasses import replace

    from concordant.suite.marked_yaml import read_marked
    from concordant.versions.merging.mergekit import is_mergekit, mergekit_plan
    from concordant.versions.merging.recipe import read_recipe, recipe_plan

    document = read_marked(path.read_text(encoding="utf-8"), str(path))
    if is_mergekit(document.data):
        recipe = None
        plan = mergekit_plan(document.data, document.error, lambda spec: _folder(spec, path.parent), _names)
    else:
        recipe = read_recipe(document.data, document.error)
        plan = recipe_plan(recipe, lambda spec: _folder(spec, path.parent), _names)
    return recipe, plan if seed is None else replace(plan, seed=seed)


def _folder(spec: str, beside: Path) -> Path:
    """Return the folder of a model: beside the recipe, from here, of a pocket model, or fetched from the hub."""
    from concordant.core.errors import ModelError, first_line
    from concordant.pocket.released import model_folder, released

    scheme, colon, rest = spec.partition(":")
    name = rest if colon and scheme in ("hf", "pocket") else spec
    for folder in (beside / Path(name).expanduser(), Path(name).expanduser()):
        if folder.is_dir():
            return folder
    if scheme == "pocket" and colon:
        return model_folder(name)
    if name in released():
        message = f"there is no folder {name}; the model that ships is called pocket:{name}"
        raise ModelError(message)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        message = f"there is no folder {name} to merge"
        raise ModelError(message)
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(FILES_OF_MODELS)))
    except Exception as error:
        message = f"there is no folder {name}, and it cannot be had from the hub: {first_line(error)}"
        raise ModelError(message) from None


def _names(folder: Path) -> Iterable[str]:
    from concordant.models.weight_files import WeightFiles

    with WeightFiles(folder) as files:
        return list(files.entries)


def _items(
    path: Path, recipe: Recipe | None, plan: Plan, given: str | None, limit: int | None
) -> dict[str, Items]:
    """Read what each parent is asked: its own items, or those of all; files that lack are told before the merge."""
    from concordant.core.items import Items

    said = None if recipe is None else recipe.check
    limit = limit or (said.limit if said is not None else None)
    sources: dict[str, str] = {}
    for i, parent in enumerate(plan.parents):
        own = None if recipe is None else recipe.parents[i].items
        general = given or (None if said is None or said.items is None else _beside(said.items, path))
        if source := (_beside(own, path) if own is not None and given is None else general):
            sources[parent.name] = source
    read = {source: Items.read(source, limit=limit) for source in dict.fromkeys(sources.values())}
    return {name: read[source] for name, source in sources.items()}


def _beside(source: str, recipe: Path) -> str:
    beside = recipe.parent / source
    return str(beside) if beside.exists() else source


def _checked(
    path: Path,
    recipe: Recipe | None,
    plan: Plan,
    out: Path,
    items: dict[str, Items],
    gates: Sequence[str] | None,
    grade: str | None,
    *,
    trust_pickle: bool,
) -> list[Report]:
    from concordant.cli.output import clean_stdout
    from concordant.suite.loading import load_model
    from concordant.versions.merging.kept import check_parents

    if not items:
        return []

    def load(name: str, folder: Path) -> Model:
        scheme = "pocket" if name.startswith("pocket:") else "hf"
        return load_model(f"{scheme}:{folder}", {"name": name}, trust_pickle=trust_pickle)

    said = None if recipe is None else recipe.check
    of_pocket = plan.models[0].name.startswith("pocket:")
    with clean_stdout():
        return check_parents(
            load("pocket:merged" if of_pocket else "merged", out),
            {
                parent.name: load(parent.name, parent.folder)
                for parent in plan.parents
                if parent.name in items
            },
            items,
            gates=gates or (said.gates if said is not None else ()),
            grade=grade or (said.grade if said is not None else None),
        )


def _tell(done: Merge, out: Path | None) -> None:
    """Say in a few lines what was merged."""
    from concordant.report.sanitize import one_line

    plan, kin = done.plan, done.ancestry
    kept = f", {done.n_kept:,} taken from {plan.models[0].name} as they are" if done.n_kept else ""
    scope = f", shares of each {plan.scope}" if plan.method in ("breadcrumbs", "ties") else ""
    scope = scope.replace("each global", "the whole model")
    lines = [
        f"{plan.method} of {len(plan.parents)} models{scope}: {done.n_weights:,} weights{kept}",
        f"{done.n_bytes / 1e6:,.1f} MB; about {done.memory_bytes / 1e6:,.1f} MB of memory; "
        f"the parents are read {'once' if done.n_readings == 1 else f'{done.n_readings} times'}",
    ]
    for i, name in enumerate(kin.names[1:], start=1):
        lines.append(
            f"{name}: cosine {kin.cosines[0, i]:.4f} with {kin.names[0]}, distance {kin.distances[i]:.3f} of its length"
        )
    if plan.base is not None and len(plan.parents) > 1:
        pairs = [(i, j) for i in range(1, len(kin.names)) for j in range(i + 1, len(kin.names))]
        closest = max(pairs, key=lambda pair: kin.delta_cosines[pair])
        lines.append(
            f"deltas are nearest between {kin.names[closest[0]]} and {kin.names[closest[1]]}: "
            f"cosine {kin.delta_cosines[closest]:.3f}"
        )
    if done.branches:
        counts = ", ".join(f"{done.branches.get(way, 0):,} {way}" for way in ("spherical", "linear"))
        lines.append(f"branches of slerp: {counts}")
    lines += [f"forced: {sentence}" for sentence in done.forced]
    source = plan.files or plan.models[0].folder
    if not _has_template(source) and (with_one := [p for p in plan.parents if _has_template(p.folder)]):
        lines.append(
            f"no chat template is copied, {with_one[0].name} has one: name it in the recipe by files"
        )
    lines.append("nothing was written" if out is None else f"wrote {out}")
    for line in lines:
        typer.echo(one_line(line))


def _has_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    inside = config.is_file() and '"chat_template"' in config.read_text(encoding="utf-8")
    return inside or (folder / "chat_template.jinja").is_file()


def _show(reports: Sequence[Report]) -> None:
    """Print what the merged model keeps of each parent, and the gates."""
    from rich.table import Table

    from concordant.cli.output import stdout_console
    from concordant.report.figures import figure_text
    from concordant.report.sanitize import one_line
    from concordant.versions.merging.kept import SHOWN

    console = stdout_console()
    for report in reports:
        for name, result in report.results.items():
            table = Table(title=f"merged, held against {one_line(name)}", title_justify="left", box=None)
            table.add_column("finding")
            table.add_column("value (interval, n)")
            for measure in SHOWN:
                found = result.findings.get(measure)
                label = {"accuracy_old": "accuracy of the parent", "accuracy_new": "accuracy of the merged"}
                said = "not known: one of the two is never right" if found is None else figure_text(found)
                table.add_row(label.get(measure, measure), said)
            console.print(table)
        for gate in report.gates:
            console.print(one_line(f"{gate.finding.relation}: {gate.sentence()}"), markup=False)
