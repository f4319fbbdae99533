"""Recipes of merges, ours and those of mergekit: what they mean, and what is said of one that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from concordant.core.errors import ConfigError
from concordant.suite.marked_yaml import read_marked
from concordant.versions.merging.mergekit import is_mergekit, mergekit_plan
from concordant.versions.merging.plan import setting
from concordant.versions.merging.recipe import read_recipe, recipe_plan

NAMES = [f"model.layers.{layer}.{part}.weight" for layer in range(5) for part in ("self_attn.q", "mlp.up")]


def ours(text):
    document = read_marked(text, "r.yaml")
    return recipe_plan(read_recipe(document.data, document.error), Path, lambda _: NAMES)


def theirs(text):
    document = read_marked(text, "m.yaml")
    return mergekit_plan(document.data, document.error, Path, lambda _: NAMES)


def test_breadcrumbs():
    plan = ours(
        "method: breadcrumbs\nbase: b\nparents:\n  - one\n  - {model: two, scale: 0.5}\n"
        "scale: 0.4\nkeep: 0.2\nremove: 0.1\n"
    )
    assert (plan.method, plan.scope, plan.elect, plan.mean, plan.scale) == (
        "breadcrumbs",
        "row",
        False,
        False,
        1.0,
    )
    assert [(p.name, p.weight, p.keep, p.remove) for p in plan.parents] == [
        ("one", 0.4, 0.2, 0.1),
        ("two", 0.5, 0.2, 0.1),
    ]
    assert plan.base.folder == Path("b")
    assert plan.recipe["keep"] == 0.2


def test_ties_scales_the_merged_delta():
    plan = ours("method: ties\nbase: b\nparents: [one, {model: two, share: 3}]\nkeep: 0.2\nscale: 0.7\n")
    assert (plan.scope, plan.elect, plan.mean, plan.scale) == ("tensor", True, True, 0.7)
    assert [p.weight for p in plan.parents] == [1.0, 3]
    assert not plan.no_vote_is_positive


def test_slerp_over_depth():
    plan = ours("method: slerp\nparents: [one, two]\nt: {self_attn: [0, 1], other: 0.5}\n")
    assert [setting(plan.t, name) for name in NAMES if "attn" in name] == [0, 0.25, 0.5, 0.75, 1]
    assert setting(plan.t, NAMES[1]) == 0.5
    assert ours("method: slerp\nparents: [one, two]\nt: 0.25\n").t == 0.25
    graded = ours("method: slerp\nparents: [one, two]\nt: [0, 1]\n").t
    assert setting(graded, NAMES[-1]) == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: bredcrumbs\nparents: [a]\n", "r.yaml, line 1: .*did you mean breadcrumbs"),
        (
            "method: linear\nparents: [a]\nbas: b\n",
            "r.yaml, line 3: there is no key 'bas'; did you mean base",
        ),
        ("method: linear\nparents:\n  - a\n  - {model: b, shar: 2}\n", "line 4: .*did you mean share"),
        ("method: linear\nparents: [a]\nkeep: 0.2\n", "line 3: linear has no keep"),
        ("method: linear\nparents: [a]\nbase: b\n", "line 3: linear has no base"),
        ("method: ties\nparents: [a]\nbase: b\n", "ties needs the key 'keep'"),
        ("method: ties\nparents: [a]\nkeep: 0.2\n", "the key 'base' is missing"),
        ("method: slerp\nparents: [a, b, c]\nt: 0.5\n", "line 2: slerp is between two models, got 3"),
        (
            "method: slerp\nparents: [a, {model: b, share: 2}]\nt: 0.5\n",
            "line 2: in slerp a parent has no share",
        ),
        (
            "method: linear\nparents: [a, {model: b, scale: 2}]\n",
            "a parent has no scale: a parent has a share",
        ),
        ("parents: [a]\n", "the key 'method' is missing"),
        ("method: linear\nparents: []\n", "line 2: parents"),
        ("- a\n", "a recipe is a mapping"),
    ],
)
def test_what_means_nothing_is_said_with_its_line(text, message):
    with pytest.raises(ConfigError, match=message):
        ours(text)


def test_shares_that_are_too_much_together_are_refused():
    with pytest.raises(ConfigError, match="at most 1 together"):
        ours("method: breadcrumbs\nbase: b\nparents: [a]\nkeep: 0.95\nremove: 0.1\n")


PUBLISHED = """
slices:
  - sources:
      - model: domain
        layer_range: [0, 5]
      - model: general
        layer_range: [0, 5]
merge_method: slerp
base_model: general
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: bfloat16
"""


def test_the_published_slerp():
    plan = theirs(PUBLISHED)
    assert [parent.name for parent in plan.parents] == ["general", "domain"]  # t = 0 is the base model
    assert plan.dtype == "bfloat16"
    assert plan.base is None
    attention = [setting(plan.t, name) for name in NAMES if "attn" in name]
    mlp = [setting(plan.t, name) for name in NAMES if "mlp" in name]
    assert attention == [0, 0.5, 0.3, 0.7, 1]
    assert mlp == [1, 0.5, 0.7, 0.3, 0]
    assert setting(plan.t, "lm_head.weight") == 0.5


TIES = """
merge_method: {method}
base_model: b
models:
  - model: b
  - model: one
    parameters: {{weight: 0.5, density: 0.4}}
  - model: two
    parameters: {{weight: [0, 1]}}
parameters: {{density: 0.8, lambda: 0.9{more}}}
"""


def test_numbers_of_one_model_and_of_all():
    plan = theirs(TIES.format(method="ties", more=""))
    assert [parent.name for parent in plan.parents] == ["one", "two"]  # the base adds nothing to itself
    assert [parent.keep for parent in plan.parents] == [0.4, 0.8]
    assert [setting(plan.parents[1].weight, name) for name in NAMES[::2]] == [0, 0.25, 0.5, 0.75, 1]
    assert (plan.method, plan.scope, plan.scale, plan.elect, plan.mean) == ("ties", "tensor", 0.9, True, True)
    assert plan.no_vote_is_positive


@pytest.mark.parametrize(
    ("method", "elect", "mean"),
    [
        ("breadcrumbs", False, False),
        ("breadcrumbs_ties", True, False),
        ("dare_linear", False, False),
        ("dare_ties", True, False),
        ("task_arithmetic", False, False),
    ],
)
def test_defaults_of_methods(method, elect, mean):
    plan = theirs(TIES.format(method=method, more=""))
    assert (plan.elect, plan.mean) == (elect, mean)
    assert theirs(TIES.format(method=method, more=", normalize: true")).mean
    first = plan.parents[0]
    if "breadcrumbs" in method:
        assert (first.keep, first.remove) == (0.4, 0.01)
    if "dare" in method:
        assert first.drop == pytest.approx(0.6)


def test_more_than_all_removes_less():
    text = TIES.format(method="breadcrumbs", more=", gamma: 0.7")
    assert theirs(text).parents[0].remove == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("merge_method: passthrough\nmodels: []\n", "line 1: the method 'passthrough' is not supported"),
        ("merge_method: ties\nmodel: []\n", "line 2: the key 'model' of mergekit .* did you mean models"),
        (
            "merge_method: ties\nbase_model: b\nmodels:\n  - model: a\n",
            "line 4: the number 'weight' is missing",
        ),
        (
            "merge_method: ties\nbase_model: b\nmodels:\n  - model: a\n    parameters: {weigth: 1}\n",
            "line 5: the number 'weigth' .* did you mean weight",
        ),
        (PUBLISHED.replace("[0, 5]", "[1, 5]", 1), "merges of parts of models are not supported"),
        (PUBLISHED.replace("base_model: general", "base_model: x"), "of which base_model names the one"),
        (PUBLISHED.replace("    - value: 0.5\n", ""), "no number for weights that no filter names"),
        ("merge_method: linear\nmodels: [{model: a, parameters: {weight: x}}]\n", "weight must be numbers"),
        (
            "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\ntokenizer_source: union\n",
            "line 3: unions of vocabularies",
        ),
    ],
)
def test_what_is_not_supported_is_said_with_its_line(text, message):
    with pytest.raises(ConfigError, match=message):
        theirs(text)


def test_whose_recipe_it_is():
    assert is_mergekit({"slices": []})
    assert not is_mergekit({"method": "ties"})
    assert not is_mergekit(None)
