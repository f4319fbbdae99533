"""Agreement with itself: the same answer in other words, another order, asked again, disturbed, doubted."""

from __future__ import annotations

from concordant.variants.grid import Grid as Grid
from concordant.variants.grid_items import grid_items as grid_items
from concordant.variants.grid_rates import variation_rates as variation_rates
from concordant.variants.option_order import OptionOrder as OptionOrder
from concordant.variants.perturbed import Perturbed as Perturbed
from concordant.variants.resample import Resample as Resample
from concordant.variants.reworded import Reworded as Reworded
from concordant.variants.second_look import SecondLook as SecondLook
