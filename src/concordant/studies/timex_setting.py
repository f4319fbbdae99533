"""The sets on which TimeX is studied, how long is trained on each at each scale, and the figures of the paper."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One set of data and how its classifier and explainers are trained."""

    data: str
    length: int
    share: float
    """About the share of the truth in a series: what is kept where labels or overlaps are compared."""

    n_train: int = 5000
    n_validation: int = 100
    n_test: int = 1000
    network: dict[str, Any] = field(default_factory=dict)
    """Layers, width between maps, and dropout: of the classifier and of the network that writes masks."""

    unit_latent: bool = False
    classifier: dict[str, Any] = field(default_factory=dict)
    explainer: dict[str, Any] = field(default_factory=dict)
    dynamask: dict[str, Any] = field(default_factory=lambda: {"size": (0.1, 0.2, 0.3)})
    n_dynamask: int = 100
    """Of how many test series Dynamask learns masks: it goes 200 times through the classifier for each."""

    variants: bool = True
    """Whether TimeX without the consistency of behaviour, and with small masks, is trained as well."""

    prefix: str = ""
    """Of the names of its metrics."""


# The paper's schedule, and the jumps of masks and the falling rate of its published code.
EXPLAINER: dict[str, Any] = {
    "epochs": 50,
    "keep_rate": 0.5,
    "connection": "norm",
    "learning_rate": 1e-3,
    "weight_decay": 1e-3,
    "schedule": "plateau",
}
SMALL_MASKS = {"keep_rate": 0.1, "mask_weight": 1.0}
"""A variant that is ours: masks are drawn towards a tenth of a series, not towards half of it, with half the weight."""

FREQ_SHAPES = Setting(
    "freq-shapes",
    length=50,
    share=0.17,
    network={"layers": 1, "feedforward": 16, "dropout": 0.1},
    classifier={"epochs": 100, "learning_rate": 1e-3, "weight_decay": 0.1},
    explainer=EXPLAINER,
)
SEQ_COMB_UV = Setting(
    "seq-comb-uv",
    length=200,
    share=0.15,
    network={"layers": 2, "feedforward": 64, "dropout": 0.25},
    classifier={"epochs": 200, "learning_rate": 1e-3, "weight_decay": 0.01},
    explainer=EXPLAINER,
    prefix="seq_comb_uv_",
)
SEQ_COMB_MV = Setting(
    "seq-comb-mv",
    length=200,
    share=0.05,
    network={"layers": 2, "feedforward": 128, "dropout": 0.25},
    classifier={"epochs": 1000, "learning_rate": 5e-4, "weight_decay": 1e-3},
    explainer={**EXPLAINER, "epochs": 100},
    prefix="seq_comb_mv_",
)
LOW_VAR_DETECT = Setting(
    "low-var-detect",
    length=200,
    share=0.04,
    network={"layers": 1, "feedforward": 32, "dropout": 0.25},
    unit_latent=True,
    classifier={"epochs": 120, "learning_rate": 1e-3, "weight_decay": 0.01},
    explainer={**EXPLAINER, "epochs": 100, "learning_rate": 3e-3, "weight_decay": 1e-4},
    prefix="low_var_detect_",
)

FULL = (FREQ_SHAPES, SEQ_COMB_UV, SEQ_COMB_MV, LOW_VAR_DETECT)
POCKET = (
    FREQ_SHAPES,
    # Half as long, with the paper's epochs: on whole series they take half an hour a seed, and fewer teach the classifier
    # little more than to tell background from stretches.
    replace(SEQ_COMB_UV, length=100, share=0.29, variants=False),
)

_SMALL: dict[str, Any] = {
    "n_validation": 16,
    "explainer": {**EXPLAINER, "epochs": 1, "batch_size": 32, "n_landmarks": 8},
    "dynamask": {"size": (0.2,), "steps": 2},
    "n_dynamask": 8,
}
SMOKE = (
    replace(
        FREQ_SHAPES,
        length=20,
        n_train=64,
        n_test=32,
        classifier={"epochs": 4, "batch_size": 16, "learning_rate": 1e-2},
        **_SMALL,
    ),
    replace(
        SEQ_COMB_UV,
        length=80,
        n_train=48,
        n_test=16,
        network={"layers": 1, "dropout": 0.0},
        classifier={"epochs": 16, "batch_size": 8, "learning_rate": 3e-3},
        variants=False,
        **_SMALL,
    ),
)

PAPER = {
    "freq-shapes": {
        "timex": (0.832, 0.722, 0.638),
        "integrated_gradients": (0.752, 0.691, 0.598),
        "dynamask": (0.220, 0.295, 0.504),
    },
    "seq-comb-uv": {
        "timex": (0.712, 0.941, 0.338),
        "integrated_gradients": (0.576, 0.816, 0.287),
        "dynamask": (0.442, 0.878, 0.103),
    },
    "seq-comb-mv": {
        "timex": (0.688, 0.833, 0.387),
        "integrated_gradients": (0.330, 0.748, 0.258),
        "dynamask": (0.314, 0.548, 0.195),
    },
    "low-var-detect": {
        "timex": (0.867, 0.545, 0.900),
        "integrated_gradients": (0.869, 0.483, 0.817),
        "dynamask": (0.139, 0.164, 0.211),
    },
}
"""AUPRC, AUP and AUR in the paper's tables of synthetic sets (arXiv 2306.02109), rounded to three digits."""
