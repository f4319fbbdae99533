"""The ledger of an edit: what it measures by hand, and random edits of the same size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from concordant.core.items import Items
from concordant.models.causal import CausalLM
from concordant.versions.editing import (
    Group,
    behaviour_ledger,
    edit_of_parts,
    edit_of_rows,
    items_group,
    random_edit,
    rate_group,
    suffixes_group,
    texts_group,
)
from concordant.versions.editing.digests import weights_of

torch.set_num_threads(1)


class Table(nn.Module):
    """A language model whose next token depends on the last alone."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.4, 0.4], [0.1, 0.1, 0.8]]).log())

    def forward(self, tokens):
        return self.logits[tokens]


def edit_of(model):
    return edit_of_rows(model, {"logits": (torch.tensor([0]), torch.tensor([[0.25, 0.5, 0.25]]).log())})


def test_lines_by_hand():
    model = Table()
    rows = [([0, 1, 2], 1), ([1, 2, 2], 1)]
    suffixes = [([0, 0], 1), ([0, 1], 1), ([1, 0], 1)]
    groups = [
        texts_group("texts", rows),
        suffixes_group("suffixes", suffixes, delta=-np.log(0.3)),
        rate_group("rate", lambda m: m.logits.exp().detach().numpy()[:2, 1].astype(float)),
    ]
    lines = {
        f"{line.group} {line.measure}": line
        for line in behaviour_ledger(model, edit_of(model), groups, draws=2)
    }
    loss = lines["texts loss"]
    assert loss.before == pytest.approx(-np.log(0.25 * 0.4 * 0.4 * 0.8) / 4, rel=1e-5)
    assert loss.change.value == pytest.approx(-np.log(2) / 4, rel=1e-5)
    assert (loss.where, loss.change.n, len(loss.random)) == ("elsewhere", 2, 2)
    kl = lines["texts kl"]
    assert kl.before is None
    assert kl.after == pytest.approx((0.5 * np.log(2) + 0.25 * np.log(0.5)) / 4, rel=1e-4)
    failed = lines["suffixes failure_rate"]
    assert (failed.before, failed.after) == (2 / 3, 2 / 3)  # the first is failed now, the second no longer
    rate = lines["rate rate"]
    assert (rate.before, rate.after) == (pytest.approx(0.325), pytest.approx(0.45))
    assert rate.change.value == pytest.approx(0.125)
    assert rate.to_dict()["n"] == 2
    assert torch.equal(model.logits, Table().logits)


def test_without_random_edits():
    model = Table()
    (line,) = behaviour_ledger(
        model,
        edit_of(model),
        [Group("all", "target", lambda a, b: {"x": (None, np.array([1.0, 3.0]))})],
        draws=0,
    )
    assert (line.random, line.random_change, line.change.value) == ((), None, 2.0)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_a_random_edit_is_as_large(width):
    model = nn.ParameterDict({"a": nn.Parameter(torch.randn(8, 6)), "b": nn.Parameter(torch.randn(5))})
    n = 4
    step = torch.arange(1.0, n * width + 1).reshape(n, width)
    edit = edit_of_parts(model, {"a": (torch.arange(n), step)})
    drawn = [random_edit(model, edit, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0].after == drawn[1].after != drawn[2].after
    for one in drawn:
        ((name, change),) = one.changes.items()
        assert (name, change.old.shape) == ("a", (n, width))
        moved = (change.new - change.old).norm(dim=1)
        assert torch.allclose(moved.sort().values, step.norm(dim=1).sort().values, rtol=1e-3)
        before = {key: value.clone() for key, value in weights_of(model).items()}
        one.apply(model)
        one.undo(model)
        assert all(torch.equal(before[key], value) for key, value in weights_of(model).items())


def test_flips_of_items(tmp_path):
    from concordant.models.huggingface import load_huggingface
    from tiny_models import save_llama

    model = load_huggingface(save_llama(tmp_path / "llama"), device="cpu").language_model
    assert isinstance(model, CausalLM)
    items = Items.from_records([{"input": text, "reference": "?"} for text in ("ab", "cd", "ef")])
    said = [one[0].text for one in model.generate(["ab", "cd", "ef"], max_tokens=3)]
    items = items.replace(reference=[said[0], said[1], "never"])
    module = model.model
    name = "model.layers.0.mlp.gate_proj.weight"
    far = edit_of_parts(module, {name: (torch.arange(64), 50 * torch.ones(64, 32))})
    lines = {
        line.measure: line
        for line in behaviour_ledger(
            module, far, [items_group("items", items, model, grade="exact", max_tokens=3)], draws=0
        )
    }
    assert lines["accuracy"].before == pytest.approx(2 / 3)
    lost, won = lines["negative_flip_rate"].after, lines["positive_flip_rate"].after
    assert lines["accuracy"].change.value == pytest.approx(won - lost)
    assert lost > 0
