"""What the verbs of ``edit`` share: the model that is named, and what is written and told of an edit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import torch

    from concordant.core.items import Items
    from concordant.models.causal import CausalLM
    from concordant.versions.editing.edit import Edit
    from concordant.versions.editing.ledger import LedgerLine


def write_folder(file: Path, model: str, output: Path, *, undo: bool, force: bool, json: bool) -> int:
    """Write a model folder with or without an edit, say so, and return the exit code."""
    from concordant.core.errors import require

    require("torch", "torch", "edits of models")
    from concordant.versions.editing.edit import Edit
    from concordant.versions.editing.folders import edited_folder

    loaded = Edit.load(file)
    edited_folder(loaded.reversed() if undo else loaded, folder_of(model), output, force=force)
    if json:
        from concordant.cli.output import print_json

        print_json({**told(loaded), "written": str(output)})
    else:
        if not undo and loaded.about.get("ledger"):
            from concordant.cli.output import stdout_console
            from concordant.report.edits import print_ledger

            print_ledger(loaded.about["ledger"], stdout_console())
        done = "undone" if undo else "applied"
        typer.echo(f"{output}: {file} {done}: {loaded.n_numbers:,} numbers in {len(loaded.changes)} tensors")
    return 0


def deliver_edit(
    made: Edit | None,
    lines: list[LedgerLine],
    tried: dict[str, Any],
    notes: list[str],
    best: str,
    output: Path,
    *,
    json: bool,
) -> int:
    """Write an edit with its ledger, print both, and return the exit code."""
    from dataclasses import replace

    ledger = [line.to_dict() for line in lines]
    if made is not None:
        made = replace(made, about={**made.about, "tried": tried, "ledger": ledger})
        made.save(output)
    if json:
        from concordant.cli.output import print_json

        edited = {"edit": None} if made is None else {"edit": str(output), **told(made)}
        print_json({**edited, "tried": tried})
        return 0 if made is not None else 1
    from concordant.cli.output import stdout_console
    from concordant.report.edits import print_ledger, print_tried

    console = stdout_console()
    for note in notes:
        typer.echo(note)
    print_tried(tried, console)
    if made is None:
        typer.echo("no edit: nothing that was tried stays within the bound; allow more, or try weaker ones")
        return 1
    print_ledger(ledger, console)
    typer.echo(f"{output}: {best}, {made.n_numbers:,} numbers in {len(made.changes)} tensors")
    return 0


def told(loaded: Edit) -> dict[str, Any]:
    """Return what an edit touches, as JSON takes it."""
    tensors = [
        {
            "tensor": name,
            "rows": change.n_rows,
            "of_rows": change.shape[0] if change.shape else 1,
            "numbers": change.n_numbers,
            "length": change.norm,
            "relative_length": change.norm / (float(change.old.double().norm()) or 1.0),
        }
        for name, change in sorted(loaded.changes.items())
    ]
    return {
        "before": loaded.before,
        "after": loaded.after,
        "numbers": loaded.n_numbers,
        "tensors": tensors,
        **loaded.about,
    }


def folder_of(model: str) -> Path:
    """Return the folder of a model that is named."""
    from concordant.core.errors import ModelError

    scheme, colon, rest = model.partition(":")
    if colon and scheme == "pocket" and not Path(rest).is_dir():
        from concordant.pocket import model_folder

        return model_folder(rest)
    folder = Path(rest if colon and scheme in ("hf", "pocket") else model).expanduser()
    if not folder.is_dir():
        message = f"an edit needs the files of the model: a folder, hf:FOLDER or pocket:NAME, got {model!r}"
        raise ModelError(message)
    return folder


def loaded_model(model: str) -> tuple[CausalLM, dict[str, torch.dtype]]:
    """Load a language model from its files, and return it with the precision of its weights there."""
    from concordant.core.errors import ModelError, require

    require("torch", "torch", "edits of models")
    from concordant.models.causal import CausalLM
    from concordant.models.huggingface import load_huggingface
    from concordant.pocket.released import CHAT, load_pocket
    from concordant.versions.editing.folders import stored_precision

    folder = folder_of(model)
    is_pocket = model.startswith("pocket:")
    wrapped: Any = (
        load_pocket(str(folder), device="cpu", name=model)
        if is_pocket
        else load_huggingface(folder, device="cpu", chat=(folder / CHAT).is_file(), name=model)
    )
    found = getattr(wrapped, "language_model", None)
    if not isinstance(found, CausalLM):
        message = f"{model} is no causal language model: only those can be edited"
        raise ModelError(message)
    return found, stored_precision(folder)


def items_of(file: str, limit: int | None) -> Items:
    """Read items."""
    from concordant.core.items import Items

    return Items.read(file, limit=limit)


def texts_of(file: str, limit: int | None) -> list[str]:
    """Read the texts of items."""
    return [str(text) for text in items_of(file, limit).inputs]
