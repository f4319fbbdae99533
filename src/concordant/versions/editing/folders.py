"""Edits of model folders: the files are copied, and the few numbers of the edit are written into the copy.

Everything else of a file stays as it is, header and shards included, so that undoing an edit gives the files back bit
for bit. One tensor at a time is in memory.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from concordant.models.weight_files import WeightFiles
from concordant.models.weight_output import new_folder
from concordant.versions.editing.changes import changed_rows
from concordant.versions.editing.digests import model_digest, tensor_digest

if TYPE_CHECKING:
    from pathlib import Path

    from concordant.versions.editing.edit import Edit


def edited_folder(edit: Edit, folder: Path, output: Path, *, force: bool = False) -> None:
    """Write a model folder with an edit; to undo one, give ``edit.reversed()``.

    Parameters
    ----------
    edit
        What is to change.
    folder
        A folder with ``model.safetensors``, or with shards and their index.
    output
        The folder to write, which must not be there. It appears when it is whole.
    force
        As for `Edit.apply`.

    Raises
    ------
    ModelError
        If the folder holds no safetensors, or other weights than the edit was made for.
    StoreError
        If `output` is there already, or cannot be written.
    """
    with WeightFiles(folder) as files:
        edit.check_tensors({name: (entry.shape, entry.dtype) for name, entry in files.entries.items()})
        if not force:
            edit.check_digest(folder_digest(files))
    with new_folder(output) as unfinished:
        shutil.copytree(folder, unfinished, dirs_exist_ok=True)
        with WeightFiles(unfinished) as files:
            for name, change in edit.changes.items():
                tensor = files.read(name)
                change.put(tensor, changed_rows(change, change.rows_of(tensor), force=force))
                entry = files[name]
                with entry.path.open("r+b") as file:
                    file.seek(entry.start)
                    file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


def folder_digest(files: WeightFiles) -> str:
    """Return the digest of the weights of a folder, the same as that of the model in memory."""
    return model_digest({name: tensor_digest(files.read(name)) for name in files.entries})


def stored_precision(folder: Path) -> dict[str, torch.dtype]:
    """Return the precision of each tensor in the files of a model folder, for `edit_of_rows` and `edit_between`."""
    with WeightFiles(folder) as files:
        return {name: entry.dtype for name, entry in files.entries.items()}
