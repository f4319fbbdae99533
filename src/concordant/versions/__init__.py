"""Agreement of a model with its previous version: flips, graded regressions, and the noise floor under both."""

from concordant.versions.flips import Flips as Flips
from concordant.versions.noise_floor import NoiseFloor as NoiseFloor
from concordant.versions.scores import Scores as Scores
