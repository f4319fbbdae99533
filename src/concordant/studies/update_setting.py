"""What a study of updates needs of its world: two bases, a recipe that teaches them a task, and what models answer."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.learn import Batches, train
from concordant.learn.randomness import child_seeds
from concordant.studies.concepts import OPTIONS, Concepts, class_loss, taught
from concordant.versions.muscle import compatible_update

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from concordant.learn import MLP
    from concordant.versions.muscle import CompatibleUpdate, RuleName


@dataclass(frozen=True)
class UpdateSetting:
    """Two bases and what can be done with them.

    Parameters
    ----------
    old_base, new_base
        The bases; they are left as they are.
    teach
        ``teach(base, seed)``: a copy of a base, taught the task by one recipe.
    further
        ``further(model)``: a copy of a taught model, taught for as long as a repair takes.
    repair
        ``repair(old, new, rule)``: the compatible update by a mask rule.
    said
        ``said(model)``: logits of the answers to all test items, shape ``(n_items, n_options)``.
    right
        Right answers, shape ``(n_items,)``.
    """

    old_base: nn.Module
    new_base: nn.Module
    teach: Callable[[nn.Module, int], nn.Module]
    further: Callable[[nn.Module], nn.Module]
    repair: Callable[[nn.Module, nn.Module, RuleName], CompatibleUpdate]
    said: Callable[[nn.Module], Tensor]
    right: Tensor


@dataclass(frozen=True)
class ConceptSizes:
    """How much is drawn and how long is trained; the set-up of pocket scale by default."""

    task_items: int = 20_000
    test_items: int = 10_000
    old_width: int = 32
    old_items: int = 1_500
    old_steps: int = 200
    new_width: int = 128
    new_items: int = 6_000
    new_steps: int = 600
    task_steps: int = 400
    update_steps: int = 600


SMALLEST = ConceptSizes(1_000, 500, 8, 256, 5, 16, 512, 10, 30, 12)


def concepts_setting(n: ConceptSizes, *, seed: int) -> UpdateSetting:
    """Make the setting of `concordant.studies.concepts`."""
    drawn, old_seed, new_seed, update_seed = child_seeds(seed, 4)
    world = Concepts(drawn)
    lessons = Batches(world.items(n.task_items), 256)
    items, classes = world.items(n.test_items)
    further = {"steps": n.update_steps, "seed": update_seed, **OPTIONS}

    def teach(base: MLP, seed: int) -> nn.Module:
        return taught(base, lessons, n.task_steps, seed=seed)

    def taught_further(model: nn.Module) -> nn.Module:
        model = copy.deepcopy(model)
        train(model, class_loss, lessons, **further)
        return model

    def repair(old: nn.Module, new: nn.Module, rule: RuleName) -> CompatibleUpdate:
        return compatible_update(old, new, lessons, rule=rule, **further)

    return UpdateSetting(
        old_base=world.base(n.old_width, n.old_items, n.old_steps, seed=old_seed),
        new_base=world.base(n.new_width, n.new_items, n.new_steps, seed=new_seed),
        teach=teach,  # type: ignore[arg-type]  # its bases are its own
        further=taught_further,
        repair=repair,
        said=lambda model: model(items).detach(),
        right=classes,
    )
