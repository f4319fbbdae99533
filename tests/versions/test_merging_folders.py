"""Merges of folders, weight by weight, beside the functions over state dictionaries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.models.weight_files import WeightFiles
from concordant.versions import merging
from concordant.versions.merging import fused
from concordant.versions.merging.cuts import group_bands, tensor_band
from concordant.versions.merging.fused import pieces

SCOPES = ("row", "tensor", "layer", "global")


def states(n=3, dtype=torch.bfloat16):
    """A base and parents near it; entries of bfloat16, so that many deltas are equal."""
    draw = torch.Generator().manual_seed(0)
    shapes = {
        "embed_tokens.weight": (11, 8),
        "layers.0.mlp.weight": (6, 8),
        "layers.0.norm.weight": (8,),
        "layers.1.mlp.weight": (6, 8),
        "layers.1.scale": (),
        "bn.running_mean": (4,),
    }
    base = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    parents = [
        {name: weight + 0.05 * torch.randn(weight.shape, generator=draw) for name, weight in base.items()}
        for _ in range(n)
    ]
    made = [{name: w.to(dtype) for name, w in state.items()} for state in (base, *parents)]
    for i, state in enumerate(made):
        state["position_ids"] = torch.arange(4) + i
    return made


def folders(root, made):
    for i, state in enumerate(made):
        folder = root / f"model{i}"
        folder.mkdir()
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps({"which": i, "dtype": "bfloat16"}))
    return [merging.Parent(f"model{i}", root / f"model{i}") for i in range(len(made))]


def with_numbers(parents, **numbers):
    from dataclasses import replace

    return tuple(replace(parent, **numbers) for parent in parents)


def read(folder):
    with WeightFiles(folder) as files:
        return {name: files.read(name) for name in files.entries}


def assert_same(merged, expected):
    assert merged.keys() == expected.keys()
    for name, weight in expected.items():
        assert merged[name].dtype == weight.dtype
        assert torch.equal(merged[name], weight), name


@pytest.fixture(params=[7, 1 << 18])
def piece(request, monkeypatch):
    """Merge in pieces that cut through everything, and in whole tensors."""
    monkeypatch.setattr(fused, "PIECE", request.param)


@pytest.mark.parametrize("scope", SCOPES)
def test_breadcrumbs_of_folders(tmp_path, piece, scope):
    base, *parents = made = states()
    root, *others = folders(tmp_path, made)
    plan = merging.Plan(
        "breadcrumbs", with_numbers(others, weight=0.4, keep=0.3, remove=0.1), root, scope=scope
    )
    merging.merge_folders(plan, tmp_path / "out", shard_bytes=100, progress=False)
    assert_same(
        read(tmp_path / "out"),
        merging.breadcrumbs(base, parents, scale=0.4, keep=0.3, remove=0.1, scope=scope),
    )


@pytest.mark.parametrize("scope", SCOPES)
def test_ties_of_folders(tmp_path, piece, scope):
    base, *parents = made = states()
    root, *others = folders(tmp_path, made)
    plan = merging.Plan("ties", with_numbers(others, keep=0.3), root, scale=0.7, scope=scope)
    merging.merge_folders(plan, tmp_path / "out", progress=False)
    assert_same(read(tmp_path / "out"), merging.ties(base, parents, scale=0.7, keep=0.3, scope=scope))


def test_other_methods_of_folders(tmp_path, piece):
    base, *parents = made = states()
    root, *others = folders(tmp_path, made)
    cases = {
        "task": (
            merging.Plan("task_arithmetic", with_numbers(others, weight=0.3), root),
            merging.task_arithmetic(base, parents, scale=0.3),
        ),
        "dare": (
            merging.Plan("dare", with_numbers(others, drop=0.5), root, seed=3),
            merging.dare(base, parents, drop=0.5, seed=3),
        ),
        "elected-dare": (
            merging.Plan("dare", with_numbers(others, drop=0.5), root, seed=3, elect=True),
            merging.dare(base, parents, drop=0.5, seed=3, elect=True),
        ),
        "linear": (merging.Plan("linear", tuple(others)), merging.linear(parents)),
        "slerp": (merging.Plan("slerp", tuple(others[:2]), t=0.3), merging.slerp(*parents[:2], 0.3)),
    }
    for name, (plan, expected) in cases.items():
        merging.merge_folders(plan, tmp_path / name, progress=False)
        assert_same(read(tmp_path / name), expected)


def test_the_record_and_the_settings(tmp_path):
    made = states()
    root, *others = folders(tmp_path, made)
    plan = merging.Plan("slerp", tuple(others[:2]), t=0.5, dtype="float32", files=others[1].folder)
    merge = merging.merge_folders(plan, tmp_path / "out", progress=False)
    record = json.loads((tmp_path / "out" / "merge.json").read_text())
    assert record == json.loads(json.dumps(merge.to_dict(), default=str))
    assert sum(record["slerp_branches"].values()) == record["n_weights"] == 5
    assert record["n_kept"] == 2
    assert record["n_readings"] == 1
    digests = {parent["digest"] for parent in record["parents"]}
    assert len(digests) == 2
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config == {"which": 2, "dtype": "float32"}
    assert read(tmp_path / "out")["layers.0.mlp.weight"].dtype == torch.float32
    tried = merging.examine_folders(plan)
    assert tried.branches == merge.branches
    wide = merging.Plan("ties", with_numbers(others, keep=0.3), root, scope="layer")
    assert merging.examine_folders(wide).n_readings == 3


def test_tied_heads_are_changed_once(tmp_path):
    made = [{name: w for name, w in state.items() if name == "embed_tokens.weight"} for state in states(1)]
    for state in made:
        state["lm_head.weight"] = state["embed_tokens.weight"].clone()
    root, parent = folders(tmp_path, made)
    for model in (root, parent):
        (model.folder / "config.json").write_text(json.dumps({"tie_word_embeddings": True}))
    merging.merge_folders(merging.Plan("task_arithmetic", (parent,), root), tmp_path / "out", progress=False)
    assert list(read(tmp_path / "out")) == ["embed_tokens.weight"]


def test_bands_of_groups_are_those_of_one_tensor():
    draw = torch.Generator().manual_seed(1)
    sizes = torch.randint(0, 40, (997,), generator=draw).float() * 0.37
    for ranks in ((0, 1), (0, 500), (100, 500), (0, 997), (10, 997)):
        found = group_bands(997, [ranks], lambda: ([piece] for piece in sizes.split(100)))[0]
        alone = tensor_band(sizes.numpy().copy(), ranks)
        masks = []
        for band in (found, alone):
            parts = [band.mask(piece) for piece in sizes.split(100)]
            masks.append(
                torch.cat(
                    [
                        torch.ones_like(p, dtype=torch.bool) if m is None else m
                        for m, p in zip(parts, sizes.split(100), strict=True)
                    ]
                )
            )
        assert torch.equal(masks[0], masks[1])
        assert masks[0].sum() == ranks[1] - ranks[0]


def test_pieces_of_rows_are_whole_rows(monkeypatch):
    monkeypatch.setattr(fused, "PIECE", 7)
    assert list(pieces((4, 3), rows=True)) == [(0, 6), (6, 12)]
    assert list(pieces((2, 10), rows=True)) == [(0, 10), (10, 20)]
    assert list(pieces((4, 3), rows=False)) == [(0, 7), (7, 12)]
    assert list(pieces((), rows=True)) == [(0, 1)]


@pytest.mark.parametrize("method", ["linear", "slerp", "task_arithmetic", "breadcrumbs", "ties"])
def test_a_weight_that_is_not_finite_is_named_and_nothing_is_left(tmp_path, method):
    made = states(2)
    made[2]["layers.1.mlp.weight"][3, 2] = float("nan")
    root, *others = folders(tmp_path, made)
    more = {"t": 0.5} if method == "slerp" else {}
    base = root if method not in ("linear", "slerp") else None
    plan = merging.Plan(method, with_numbers(others, keep=0.5), base, **more)
    with pytest.raises(DataError, match=r"model2: the weight 'layers.1.mlp.weight' holds NaN"):
        merging.merge_folders(plan, tmp_path / "out", progress=False, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model0", "model1", "model2"]


def test_strangers_are_refused_unless_forced(tmp_path):
    base, first = states(1)
    draw = torch.Generator().manual_seed(5)
    stranger = {
        n: torch.randn(w.shape, generator=draw).to(w.dtype) if w.is_floating_point() else w
        for n, w in base.items()
    }
    root, one, other = folders(tmp_path, [base, first, stranger])
    plan = merging.Plan("task_arithmetic", (one, other), root)
    with pytest.raises(DataError, match="model2 does not come from model0"):
        merging.merge_folders(plan, tmp_path / "out", progress=False)
    merge = merging.merge_folders(plan, tmp_path / "out", progress=False, force=True)
    assert len(merge.forced) == 1


def test_models_that_do_not_fit_are_refused(tmp_path):
    base, first = states(1)
    other = first | {"layers.0.mlp.weight": torch.zeros(6, 9, dtype=torch.bfloat16)}
    root, *_, wrong = folders(tmp_path, [base, first, other])
    with pytest.raises(
        DataError, match=r"'layers.0.mlp.weight' with \(6, 8\) in model0 and \(6, 9\) in model2"
    ):
        merging.examine_folders(merging.Plan("task_arithmetic", (wrong,), root), force=True)
    with pytest.raises(ConfigError, match="did you mean bfloat16"):
        merging.examine_folders(merging.Plan("linear", (root, wrong), dtype="bfloat"))
    quantised = {"layers.0.mlp.weight": torch.zeros(6, 8).to(torch.float8_e4m3fn)}
    (tmp_path / "q").mkdir()
    q = folders(tmp_path / "q", [quantised])[0]
    with pytest.raises(ModelError, match="quantised"):
        merging.examine_folders(merging.Plan("linear", (q,)))


KILLED = """
import pathlib, sys, time
from concordant.models import weight_output
from concordant.versions import merging
write = weight_output.WeightOutput.write
def slowly(self, name, tensor):
    write(self, name, tensor)
    print(name, flush=True)
    time.sleep(60)
weight_output.WeightOutput.write = slowly
root = pathlib.Path(sys.argv[1])
models = [merging.Parent(str(i), root / f"model{i}") for i in range(2)]
merging.merge_folders(merging.Plan("linear", tuple(models)), root / "out", progress=False)
"""


def test_a_killed_merge_leaves_nothing_under_the_final_name(tmp_path):
    models = folders(tmp_path, states(1))
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert child.stdout.readline()  # one weight is written
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert (tmp_path / ".out.unfinished").is_dir()
    assert not (tmp_path / "out").exists()
    time.sleep(0.01)
    merging.merge_folders(merging.Plan("linear", tuple(models)), tmp_path / "out", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model0", "model1", "out"]


def test_plans_that_mean_nothing_are_refused(tmp_path):
    one = merging.Parent("one", tmp_path)
    cases = {
        "name the model that all parents come from": ("ties", (one,), None),
        "linear has no base": ("linear", (one,), one),
        "between two models at t": ("slerp", (one, one), None),
        "needs at least one parent": ("linear", (), None),
        "did you mean breadcrumbs": ("breadcrumb", (one,), one),
    }
    for message, (method, parents, base) in cases.items():
        with pytest.raises(ConfigError, match=message):
            merging.Plan(method, parents, base)
