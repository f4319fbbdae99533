"""Residuals of model folders: what is written, what is refused, and what is tried at several coefficients."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from concordant.core.errors import ConfigError, DataError, ModelError, StoreError
from concordant.core.items import Items
from concordant.models.causal import CausalLM
from concordant.versions.residual_files import RECORD, ResidualFiles
from concordant.versions.residual_sweep import put, recovery_of, sweep
from concordant.versions.residuals import add_residual, drift, residual

NAMES = {"model.embed_tokens.weight": (6, 4), "model.layers.0.w": (4, 4), "model.norm.weight": (4,)}


def weights(seed, *, near=None, rows=6, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    shapes = NAMES | {"model.embed_tokens.weight": (rows, 4)}
    drawn = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for name, other in (near or {}).items():
        drawn[name] *= 0.1
        drawn[name][: other.shape[0]] += other.float()
    return {name: weight.to(dtype) for name, weight in drawn.items()}


def saved(folder, state, **config):
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"dtype": "float32", **config}))
    return folder


@pytest.fixture
def three(tmp_path):
    base = weights(0)
    states = {"base": base, "instruct": weights(1, near=base), "updated": weights(2, near=base)}
    return {name: saved(tmp_path / name, state) for name, state in states.items()}, states


def test_what_is_written_is_what_the_functions_give(three, tmp_path):
    folders, states = three
    with ResidualFiles(**folders) as files:
        record = files.write(tmp_path / "out", coefficient=0.5, progress=False)
        moved = files.drift()
    found = load_file(tmp_path / "out/model.safetensors")
    added = residual(states["instruct"], states["base"])
    wanted = add_residual(states["updated"], added, coefficient=0.5)
    assert all(torch.allclose(found[name], wanted[name], atol=1e-6) for name in NAMES)
    by_hand = drift(states["updated"], states["base"], added)
    assert moved == pytest.approx(by_hand)
    assert record["drift"]["cosine"] == pytest.approx(by_hand.cosine)
    assert json.loads((tmp_path / f"out/{RECORD}").read_text())["coefficient"] == 0.5
    assert not list(tmp_path.glob(".*"))


def test_shards_and_half_precision(three, tmp_path):
    folders, states = three
    half = {name: weight.bfloat16() for name, weight in states["updated"].items()}
    folders["updated"] = saved(tmp_path / "half", half)
    with ResidualFiles(**folders) as files:
        files.write(tmp_path / "out", shard_bytes=40, progress=False)
        files.write(tmp_path / "wide", dtype="float32", progress=False)
    assert len(list((tmp_path / "out").glob("model-*.safetensors"))) > 1
    assert json.loads((tmp_path / "out/config.json").read_text())["dtype"] == "bfloat16"
    found = load_file(tmp_path / "wide/model.safetensors")
    name = "model.layers.0.w"
    wanted = half[name].float() + states["instruct"][name] - states["base"][name]
    assert torch.allclose(found[name], wanted, atol=1e-6)


def test_tokens_that_the_instruct_model_has_more_are_its_own(three, tmp_path):
    folders, states = three
    larger = weights(1, near=states["base"], rows=8)
    folders["instruct"] = saved(tmp_path / "larger", larger)
    with ResidualFiles(**folders) as files:
        files.write(tmp_path / "out", progress=False)
    name = "model.embed_tokens.weight"
    found = load_file(tmp_path / "out/model.safetensors")[name]
    assert torch.allclose(found[6:], larger[name][6:])
    wanted = states["updated"][name] + larger[name][:6] - states["base"][name]
    assert torch.allclose(found[:6], wanted, atol=1e-6)


def test_a_head_stored_beside_its_embedding_is_left_out(tmp_path):
    base = weights(0)
    folders = {}
    for name, state in (("base", base), ("instruct", weights(1, near=base)), ("updated", base)):
        with_head = state | {"lm_head.weight": state["model.embed_tokens.weight"].clone()}
        folders[name] = saved(tmp_path / name, with_head, tie_word_embeddings=True)
    with ResidualFiles(**folders) as files:
        assert "lm_head.weight" not in files.names


def test_strangers_are_refused_unless_forced(three, tmp_path):
    folders, _ = three
    folders["updated"] = saved(tmp_path / "stranger", weights(9))
    with pytest.raises(DataError, match="does not come from base"):
        ResidualFiles(**folders)
    with ResidualFiles(**folders, force=True) as files:
        assert "updated" in files.forced[0]
        assert files.write(tmp_path / "out", progress=False)["forced"] == list(files.forced)


def test_other_shapes_and_fewer_tokens_are_refused(three, tmp_path):
    folders, states = three
    other = states["updated"] | {"model.layers.0.w": torch.ones(4, 5)}
    with pytest.raises(
        DataError, match=r"'model.layers.0.w' with \(4, 4\) in the instruct model and \(4, 5\)"
    ):
        ResidualFiles(folders["base"], folders["instruct"], saved(tmp_path / "other", other))
    shorter = weights(1, rows=5)
    with pytest.raises(DataError, match="at least the tokens of the bases"):
        ResidualFiles(folders["base"], saved(tmp_path / "short", shorter), folders["updated"])
    lacking = {name: weight for name, weight in states["updated"].items() if name != "model.norm.weight"}
    with pytest.raises(DataError, match="no such weight in the updated model"):
        ResidualFiles(folders["base"], folders["instruct"], saved(tmp_path / "lacking", lacking))


def test_a_number_that_is_not_finite_is_named_and_nothing_is_left(three, tmp_path):
    folders, states = three
    broken = {name: weight.clone() for name, weight in states["instruct"].items()}
    broken["model.norm.weight"][1] = math.nan
    folders["instruct"] = saved(tmp_path / "broken", broken)
    with (
        ResidualFiles(**folders) as files,
        pytest.raises(DataError, match=r"the instruct model has a number in .model\.norm"),
    ):
        files.write(tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_and_a_precision_that_is_not(three, tmp_path):
    folders, _ = three
    with ResidualFiles(**folders) as files:
        with pytest.raises(StoreError, match="is there already"):
            files.write(tmp_path / "base", progress=False)
        with pytest.raises(ConfigError, match="bfloat16"):
            files.write(tmp_path / "out", dtype="bfloat", progress=False)
        with pytest.raises(ConfigError, match="finite number, got nan"):
            files.write(tmp_path / "out", coefficient=math.nan, progress=False)


def test_a_model_without_weights_is_named(three, tmp_path):
    folders, _ = three
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="the base model"):
        ResidualFiles(tmp_path / "empty", folders["instruct"], folders["updated"])


def test_recovery_is_a_share_of_what_was_lost():
    ones = np.ones(50)
    nothing, half = np.zeros(50), np.repeat([1.0, 0.0], 25)
    found = recovery_of(half, nothing, ones)
    assert found.value == pytest.approx(0.5)
    assert 0.3 < found.low < 0.5 < found.high < 0.7
    assert recovery_of(ones, ones, ones) is None
    missing = np.r_[np.nan, np.zeros(49)]
    assert recovery_of(half, missing, ones).n == 49


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    """The smallest pocket pair, and an update that is the base itself."""
    from concordant.pocket import model_folder
    from concordant.studies.small_language import released_language_model

    base, chat = model_folder("250k-base"), model_folder("250k-chat-v1")
    return base, chat, lambda: released_language_model("250k-chat-v1")


def test_a_sweep_of_an_update_that_changed_nothing_gives_all_back_at_one(pocket):
    from concordant.pocket import items

    base, chat, model = pocket
    asked = items(["facts", "counting"], 15)
    with ResidualFiles(base, chat, base) as files:
        found = sweep(files, model(), asked, asked, coefficients=[0.5, 1.0], max_tokens=8, progress=False)
    assert [one.coefficient for one in found.tried] == [0.0, 0.5, 1.0]
    whole = found.tried[-1]
    assert whole.accuracy.value == found.instruct.accuracy.value
    assert whole.new_accuracy.value == whole.accuracy.value
    assert whole.negative_flip_rate.value == whole.positive_flip_rate.value == 0.0
    assert whole.recovery.value == 1.0
    assert found.chosen is whole
    assert found.to_dict()["chosen"] == 1.0


def test_a_sweep_leaves_the_weights_of_the_coefficient(pocket):
    base, chat, model = pocket
    loaded = model()
    wanted = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    with ResidualFiles(base, chat, base) as files:
        put(files, loaded, 0.0)
        assert not torch.equal(loaded.model.state_dict()["model.norm.weight"], wanted["model.norm.weight"])
        put(files, loaded, 1.0)
    for name, weight in loaded.model.state_dict().items():
        assert torch.allclose(weight, wanted[name], atol=1e-6)


def test_what_cannot_be_swept(pocket):
    base, chat, model = pocket
    items = Items.from_records([{"input": "what is 1 + 1 ?"}])
    with ResidualFiles(base, chat, base) as files:
        with pytest.raises(ConfigError, match="finite numbers"):
            sweep(files, model(), items, coefficients=[])
        with pytest.raises(DataError, match="references"):
            sweep(files, model(), items, coefficients=[1.0], progress=False)
    assert isinstance(model(), CausalLM)
