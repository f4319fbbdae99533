"""Losses as pure functions of tensors: no state, no parameters, ``reduction="mean" | "sum" | "none"`` throughout."""

from concordant.learn.losses.contrastive import info_nce as info_nce
from concordant.learn.losses.contrastive import info_nce_of_scores as info_nce_of_scores
from concordant.learn.losses.density import gaussian_nll as gaussian_nll
from concordant.learn.losses.density import soft_bounds as soft_bounds
from concordant.learn.losses.divergence import masked_distillation as masked_distillation
from concordant.learn.losses.divergence import masked_kl as masked_kl
from concordant.learn.losses.language import answer_mask as answer_mask
from concordant.learn.losses.language import sequence_log_probability as sequence_log_probability
from concordant.learn.losses.language import sft_nll as sft_nll
from concordant.learn.losses.language import token_log_probabilities as token_log_probabilities
from concordant.learn.losses.policy import critic_loss as critic_loss
from concordant.learn.losses.policy import generalized_advantages as generalized_advantages
from concordant.learn.losses.policy import grpo_advantages as grpo_advantages
from concordant.learn.losses.policy import kl_estimate as kl_estimate
from concordant.learn.losses.policy import policy_gradient as policy_gradient
from concordant.learn.losses.policy import rloo_advantages as rloo_advantages
from concordant.learn.losses.policy import token_average as token_average
from concordant.learn.losses.policy import token_rewards as token_rewards
from concordant.learn.losses.preference import bradley_terry as bradley_terry
from concordant.learn.losses.preference import dpo as dpo
from concordant.learn.losses.preference import ipo as ipo
from concordant.learn.losses.preference import orpo as orpo
from concordant.learn.losses.relational import cosine_gram as cosine_gram
from concordant.learn.losses.relational import gram_loss as gram_loss
from concordant.learn.losses.relational import pairwise_jensen_shannon as pairwise_jensen_shannon
from concordant.learn.losses.relational import pairwise_jensen_shannon_loss as pairwise_jensen_shannon_loss
