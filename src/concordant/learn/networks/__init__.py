"""Small networks that methods share; all initial weights come from a seed that is given."""

from concordant.learn.networks.backpack import Backpack as Backpack
from concordant.learn.networks.ensemble import Ensemble as Ensemble
from concordant.learn.networks.hypernetwork import HyperNetwork as HyperNetwork
from concordant.learn.networks.masks import straight_through as straight_through
from concordant.learn.networks.masks import straight_through_one_hot as straight_through_one_hot
from concordant.learn.networks.mlp import MLP as MLP
from concordant.learn.networks.spectral import bound_spectral_norm as bound_spectral_norm
from concordant.learn.networks.transformer import TransformerEncoder as TransformerEncoder
