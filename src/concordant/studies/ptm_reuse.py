"""Reuse of pre-trained models: damaged copies found by a claimed accuracy, and by stored answers.

The first part gives small classifiers of digits a card with their accuracy and a fingerprint of 200 answers, damages copies
of them, and counts what each check finds; copies that are only run otherwise (other batches, double precision) must not be
found. The second part rounds the weights of a small language model and asks whether the divergence of its tokens ranks the
copies by damage and foretells which answers change. The third is what the paper counted on a hub: how many models say in a
form that machines read how good they are. At full scale the language model and its copies are yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from concordant.core.items import Items

ORIGINAL, COPIES, PROBES = (f"CONCORDANT_PTM_{name}" for name in ("ORIGINAL", "COPIES", "PROBES"))
"""A language model, its copies (joined by commas, the least damaged first), and a file of items to ask them."""

HUB = {
    "token-classification": (526, 3130),
    "automatic-speech-recognition": (618, 3919),
    "image-classification": (105, 731),
    "summarization": (56, 501),
    "text-classification": (872, 8764),
    "translation": (99, 1637),
    "text2text-generation": (256, 5320),
    "object-detection": (1, 44),
    "multiple-choice": (1, 94),
    "question-answering": (22, 2102),
    "audio-classification": (1, 141),
    "fill-mask": (17, 3802),
    "sentence-similarity": (1, 609),
    "text-generation": (7, 5481),
    "other": (12, 26192),
}
"""Models with a machine-readable claim of performance, and all models, by task: Figure 7 of the paper (August 2022), in the
artifact PurdueDualityLab/ICSE-23-PTM-Artifact at 0f99f59, Apache-2.0."""

N_STORED = 200
TWO_SIGMA = 1.96


@dataclass(frozen=True)
class Sizes:
    """How much is trained and asked; chosen on seeds 1000 and above."""

    models: int = 8
    width: int = 32
    steps: int = 400
    more_steps: int = 20
    stored: int = N_STORED
    probes_of_a_skill: int = 40
    bits: tuple[int, ...] = (8, 6, 5, 4, 3)
    noises: tuple[float, ...] = (0.05, 0.2)


SIZES = {
    Scale.smoke: Sizes(1, 8, 20, 5, 40, 4, (8, 3), ()),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(models=20),
}


@study(
    "ptm-reuse",
    claims=[
        Claim("stored-answers-find-more", "fingerprint.detection_rate", "accuracy.detection_rate", "higher"),
        Claim("flips-find-more-than-pairs", "fingerprint.detection_rate", "paired.detection_rate", "higher"),
        Claim("few-false-alarms", "fingerprint.false_alarm_rate", 0.05, "lower"),
        Claim("divergence-ranks-damage", "language.rank_agreement", 0.5, "higher"),
        Claim("divergence-foretells-flips", "language.flip_auroc", 0.5, "higher"),
        Claim("few-models-carry-claims", "hub.claim_share", 0.17, "lower", over="units"),
    ],
    baseline="the claimed accuracy, held against the accuracy measured",
)
def ptm_reuse(scale: Scale, seed: int) -> Measurements:
    """Measure how many damaged copies of models a claimed accuracy finds, and how many a fingerprint finds."""
    from concordant.learn.randomness import child_seeds

    n = SIZES[scale]
    digits_seed, language_seed = child_seeds(seed, 2)
    measured: dict[str, Any] = _digits(n, digits_seed)
    measured |= _your_copies() if scale is Scale.full else _pocket_copies(n, language_seed)
    return measured | {"hub.claim_share": [claimed / models for claimed, models in HUB.values()]}


def _digits(n: Sizes, seed: int) -> dict[str, float]:
    """Damage classifiers of digits, and count what each check finds."""
    from sklearn.datasets import load_digits

    from concordant.learn.randomness import child_seeds

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype(np.float32) / 16, y[order].astype(np.int64)
    found: dict[str, list[tuple[bool, bool, bool]]] = {}
    accuracies: dict[str, list[float]] = {}
    changes: dict[str, list[float]] = {}
    for model_seed in child_seeds(seed, n.models):
        for name, verdicts, accuracy, change in _one_model(n, x, y, model_seed):
            found.setdefault(name, []).append(verdicts)
            accuracies.setdefault(name, []).append(accuracy)
            changes.setdefault(name, []).append(change)
    measured = {}
    for name, flags in found.items():
        rates = np.mean(flags, axis=0)
        for check, rate in zip(CHECKS, rates, strict=True):
            measured[f"{check}.{name}_flag_rate"] = float(rate)
        measured[f"copy.{name}_accuracy"] = float(np.mean(accuracies[name]))
        measured[f"copy.{name}_change_rate"] = float(np.mean(changes[name]))
    for place, check in enumerate(CHECKS):
        for what, names in (("false_alarm_rate", UNHARMED), ("detection_rate", DAMAGED)):
            each = [verdicts[place] for name in names for verdicts in found[name]]
            measured[f"{check}.{what}"] = float(np.mean(each))
    return measured


CHECKS = ("accuracy", "paired", "fingerprint")
UNHARMED = ("unchanged", "other_batches", "double")
DAMAGED = ("four_bits", "three_bits", "fine_tuned", "scaled_inputs", "swapped_labels", "other_seed")


def _one_model(
    n: Sizes, x: NDArray[np.float32], y: NDArray[np.int64], seed: int
) -> list[tuple[str, tuple[bool, bool, bool], float, float]]:
    """Train a model, damage copies of it, and return what each check says of each copy."""
    import concordant as cc
    from concordant.core.statistics import mcnemar
    from concordant.versions.fingerprints import record, verify

    half = len(x) // 2
    train_x, train_y, test_x, test_y = x[:half], y[:half], x[half:], y[half:]
    card, checked = slice(0, len(test_x) // 2), slice(len(test_x) // 2, None)
    copies = _copies(n, train_x, train_y, seed)
    original = copies["unchanged"]
    claimed = float((original.predict(test_x[card]) == test_y[card]).mean())
    fresh_x, fresh_y = test_x[checked], test_y[checked]
    probes = cc.Items.from_arrays(fresh_x[: n.stored], fresh_y[: n.stored])
    fingerprint = record(original, probes, progress=False)
    was_right = original.predict(fresh_x[: n.stored]) == fresh_y[: n.stored]
    rows = []
    for name, model in copies.items():
        right = model.predict(fresh_x) == fresh_y
        accuracy = float(right.mean())
        error = np.sqrt(max(claimed * (1 - claimed), 1e-6) * (1 / len(right) + 1 / len(test_y[card])))
        is_right = right[: n.stored]
        lost, won = int((was_right & ~is_right).sum()), int((~was_right & is_right).sum())
        verdict = verify(fingerprint, model, progress=False)
        verdicts = (
            abs(accuracy - claimed) > TWO_SIGMA * error,
            mcnemar(lost, won).p_exact <= 0.05,
            verdict.state == "fail",
        )
        rows.append((name, verdicts, accuracy, float(verdict["answers changed"].now or 0.0)))
    return rows


@dataclass(eq=False)
class Digits:
    """A classifier as a predictor of the flow.

    Parameters
    ----------
    network
        Gives logits.
    double
        Whether it computes in double precision.
    batch
        Rows at once, or None for all.
    """

    network: Callable[[Tensor], Tensor]
    double: bool = False
    batch: int | None = None
    classes_ = tuple(range(10))

    def probabilities(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities, shape (n, 10)."""
        import torch

        rows = torch.from_numpy(np.array(x, np.float64 if self.double else np.float32))
        with torch.no_grad():
            parts = [
                self.network(part).softmax(dim=-1) for part in torch.split(rows, self.batch or len(rows))
            ]
        found: NDArray[np.float64] = torch.cat(parts).double().numpy()
        return found

    def predict(self, x: NDArray[Any]) -> NDArray[np.int64]:
        """Return the most probable classes, shape (n,)."""
        found: NDArray[np.int64] = self.probabilities(x).argmax(axis=1)
        return found


def _copies(n: Sizes, x: NDArray[np.float32], y: NDArray[np.int64], seed: int) -> dict[str, Digits]:
    """Return the original, copies that are run otherwise, and damaged ones."""
    import copy

    from concordant.learn.randomness import child_seeds
    from concordant.studies import damage

    first, again, more = child_seeds(seed, 3)
    model = _trained(n, x, y, first)
    longer = copy.deepcopy(model)
    _train(longer, x, y, n.more_steps, more)
    networks: dict[str, Callable[[Tensor], Tensor]] = {
        "four_bits": damage.with_rounded_weights(model, 4),
        "three_bits": damage.with_rounded_weights(model, 3),
        "fine_tuned": longer,
        "scaled_inputs": damage.with_scaled_inputs(model, 1.3),
        "swapped_labels": damage.with_swapped_outputs(model, 3, 8),
        "other_seed": _trained(n, x, y, again),
    }
    unharmed = {
        "unchanged": Digits(model),
        "other_batches": Digits(model, batch=7),
        "double": Digits(copy.deepcopy(model).double(), double=True),
    }
    return unharmed | {name: Digits(network) for name, network in networks.items()}


def _trained(n: Sizes, x: NDArray[np.float32], y: NDArray[np.int64], seed: int) -> nn.Module:
    import torch

    from concordant.learn import MLP

    model = MLP(x.shape[1], 10, hidden=(n.width,), seed=torch.Generator().manual_seed(seed))
    _train(model, x, y, n.steps, seed)
    return model


def _train(model: nn.Module, x: NDArray[np.float32], y: NDArray[np.int64], steps: int, seed: int) -> None:
    import torch

    from concordant.learn import Batches, train

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, classes = batch
        return torch.nn.functional.cross_entropy(model(inputs), classes)

    batches = Batches((torch.from_numpy(x), torch.from_numpy(y)), 32)
    optimizer = partial(torch.optim.Adam, lr=3e-3)
    train(model, loss, batches, steps=steps, optimizer=optimizer, seed=seed, device="cpu", progress=False)


def _pocket_copies(n: Sizes, seed: int) -> dict[str, float]:
    """Damage a small language model by rounding and by noise, and measure its copies."""
    from concordant.core.model import Request
    from concordant.models.language import GenerativeModel
    from concordant.pocket import grader, items
    from concordant.studies.damage import with_noisy_weights, with_rounded_weights
    from concordant.studies.small_language import released_language_model

    original = released_language_model("250k-chat-v1")
    probes = items(["facts", "arithmetic", "siblings"], n.probes_of_a_skill, seed=seed % 2**32)
    modules = {f"{bits}_bits": with_rounded_weights(original.model, bits) for bits in n.bits}
    modules |= {f"noise_{scale}": with_noisy_weights(original.model, scale, seed=seed) for scale in n.noises}
    copies = {name: GenerativeModel(original.with_model(module)) for name, module in modules.items()}
    return measured_copies(
        GenerativeModel(original), copies, probes, grade=grader(), request=Request(max_tokens=30)
    )


def measured_copies(
    original: Any, copies: Mapping[str, Any], probes: Items, *, grade: Any = None, request: Any = None
) -> dict[str, float]:
    """Measure copies of a language model against its fingerprint.

    Parameters
    ----------
    original, copies
        Local language models as models of the flow.
    probes
        What they are asked.
    grade, request
        As for `concordant.versions.fingerprints.record`.

    Returns
    -------
    dict
        For each copy the share of changed answers, the mean divergence of tokens and the area under the curve; over
        all copies the mean area, and Spearman's correlation of divergence and changed answers.
    """
    from concordant.core.statistics import spearman_rho
    from concordant.versions.fingerprints import record, verify

    fingerprint = record(original, probes, grade=grade, request=request, progress=False)
    measured: dict[str, float] = {}
    changed, divergences, areas = [], [], []
    for name, copied in copies.items():
        found = verify(fingerprint, copied, grade=grade, progress=False)
        changed.append(float(found.items["changed"].to_numpy().mean()))
        divergences.append(found.tokens.get("forward_mean", 0.0))
        measured[f"{name}.change_rate"], measured[f"{name}.token_kl"] = changed[-1], divergences[-1]
        measured[f"{name}.negative_flip_rate"] = float(found.items["negative_flip"].to_numpy().mean())
        if "flip_auroc" in found.tokens:
            areas.append(found.tokens["flip_auroc"])
            measured[f"{name}.flip_auroc"] = areas[-1]
    agreement = float(spearman_rho(changed, divergences))
    measured["language.rank_agreement"] = 0.0 if np.isnan(agreement) else agreement
    measured["language.flip_auroc"] = float(np.mean(areas)) if areas else 0.5
    return measured


def _your_copies() -> dict[str, float]:
    """Measure copies of a language model of yours, in the order in which they are named."""
    from concordant.core.items import Items
    from concordant.models.load import load
    from concordant.studies.your_models import named

    wanted = {ORIGINAL: "a language model", COPIES: "copies of it", PROBES: "a file of items"}
    found = named("ptm-reuse", wanted)
    specs = [spec.strip() for spec in found[COPIES].split(",") if spec.strip()]
    copies = {f"copy_{place}": load(spec) for place, spec in enumerate(specs, 1)}
    return measured_copies(load(found[ORIGINAL]), copies, Items.read(found[PROBES]))
