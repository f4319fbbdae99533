"""Weights in files: round trips bit for bit, torn and missing shards, folders that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from concordant.core.errors import ModelError, StoreError
from concordant.models import weight_output
from concordant.models.weight_files import INDEX, WeightFiles
from concordant.models.weight_output import WeightOutput, new_folder

DRAW = torch.Generator().manual_seed(0)
STATE = {
    "a": torch.randn(7, 5, generator=DRAW).to(torch.bfloat16),
    "b": torch.randn(3, generator=DRAW).to(torch.float16),
    "c": torch.randn(2, 3, 4, generator=DRAW),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 4),
    "ids": torch.arange(9),
    "flags": torch.tensor([True, False, True]),
}
LAYOUT = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in STATE.items()}


def written(folder, *, shard_bytes, order=None):
    folder.mkdir(exist_ok=True)
    with WeightOutput(folder, LAYOUT, shard_bytes=shard_bytes) as output:
        for name in order or STATE:
            output.write(name, STATE[name])
    return folder


@pytest.mark.parametrize("shard_bytes", [1, 80, 10_000])
def test_a_round_trip_in_any_order_is_bit_for_bit(tmp_path, shard_bytes):
    folder = written(tmp_path / "m", shard_bytes=shard_bytes, order=reversed(STATE))
    with WeightFiles(folder) as files:
        assert list(files.entries) != []
        for name, tensor in STATE.items():
            read = files.read(name)
            assert read.dtype == tensor.dtype
            assert torch.equal(read, tensor)
        assert torch.equal(files.piece("c", 5, 11), STATE["c"].reshape(-1)[5:11])


def test_the_reference_library_reads_what_is_written(tmp_path):
    folder = written(tmp_path / "m", shard_bytes=80)
    read = {}
    for path in folder.glob("*.safetensors"):
        read |= load_file(path)
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in STATE.items())
    index = json.loads((folder / INDEX).read_text())
    assert index["weight_map"].keys() == STATE.keys()
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in STATE.values())


def test_what_the_reference_library_writes_is_read(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    with WeightFiles(tmp_path) as files:
        assert all(torch.equal(files.read(name), tensor) for name, tensor in STATE.items())


def test_a_torn_shard_is_named(tmp_path):
    folder = written(tmp_path / "m", shard_bytes=80)
    torn = sorted(folder.glob("*.safetensors"))[1]
    torn.write_bytes(torn.read_bytes()[:-3])
    with pytest.raises(ModelError, match=rf"{torn.name}: the file is torn: its header speaks of"):
        WeightFiles(folder)
    torn.write_bytes(b"\x10")
    with pytest.raises(ModelError, match=rf"{torn.name}: the file is torn within its header"):
        WeightFiles(folder)


def test_a_file_that_is_cut_while_it_is_read_is_named(tmp_path):
    folder = written(tmp_path / "m", shard_bytes=10_000)
    with WeightFiles(folder) as files:
        path = folder / "model.safetensors"
        with path.open("rb+") as file:
            file.truncate(path.stat().st_size // 2)
        last = max(STATE, key=lambda name: files[name].start)
        with pytest.raises(ModelError, match="cut while it was read"):
            files.read(last)


def test_a_missing_shard_and_a_missing_weight_are_named(tmp_path):
    folder = written(tmp_path / "m", shard_bytes=80)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["nothing"] = index["weight_map"]["a"]
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="lacks 'nothing'"):
        WeightFiles(folder)
    gone = index["weight_map"]["c"]
    (folder / gone).unlink()
    with pytest.raises(ModelError, match=f"the shard '{gone}' is missing"):
        WeightFiles(folder)


def test_pickles_are_read_when_they_are_trusted_only(tmp_path):
    torch.save(STATE, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="--trust-pickle"):
        WeightFiles(tmp_path)
    with WeightFiles(tmp_path, trust_pickle=True) as files:
        assert all(torch.equal(files.read(name), tensor) for name, tensor in STATE.items())


def test_an_adapter_is_no_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="merged into its base first"):
        WeightFiles(tmp_path)
    with pytest.raises(ModelError, match="there is no folder"):
        WeightFiles(tmp_path / "nowhere")


def test_a_weight_that_is_never_written_is_named(tmp_path):
    layout = {name: LAYOUT[name] for name in ("a", "empty")}
    output = WeightOutput(tmp_path, layout)
    output.write("a", STATE["a"])
    with pytest.raises(ModelError, match="'empty' was never written"):
        output.__exit__(None, None, None)


def test_a_weight_of_another_shape_is_refused(tmp_path):
    with WeightOutput(tmp_path, {"a": (torch.float32, (2,))}) as output:
        with pytest.raises(ModelError, match="was to be"):
            output.write("a", torch.zeros(3))
        output.write("a", torch.zeros(2))


def test_a_folder_appears_whole(tmp_path):
    with new_folder(tmp_path / "new") as unfinished:
        (unfinished / "file").write_text("all of it")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new" / "file").read_text() == "all of it"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_folder_that_fails_is_not_left(tmp_path):
    def fail():
        with new_folder(tmp_path / "new") as unfinished:
            (unfinished / "file").write_text("half of")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".new.unfinished"
    left.mkdir()
    (left / "half").write_text("")
    with new_folder(tmp_path / "new") as unfinished:
        assert unfinished == left
        assert not (left / "half").exists()
    assert (tmp_path / "new").is_dir()
    assert not left.exists()


def test_a_folder_is_never_written_over(tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(StoreError, match="is there already"), new_folder(tmp_path / "new"):
        pass


def test_two_writers_of_one_folder_do_not_meet(tmp_path):
    with (
        new_folder(tmp_path / "new"),
        pytest.raises(StoreError, match="being written by another process"),
        new_folder(tmp_path / "new"),
    ):
        pass
    assert (tmp_path / "new").is_dir()


def test_no_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(weight_output.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(StoreError, match="has no room for"):
        WeightOutput(tmp_path, LAYOUT)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(file, view):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weight_output, "_write_all", full)
    with (
        pytest.raises(StoreError, match="cannot be written: the disk is full"),
        new_folder(tmp_path / "new") as unfinished,
        WeightOutput(unfinished, LAYOUT) as output,
    ):
        output.write("a", STATE["a"])
    assert list(tmp_path.iterdir()) == []
