"""Reversible edits: bit for bit there and back, in memory and in files, refused where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from concordant.core.errors import ModelError, StoreError
from concordant.models.weight_files import WeightFiles
from concordant.versions.editing import (
    Edit,
    edit_between,
    edit_of_parts,
    edit_of_rows,
    edited_folder,
    stored_precision,
)
from concordant.versions.editing.changes import same_bits
from concordant.versions.editing.digests import model_digest, tensor_digests
from concordant.versions.editing.folders import folder_digest

torch.set_num_threads(1)


def weights(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a.weight": (6, 4), "b.weight": (3, 2, 2), "c.bias": (5,), "d": ()}
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


def copied(tensors):
    return {name: tensor.clone() for name, tensor in tensors.items()}


def equal(first, second):
    return first.keys() == second.keys() and all(same_bits(first[name], second[name]) for name in first)


# -- in memory ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    places=st.lists(st.tuples(st.sampled_from(["a.weight", "b.weight", "c.bias", "d"]), st.integers(0, 99))),
    value=st.sampled_from([0.0, -0.0, 1.5, -3.0, 1e-3]),
)
def test_between_any_two_models_there_and_back(dtype, places, value):
    before = weights(dtype)
    after = copied(before)
    for name, place in places:
        flat = after[name].view(-1)
        flat[place % len(flat)] = value
    edit = edit_between(before, after)
    model = copied(before)
    if edit.changes:
        edit.apply(model)
    assert equal(model, after)
    if edit.changes:
        edit.undo(model)
    assert equal(model, before)


def test_a_change_of_few_numbers_holds_numbers_and_one_of_whole_rows_holds_rows():
    before = {"w": torch.zeros(10, 50)}
    few, rows = copied(before), copied(before)
    few["w"][[1, 4], [2, 3]] = 1.0
    rows["w"][[2, 7]] = torch.arange(1.0, 51.0)
    by_number, by_row = (edit_between(before, after).changes["w"] for after in (few, rows))
    assert (by_number.old.shape, by_number.n_rows, by_number.n_numbers) == ((2, 1), 2, 2)
    assert by_number.index.tolist() == [1 * 50 + 2, 4 * 50 + 3]
    assert (by_row.old.shape, by_row.n_rows, by_row.n_numbers) == ((2, 50), 2, 100)
    assert by_number.norm == pytest.approx(2**0.5)


def test_minus_zero_is_a_change():
    before = {"w": torch.zeros(2)}
    assert edit_between(before, {"w": torch.tensor([0.0, -0.0])}).n_numbers == 1


def test_rows_are_put_in_order():
    model = {"w": torch.zeros(4, 2)}
    edit = edit_of_rows(model, {"w": (torch.tensor([3, 0]), torch.tensor([[3.0, 3.0], [1.0, 1.0]]))})
    edit.apply(model)
    assert model["w"].tolist() == [[1, 1], [0, 0], [0, 0], [3, 3]]
    assert edit.changes["w"].index.tolist() == [0, 3]


def test_parts_are_added():
    model = {"w": torch.ones(2, 3)}
    edit_of_parts(model, {"w": (torch.tensor([1, 4]), torch.tensor([[2.0], [3.0]]))}).apply(model)
    assert model["w"].tolist() == [[1, 3, 1], [1, 4, 1]]


def test_tied_weights_and_layers_that_are_not_contiguous():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(4, 3)
            self.head = nn.Linear(3, 4, bias=False)
            self.head.weight = self.embedding.weight
            self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).T)

    model = Tied()
    before = [model.embedding.weight.detach().clone(), model.turned.detach().clone()]
    rows = {
        "embedding.weight": (torch.tensor([2]), torch.ones(1, 3)),
        "turned": (torch.tensor([1]), torch.tensor([[7.0, 8.0]])),
    }
    edit = edit_of_rows(model, rows)
    edit.apply(model)
    assert model.head.weight[2].tolist() == [1, 1, 1]
    assert model.turned.tolist() == [[0, 3], [7, 8], [2, 5]]
    edit.undo(model)
    assert all(
        torch.equal(was, now) for was, now in zip(before, (model.embedding.weight, model.turned), strict=True)
    )


# -- refusals -----------------------------------------------------------------------------------------------


def edit_of(model, value=9.0):
    return edit_of_rows(model, {"a.weight": (torch.tensor([2]), torch.full((1, 4), value))})


def test_other_weights_are_refused_and_left_alone():
    edit, other = edit_of(weights()), weights(seed=1)
    before = copied(other)
    with pytest.raises(ModelError, match=r"made for the weights \w{16}, the model has \w{16}"):
        edit.apply(other)
    assert equal(other, before)


def test_an_edit_is_not_applied_twice_nor_undone_before_it_is_applied():
    model = weights()
    edit = edit_of(model)
    with pytest.raises(ModelError, match="or it was undone already"):
        edit.undo(model)
    edit.apply(model)
    with pytest.raises(ModelError, match="has this edit already"):
        edit.apply(model)


def test_an_edit_below_another_is_refused_until_that_is_undone():
    model = weights()
    first = edit_of(model)
    first.apply(model)
    second = edit_of(model, 5.0)
    second.apply(model)
    with pytest.raises(ModelError, match="undo later edits first"):
        first.undo(model)
    second.undo(model)
    first.undo(model)
    assert equal(model, weights())


def test_force_adds_the_difference():
    edit, other = edit_of(weights()), weights(seed=1)
    expected = other["a.weight"][2] + (9.0 - weights()["a.weight"][2])
    edit.apply(other, force=True)
    assert torch.allclose(other["a.weight"][2], expected)
    assert equal(
        other | {"a.weight": other["a.weight"].index_fill(0, torch.tensor(2), 0)},
        weights(seed=1) | {"a.weight": weights(seed=1)["a.weight"].index_fill(0, torch.tensor(2), 0)},
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("a.weight"), "changes a.weight, which the model lacks"),
        (
            lambda w: w.update({"a.weight": torch.zeros(4, 4)}),
            r"of shape \(6, 4\), the model has one of \(4, 4\)",
        ),
        (
            lambda w: w.update({"a.weight": w["a.weight"].half()}),
            "is float16 in the model, which cannot hold",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused_even_by_force(change, message):
    model = weights()
    edit = edit_of(model)
    change(model)
    with pytest.raises(ModelError, match=message):
        edit.apply(model, force=True)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ModelError, match=r"new values of a\.weight must be finite"):
        edit_of(weights(), float("nan"))


def test_models_of_other_tensors_have_no_edit_between():
    with pytest.raises(ModelError, match=r"d is \(\) before and absent after"):
        edit_between(weights(), {name: t for name, t in weights().items() if name != "d"})


# -- precision ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_edit_for_files_of_half_precision_serves_the_model_in_single_precision(dtype):
    stored = weights(dtype)
    model = {name: tensor.float() for name, tensor in stored.items()}
    edit = edit_of_rows(
        model, {"a.weight": (torch.tensor([0]), torch.full((1, 4), 0.1))}, stored=dict.fromkeys(stored, dtype)
    )
    assert edit.changes["a.weight"].new.dtype == dtype
    before, files = copied(model), copied(stored)
    edit.apply(model)
    edit.apply(files)
    assert all(torch.equal(model[name], files[name].float()) for name in model)
    edit.undo(model)
    edit.undo(files)
    assert equal(model, before)
    assert equal(files, stored)


def test_the_head_that_is_the_embedding_counts_once():
    table = torch.arange(6.0).reshape(2, 3)
    alone, both = {"embed": table}, {"embed": table, "lm_head.weight": table.clone()}
    own = {"embed": table, "lm_head.weight": table + 1}
    first, second, third = (model_digest(tensor_digests(one)) for one in (alone, both, own))
    assert first == second != third


# -- files --------------------------------------------------------------------------------------------------


def test_the_file_of_an_edit(tmp_path):
    model = weights(torch.bfloat16)
    edit = edit_of_rows(
        model, {"c.bias": (torch.tensor([1]), torch.tensor([2.0]))}, method="by hand", settings={"x": 1}
    )
    edit.save(tmp_path / "a" / "edit.safetensors")
    read = Edit.load(tmp_path / "a" / "edit.safetensors")
    assert (read.before, read.after, read.about) == (
        edit.before,
        edit.after,
        {"method": "by hand", "settings": {"x": 1}},
    )
    read.apply(model)
    assert model["c.bias"][1] == 2.0
    read.undo(model)
    assert equal(model, weights(torch.bfloat16))


def test_files_that_are_no_edits(tmp_path):
    with pytest.raises(StoreError, match="there is no edit"):
        Edit.load(tmp_path / "none")
    (tmp_path / "torn").write_bytes(b"123")
    save_file({"w": torch.zeros(2)}, tmp_path / "weights")
    for name in ("torn", "weights"):
        with pytest.raises(StoreError, match="is no edit that this package wrote"):
            Edit.load(tmp_path / name)


def folder_of(path, tensors, shards):
    path.mkdir()
    (path / "config.json").write_text("{}")
    names = list(tensors)
    if shards == 1:
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt", "note": "kept"})
        return path
    places = {name: f"model-0000{1 + i % shards}-of-0000{shards}.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == file}, path / file)
    index = {"metadata": {}, "weight_map": places}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return path


def files_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_folder_there_and_back_bit_for_bit(tmp_path, dtype, shards):
    folder = folder_of(tmp_path / "model", weights(dtype), shards)
    before = files_of(folder)
    model = {name: tensor.float() for name, tensor in weights(dtype).items()}
    rows = {
        "a.weight": (torch.tensor([1, 5]), torch.randn(2, 4)),
        "c.bias": (torch.tensor([0]), torch.ones(1)),
    }
    edit = edit_of_rows(model, rows, stored=stored_precision(folder))
    edited_folder(edit, folder, tmp_path / "edited")
    edited_folder(edit.reversed(), tmp_path / "edited", tmp_path / "back")
    assert files_of(folder) == before == files_of(tmp_path / "back") != files_of(tmp_path / "edited")
    edit.apply(model)
    with WeightFiles(tmp_path / "edited") as files:
        assert all(torch.equal(files.read(name).float(), model[name]) for name in model)
        assert folder_digest(files) == edit.after == model_digest(tensor_digests(model))


def test_folders_that_are_refused_leave_nothing(tmp_path):
    folder = folder_of(tmp_path / "model", weights(), 1)
    edit = edit_of(weights(seed=1))
    with pytest.raises(ModelError, match="was made for the weights"):
        edited_folder(edit, folder, tmp_path / "edited")
    edited_folder(edit, folder, tmp_path / "forced", force=True)
    difference = load_file(tmp_path / "forced" / "model.safetensors")["a.weight"] - weights()["a.weight"]
    assert torch.allclose(difference[2], 9.0 - weights(seed=1)["a.weight"][2], atol=1e-5)
    with pytest.raises(StoreError, match="is there already"):
        edited_folder(edit_of(weights()), folder, tmp_path / "forced")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forced", "model"]


def test_a_saved_edit_is_small(tmp_path):
    model = {"w": torch.zeros(1000, 100)}
    edit_of_rows(model, {"w": (torch.arange(3), torch.ones(3, 100))}).save(tmp_path / "edit")
    assert (tmp_path / "edit").stat().st_size < 2 * 3 * 100 * 4 + 2000
    assert np.prod(model["w"].shape) * 4 == 400_000
