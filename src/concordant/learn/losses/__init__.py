"""Losses as pure functions of tensors: no state, no parameters, ``reduction="mean" | "sum" | "none"`` throughout."""

from concordant.learn.losses.contrastive import info_nce as info_nce
from concordant.learn.losses.contrastive import info_nce_of_scores as info_nce_of_scores
from concordant.learn.losses.density import gaussian_nll as gaussian_nll
from concordant.learn.losses.density import soft_bounds as soft_bounds
from concordant.learn.losses.divergence import masked_distillation as masked_distillation
from concordant.learn.losses.divergence import masked_kl as masked_kl
from concordant.learn.losses.preference import bradley_terry as bradley_terry
from concordant.learn.losses.preference import dpo as dpo
from concordant.learn.losses.preference import ipo as ipo
from concordant.learn.losses.preference import orpo as orpo
from concordant.learn.losses.relational import cosine_gram as cosine_gram
from concordant.learn.losses.relational import gram_loss as gram_loss
from concordant.learn.losses.relational import pairwise_jensen_shannon as pairwise_jensen_shannon
from concordant.learn.losses.relational import pairwise_jensen_shannon_loss as pairwise_jensen_shannon_loss
