"""How a model is changed: losses as pure functions, networks, and one training loop in plain PyTorch.

Nothing here imports torch before one of the names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.learn.batches import Batches as Batches
    from concordant.learn.checkpoint import load_weights as load_weights
    from concordant.learn.checkpoint import save_weights as save_weights
    from concordant.learn.critic import WithCritic as WithCritic
    from concordant.learn.history import History as History
    from concordant.learn.loop import train as train
    from concordant.learn.lora import add_lora as add_lora
    from concordant.learn.lora import count_trained as count_trained
    from concordant.learn.lora import lora_weights as lora_weights
    from concordant.learn.lora import merge_lora as merge_lora
    from concordant.learn.lora import save_lora as save_lora
    from concordant.learn.losses import answer_mask as answer_mask
    from concordant.learn.losses import bradley_terry as bradley_terry
    from concordant.learn.losses import cosine_gram as cosine_gram
    from concordant.learn.losses import critic_loss as critic_loss
    from concordant.learn.losses import dpo as dpo
    from concordant.learn.losses import gaussian_nll as gaussian_nll
    from concordant.learn.losses import generalized_advantages as generalized_advantages
    from concordant.learn.losses import gram_loss as gram_loss
    from concordant.learn.losses import grpo_advantages as grpo_advantages
    from concordant.learn.losses import info_nce as info_nce
    from concordant.learn.losses import info_nce_of_scores as info_nce_of_scores
    from concordant.learn.losses import ipo as ipo
    from concordant.learn.losses import kl_estimate as kl_estimate
    from concordant.learn.losses import masked_distillation as masked_distillation
    from concordant.learn.losses import masked_kl as masked_kl
    from concordant.learn.losses import orpo as orpo
    from concordant.learn.losses import pairwise_jensen_shannon as pairwise_jensen_shannon
    from concordant.learn.losses import pairwise_jensen_shannon_loss as pairwise_jensen_shannon_loss
    from concordant.learn.losses import policy_gradient as policy_gradient
    from concordant.learn.losses import rloo_advantages as rloo_advantages
    from concordant.learn.losses import sequence_log_probability as sequence_log_probability
    from concordant.learn.losses import sft_nll as sft_nll
    from concordant.learn.losses import soft_bounds as soft_bounds
    from concordant.learn.losses import token_average as token_average
    from concordant.learn.losses import token_log_probabilities as token_log_probabilities
    from concordant.learn.losses import token_rewards as token_rewards
    from concordant.learn.networks import MLP as MLP
    from concordant.learn.networks import Ensemble as Ensemble
    from concordant.learn.networks import HyperNetwork as HyperNetwork
    from concordant.learn.networks import TransformerEncoder as TransformerEncoder
    from concordant.learn.networks import bound_spectral_norm as bound_spectral_norm
    from concordant.learn.networks import straight_through as straight_through
    from concordant.learn.networks import straight_through_one_hot as straight_through_one_hot
    from concordant.learn.policy_training import train_policy as train_policy
    from concordant.learn.preferences import PreferencePairs as PreferencePairs
    from concordant.learn.preferences import preference_loss as preference_loss
    from concordant.learn.reward_training import reward_head as reward_head
    from concordant.learn.reward_training import reward_loss as reward_loss
    from concordant.learn.sampling import sample_answers as sample_answers
    from concordant.learn.schedules import constant as constant
    from concordant.learn.schedules import cosine as cosine
    from concordant.learn.schedules import linear as linear
    from concordant.learn.sequences import TokenBatches as TokenBatches
    from concordant.learn.sequences import answer_nll as answer_nll
    from concordant.learn.sequences import answer_rows as answer_rows
    from concordant.learn.sequences import sft as sft

_HOME = {
    "Batches": "batches",
    "Ensemble": "networks",
    "History": "history",
    "HyperNetwork": "networks",
    "MLP": "networks",
    "PreferencePairs": "preferences",
    "TokenBatches": "sequences",
    "TransformerEncoder": "networks",
    "WithCritic": "critic",
    "add_lora": "lora",
    "answer_mask": "losses",
    "answer_nll": "sequences",
    "answer_rows": "sequences",
    "bound_spectral_norm": "networks",
    "bradley_terry": "losses",
    "constant": "schedules",
    "cosine": "schedules",
    "cosine_gram": "losses",
    "count_trained": "lora",
    "critic_loss": "losses",
    "dpo": "losses",
    "gaussian_nll": "losses",
    "generalized_advantages": "losses",
    "gram_loss": "losses",
    "grpo_advantages": "losses",
    "info_nce": "losses",
    "info_nce_of_scores": "losses",
    "ipo": "losses",
    "kl_estimate": "losses",
    "linear": "schedules",
    "load_weights": "checkpoint",
    "lora_weights": "lora",
    "masked_distillation": "losses",
    "masked_kl": "losses",
    "merge_lora": "lora",
    "orpo": "losses",
    "pairwise_jensen_shannon": "losses",
    "pairwise_jensen_shannon_loss": "losses",
    "policy_gradient": "losses",
    "preference_loss": "preferences",
    "reward_head": "reward_training",
    "reward_loss": "reward_training",
    "rloo_advantages": "losses",
    "sample_answers": "sampling",
    "save_lora": "lora",
    "save_weights": "checkpoint",
    "sequence_log_probability": "losses",
    "sft": "sequences",
    "sft_nll": "losses",
    "soft_bounds": "losses",
    "straight_through": "networks",
    "straight_through_one_hot": "networks",
    "token_average": "losses",
    "token_log_probabilities": "losses",
    "token_rewards": "losses",
    "train": "loop",
    "train_policy": "policy_training",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch="losses, networks and training")
