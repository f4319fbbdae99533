"""TimeX (Queen et al., 2023): explain a classifier by masks under which it behaves as before.

Data: FreqShapes, where the class is the direction and the period of spikes, and SeqComb-UV, where it is the direction
of two stretches, so the true explanation is known; at full scale the paper's other two synthetic sets as well. Method:
TimeX. Baselines, on the same classifier: its slope and integrated gradients, signed and absolute, and Dynamask on some of
the test series. Controls: random explanations, masks of the same sizes in other places, an explainer that was not
trained, and one that was trained without the consistency of behaviour. A variant that is ours wants smaller masks. Where
the environment variable CONCORDANT_SERIES names a folder with GunPoint and ItalyPowerDemand as ``.ts`` files, occlusion
curves of those, which have no known truth, are measured too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from concordant.studies.study import Claim, Measurements, Scale, study
from concordant.studies.timex_setting import FREQ_SHAPES, FULL, POCKET, SMALL_MASKS, SMOKE, Setting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from concordant.explanations.series_data import MotifSeries
    from concordant.explanations.series_set import SeriesSet

SERIES_FOLDER = "CONCORDANT_SERIES"
REAL_SETS = ("GunPoint", "ItalyPowerDemand")
REAL_EPOCHS, REAL_SHARE = 400, 0.25


def _claims(set_name: str, prefix: str) -> list[Claim]:
    """Return what is claimed of every set."""
    beaten = [
        ("gradients", "auprc", "integrated_gradients"),
        ("absolute-gradients", "auprc", "absolute_integrated_gradients"),
        ("dynamask", "auprc_of_some", "dynamask"),
        ("random", "auprc", "random"),
    ]
    named: list[tuple[str, Literal["higher", "lower"], str, str]] = [
        *((f"finds-patterns-better-than-{other}", "higher", metric, than) for other, metric, than in beaten),
        ("masked-input-acts-the-same", "higher", "label_agreement", "random"),
        ("training-brings-behaviour-together", "lower", "behaviour_loss", "untrained"),
        ("place-of-masks-matters", "lower", "behaviour_loss", "shuffled"),
        ("explanation-suffices", "higher", "occlusion_auroc", "random"),
    ]
    return [
        *(
            Claim(
                f"{set_name}{claim}",
                better=f"timex.{prefix}{metric}",
                than=f"{than}.{prefix}{metric}",
                direction=direction,
            )
            for claim, direction, metric, than in named
        ),
        Claim(
            f"{set_name}classifier-is-good",
            better=f"classifier.{prefix}accuracy",
            than=0.95,
            direction="higher",
        ),
    ]


@study(
    "timex",
    claims=[
        *_claims("", ""),
        Claim(
            "consistency-finds-patterns",
            better="timex.auprc",
            than="without_consistency.auprc",
            direction="higher",
        ),
        Claim(
            "small-masks-find-patterns",
            better="small_masks.auprc",
            than="timex.auprc",
            direction="higher",
        ),
        *_claims("seq-comb-uv-", "seq_comb_uv_"),
    ],
    baseline="integrated gradients on the same classifier",
)
def timex(scale: Scale, seed: int) -> Measurements:
    """Compare what TimeX, slopes, Dynamask and chance find in series whose true explanation is known."""
    found: dict[str, float] = {}
    for setting in {Scale.smoke: SMOKE, Scale.pocket: POCKET, Scale.full: FULL}[scale]:
        measured = _measured(setting, seed)
        found |= {name.replace(".", f".{setting.prefix}", 1): value for name, value in measured.items()}
    folder = os.environ.get(SERIES_FOLDER)
    if folder and scale is not Scale.smoke:
        for name in REAL_SETS:
            found |= _real(Path(folder), name, seed)
    return found


def _measured(setting: Setting, seed: int) -> dict[str, float]:
    """Train one classifier and its explainers, and measure them on test series."""
    import torch

    from concordant.explanations.series_data import SETS
    from concordant.explanations.series_model import SeriesModel
    from concordant.explanations.series_transformer import SeriesTransformer, fit_classifier
    from concordant.learn.randomness import child_seeds

    *data_seeds, network_seed, order_seed, mask_seed = child_seeds(seed, 6)
    sizes = (setting.n_train, setting.n_validation, setting.n_test)
    train, validation, test = (
        SETS[setting.data](n, data_seed, length=setting.length)
        for n, data_seed in zip(sizes, data_seeds, strict=True)
    )
    model = SeriesTransformer(
        train.x.shape[-1],
        4,
        setting.length,
        **setting.network,
        unit_latent=setting.unit_latent,
        seed=network_seed,
    )
    fit_classifier(
        model, *_tensors(train), validation=_tensors(validation), **setting.classifier, seed=order_seed
    )
    logits, latent = SeriesModel(model).behaviour(torch.as_tensor(test.x))
    found = {"classifier.accuracy": _share(logits.argmax(-1).numpy() == test.labels)}

    explainers = _explainers(model, {**setting.network, **setting.explainer, "seed": mask_seed})
    if not setting.variants:
        del explainers["without_consistency"], explainers["small_masks"]
    attributions: dict[str, NDArray[np.float32]] = {}
    for name, explainer in explainers.items():
        if hasattr(explainer, "fit"):
            explainer.fit(train.x, validation=validation.x)
        attributions[name] = explainer.explain(test.x)
    attributions["absolute_integrated_gradients"] = abs(attributions["integrated_gradients"])
    for name, attribution in attributions.items():
        found |= _judged(name, attribution, test.truth, setting.share)
        found |= _occluded(name, model, test, attribution, train.x, setting.share, mask_seed)
    found |= _with_dynamask(setting, model, attributions, test, train.x, mask_seed)
    return found | _acted(explainers, test.x, latent, mask_seed)


def _judged(
    name: str, attribution: NDArray[np.float32], truth: NDArray[np.bool_], share: float
) -> dict[str, float]:
    """Measure how well the truth is found, where there is any: class 0 of SeqComb has none."""
    from concordant.explanations.saliency_metrics import intersection_over_union, saliency_scores

    known = truth.any((1, 2))
    scores = saliency_scores(attribution[known], truth[known]).means()
    overlap = intersection_over_union(attribution[known], truth[known], quantile=1 - share)
    return {f"{name}.{metric}": value for metric, value in (scores | {"iou": float(overlap.mean())}).items()}


def _with_dynamask(
    setting: Setting,
    model: nn.Module,
    attributions: dict[str, NDArray[np.float32]],
    test: MotifSeries,
    training: NDArray[np.float32],
    seed: int,
) -> dict[str, float]:
    """Measure Dynamask on some series with a truth, and on the same ones what it is compared with."""
    import numpy as np

    from concordant.explanations.dynamask import Dynamask

    known = np.flatnonzero(test.truth.any((1, 2)))
    some = np.random.default_rng(seed).permutation(known)[: setting.n_dynamask]
    masks = Dynamask(model, training=training, seed=seed, **setting.dynamask).explain(test.x[some])
    compared = {"dynamask": masks} | {
        name: attributions[name][some] for name in ("timex", "integrated_gradients", "random")
    }
    found: dict[str, float] = {}
    for name, attribution in compared.items():
        scores = _judged(name, attribution, test.truth[some], setting.share)
        found |= {f"{metric}_of_some": value for metric, value in scores.items()}
    return found


def _explainers(model: nn.Module, options: dict[str, Any]) -> dict[str, Any]:
    from concordant.explanations.explainer import RandomExplanation
    from concordant.explanations.gradients import Gradient, IntegratedGradients
    from concordant.explanations.timex import TimeX

    return {
        "timex": TimeX(model, **options),
        "without_consistency": TimeX(model, **options, behaviour_weight=0.0),
        "small_masks": TimeX(model, **{**options, **SMALL_MASKS}),
        "untrained": TimeX(model, **{**options, "epochs": 0}),
        "random": RandomExplanation(options["seed"]),
        "gradient": Gradient(model),
        "integrated_gradients": IntegratedGradients(model),
    }


def _acted(
    explainers: dict[str, Any], x: NDArray[np.float32], latent: Tensor | None, seed: int
) -> dict[str, float]:
    """Measure how the copy of the classifier places masked series, with masks of one size.

    Trained with its own masks, trained with these in other places, and as it was before the training.
    """
    from concordant.explanations.occlusion import shuffled_masks
    from concordant.learn.losses.relational import gram_loss

    trained, untrained = explainers["timex"], explainers["untrained"]
    masks = trained.masks(x, seed=seed)  # drawn with their probabilities, as in training
    found = {"timex.keep_rate": _share(masks)}
    for name, explainer, given in (
        ("timex", trained, masks),
        ("shuffled", trained, shuffled_masks(masks, seed)),
        ("untrained", untrained, shuffled_masks(masks, seed)),
    ):
        acted = explainer.surrogate(x, given)
        assert latent is not None
        found[f"{name}.behaviour_loss"] = float(gram_loss(acted.latent, latent))
    return found


def _occluded(
    name: str,
    model: nn.Module,
    test: MotifSeries | SeriesSet,
    attribution: NDArray[np.float32],
    training: NDArray[np.float32],
    share: float,
    seed: int,
) -> dict[str, float]:
    """Measure what the classifier does with the most important numbers alone.

    The curve also masks the attention, as the paper does. That alone moves the classifier, whatever the mask, so where
    labels are compared the rest of the series is replaced and nothing more.
    """
    from concordant.explanations.occlusion import (
        QUANTILES,
        label_agreement_rate,
        most_important,
        occlusion_curve,
    )

    assert test.labels is not None
    curve = occlusion_curve(
        model, test.x, test.labels, attribution, training=training, quantiles=QUANTILES, seed=seed
    )
    found = {f"{name}.auroc@{q}": value for q, value in zip(QUANTILES, curve.auroc, strict=True)}
    found[f"{name}.occlusion_auroc"] = sum(curve.auroc) / len(curve.auroc)
    found[f"{name}.label_agreement"] = label_agreement_rate(
        model,
        test.x,
        most_important(attribution, share, seed),
        training=training,
        masking="input",
        seed=seed,
    )
    return found


def _real(folder: Path, name: str, seed: int) -> dict[str, float]:
    """Measure occlusion curves of a real set, on which the truth is not known, with a small convolution to explain."""
    from concordant.explanations.series_files import read_series
    from concordant.explanations.series_fit import fit_series
    from concordant.learn.randomness import child_seeds

    network_seed, mask_seed = child_seeds(seed, 2)
    train, test = (read_series(folder / f"{name}_{part}.ts") for part in ("TRAIN", "TEST"))
    fitted = fit_series(train, test=test, seed=network_seed)
    assert fitted.test is not None
    options = {**FREQ_SHAPES.explainer, "schedule": "constant", "epochs": REAL_EPOCHS, "batch_size": 16}
    explainers = _explainers(fitted.module, {**options, "seed": mask_seed})
    found = {f"{name.lower()}_classifier.accuracy": fitted.test.value}
    for kind in ("timex", "random", "integrated_gradients"):
        explainer = explainers[kind]
        if hasattr(explainer, "fit"):
            explainer.fit(train.x)
        attribution = explainer.explain(test.x)
        measured = _occluded(kind, fitted.module, test, attribution, train.x, REAL_SHARE, mask_seed)
        found |= {f"{name.lower()}_{key}": value for key, value in measured.items()}
    return found


def _tensors(data: MotifSeries) -> tuple[Tensor, Tensor]:
    import torch

    return torch.as_tensor(data.x), torch.as_tensor(data.labels)


def _share(values: NDArray[Any]) -> float:
    return float(values.mean())
