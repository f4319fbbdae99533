"""The setting of two language models: tiny ones that are taught to choose, and items and models that do not do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.learn.loop import own_generator
from concordant.models.causal import CausalLM
from concordant.studies.language_update import NAMES, AdapterRecipe, language_setting
from concordant.studies.muscle import muscle
from concordant.studies.study import Scale
from tiny_models import save_llama, tokenizer

torch.set_num_threads(1)

RECIPE = AdapterRecipe(rank=4, alpha=8.0, epochs=8, update_epochs=2, rate=2e-2, tokens=128, accumulate=1)


def llama(seed: int, width: int = 16) -> CausalLM:
    made = tokenizer()
    sizes = {"hidden_size": width, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with own_generator(torch.device("cpu"), seed):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(made), initializer_range=0.2, **sizes))
    return CausalLM(model, made)


def items(letters: str) -> Items:
    """Make items that ask for the next letter, among two or three."""
    rows: list[dict[str, Any]] = []
    for i, letter in enumerate(letters):
        options = [chr(ord(letter) + 1), "0", "1"][: 2 + i % 2]
        rows.append({"input": f"{letter}:", "choices": options[::-1], "reference": options[0]})
    return Items.from_records(rows)


def test_a_setting_of_language_models() -> None:
    old, new = llama(1), llama(2, width=24)
    before = [{k: v.clone() for k, v in lm.model.state_dict().items()} for lm in (old, new)]
    setting = language_setting(old, new, items("abcdefgh"), items("abcdefgh"), RECIPE, seed=0)
    assert setting.right.tolist() == [1, 2] * 4
    first = setting.teach(setting.old_base, 1)
    update = setting.teach(setting.new_base, 2)
    said = setting.said(update)
    assert said.shape == (8, 3)
    assert torch.isinf(said).sum() == 4  # half of the items have two options
    assert (said.argmax(-1) == setting.right).sum() >= 7
    plain = setting.said(setting.new_base).argmax(-1)
    assert (plain == setting.right).sum() < 7
    repaired = setting.repair(first, update, "current_wrong")
    assert len(repaired.masked_rates) == 2
    assert not torch.equal(setting.said(setting.further(update)), said)
    assert torch.equal(setting.said(update), said)
    for lm, weights in zip((old, new), before, strict=True):  # all share the weights of the bases
        assert all(torch.equal(weights[k], v) for k, v in lm.model.state_dict().items())


def test_items_that_do_not_do() -> None:
    old, new = llama(1), llama(2)
    bare = Items.from_records([{"input": "a:", "reference": "b"}])
    with pytest.raises(DataError, match="are measured on items with choices, got items without any"):
        language_setting(old, new, bare, items("ab"), RECIPE, seed=0)
    wrong = Items.from_records([{"id": "x", "input": "a:", "choices": ["b", "0"], "reference": "q"}])
    with pytest.raises(DataError, match="the reference of item 'x' must be one of its 2 choices, got 'q'"):
        language_setting(old, new, items("ab"), wrong, RECIPE, seed=0)
    unknown = Items.from_records([{"input": "a:", "choices": ["b", "0"]}])
    with pytest.raises(DataError, match="need items with a reference"):
        language_setting(old, new, unknown, items("ab"), RECIPE, seed=0)


def test_full_scale_from_folders(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import concordant.studies.language_update as module

    for variable in NAMES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(NAMES["old"], "somewhere")
    with pytest.raises(
        ConfigError, match=r"there is no CONCORDANT_MUSCLE_NEW and no CONCORDANT_MUSCLE_TRAIN"
    ):
        muscle(Scale.full, 0)
    monkeypatch.setattr(module, "AdapterRecipe", lambda: RECIPE)
    for which, seed in (("old", 1), ("new", 2)):
        monkeypatch.setenv(NAMES[which], save_llama(tmp_path / which, seed=seed, hidden_size=16))
    for which, letters in (("train", "abcdefgh"), ("test", "abcdefghijkl")):
        items(letters).frame.write_ndjson(tmp_path / f"{which}.jsonl")
        monkeypatch.setenv(NAMES[which], str(tmp_path / f"{which}.jsonl"))
    found = muscle(Scale.full, 0)
    assert {"old.accuracy", "again.accuracy", "ensemble.accuracy", "between.accuracy"} <= found.keys()
    assert found["muscle.accuracy"] - found["old.accuracy"] == pytest.approx(
        found["muscle.positive_flip_rate"] - found["muscle.negative_flip_rate"]
    )
