"""Token dynamics of state-space models (Vo et al., 2025): whether tokens vanish or diverge, and what that does to a model.

Theory: the differential equation itself, from random starts, with one channel (sign, rate, order) and with several.
Models: small Mambas of transformers that differ only in the spectrum that their layers are held to, at matched norm of
the product at the start, on a language of hidden topics; tokens meet in the scan alone (a convolution of width 1).
Controls: the unconstrained model; and the negative model whose skip starts at -1. A layer held negative is the layer
held positive with skip and output projection negated, so this last one computes what positive ones do, and what is left
of the theory in a whole layer is the sign of the scan beside its skip. At full scale texts and tokenizer are yours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from concordant.explanations.mechanisms import Trajectories

DATA, TOKENIZER = "CONCORDANT_SSM_DATA", "CONCORDANT_SSM_TOKENIZER"
"""Name a data set of the hub with a column ``text`` and the splits train and validation, as NAME or OWNER/NAME/CONFIGURATION
(the paper's: Salesforce/wikitext/wikitext-103-raw-v1), and a tokenizer."""

KINDS = ("unconstrained", "positive", "mixed", "negative", "negative_turned")
TOKENS, CHANNELS, STATES = 5, 4, 4
LATE = 60.0
FAR = 100.0
"""Where tokens of several channels have diverged: beyond it they can be too stiff to follow for long."""
RATE_TIMES = (1e3, 1e4)


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and trained; chosen on seeds 1000 and above."""

    starts: int = 16
    topics: int = 8
    words: int = 32
    length: int = 48
    n_train: int = 8000
    n_test: int = 1000
    epochs: int = 1
    width: int = 16
    states: int = 4
    layers: int = 4
    batch: int = 16
    rate: float = 1e-2


SIZES = {
    Scale.smoke: Sizes(2, 2, 6, 8, 32, 16, 1, 4, 2, 2, 16),
    Scale.pocket: Sizes(),
}


@study(
    "ssm-token-dynamics",
    claims=[
        Claim("sign-decides", "one_negative.shrunk_rate", "one_positive.shrunk_rate", "higher"),
        Claim("vanishing-is-slow", "one_negative.exponent_gap", 0.05, "lower"),
        Claim("growing-steps-blow-up", "one_fast.blow_up_rate", "one_slow.blow_up_rate", "higher"),
        Claim("later-tokens-gain", "one_slow.order_tau", 0.0, "higher"),
        Claim("first-tokens-lead", "one_fast.first_leads_rate", 1 / TOKENS, "higher"),
        Claim("spectrum-decides", "many_negative.shrunk_rate", "many_positive.shrunk_rate", "higher"),
        Claim("mixed-spectra-diverge", "many_mixed.blow_up_rate", "many_negative.blow_up_rate", "higher"),
        Claim("convergent-is-worst", "positive.perplexity", "negative.perplexity", "lower"),
        Claim("mixed-beats-convergent", "mixed.perplexity", "negative.perplexity", "lower"),
        Claim("positive-beats-unconstrained", "positive.perplexity", "unconstrained.perplexity", "lower"),
        Claim("turned-skip-undoes-harm", "negative_turned.perplexity", "negative.perplexity", "lower"),
        Claim("spectrum-foretells-growth", "positive.token_growth", "negative.token_growth", "higher"),
        Claim("memory-is-used", "unconstrained.perplexity", "memoryless.perplexity", "lower"),
    ],
    baseline="the unconstrained model, and the model held to the other sign",
)
def ssm_token_dynamics(scale: Scale, seed: int) -> Measurements:
    """Measure where tokens go in theory, and how models do that are held to one kind of spectrum."""
    from concordant.learn.randomness import child_seeds

    if scale is Scale.full:
        return _your_texts(seed)
    n = SIZES[scale]
    one_seed, many_seed, model_seed = child_seeds(seed, 3)
    return one_channel(n.starts, one_seed) | many_channels(n.starts // 2, many_seed) | _models(n, model_seed)


def one_channel(n_starts: int, seed: int) -> dict[str, float]:
    """Measure the equation with one channel: who shrinks, how fast, who blows up, and in which order tokens leave."""
    import numpy as np

    from concordant.core.statistics import kendall_tau_b
    from concordant.explanations.mechanisms import token_dynamics

    x0 = np.random.default_rng(seed).uniform(0.5, 1.5, (n_starts, TOKENS, 1))

    def follow(mu: float, s_delta: float, **options: Any) -> Trajectories:
        options = {"t_end": LATE, "times": [0.0, LATE], **options}
        return token_dynamics(x0, s_delta=s_delta, s_b=1.0, s_c=mu, **options)

    shrinking = [follow(-1.0, s_delta) for s_delta in (1.0, -1.0)]
    late = [follow(-1.0, s_delta, t_end=RATE_TIMES[1], times=RATE_TIMES) for s_delta in (1.0, -1.0)]
    slopes = [np.diff(np.log(one.norms), axis=1) / np.log(RATE_TIMES[1] / RATE_TIMES[0]) for one in late]
    fast, slow = follow(1.0, 1.0), follow(1.0, -1.0)
    gained = slow.norms[:, -1] / slow.norms[:, 0]
    place = np.broadcast_to(np.arange(TOKENS), gained.shape)
    return {
        "one_negative.shrunk_rate": _shrunk(*shrinking),
        "one_positive.shrunk_rate": _shrunk(fast, slow),
        "one_negative.exponent": float(np.mean(slopes)),
        "one_negative.exponent_gap": float(np.abs(np.array(slopes) + 0.5).mean()),
        "one_fast.blow_up_rate": _blown(fast),
        "one_slow.blow_up_rate": _blown(slow),
        "one_slow.order_tau": float(np.mean(kendall_tau_b(place, gained))),
        "one_fast.first_leads_rate": float((fast.blow_up_token == 0).mean()),
        "one_fast.last_leads_rate": float((fast.blow_up_token == TOKENS - 1).mean()),
        "one_fast.largest_leads_rate": float((fast.blow_up_token == x0[..., 0].argmax(1)).mean()),
    }


def many_channels(n_starts: int, seed: int) -> dict[str, float]:
    """Measure the equation with several channels, for spectra of each kind: S_C = P, S_B = diag(signs) P."""
    import numpy as np

    from concordant.explanations.mechanisms import token_dynamics

    rng = np.random.default_rng(seed)
    x0 = rng.normal(size=(n_starts, TOKENS, CHANNELS)) / CHANNELS**0.5
    p = np.triu(rng.normal(size=(STATES, CHANNELS)), 1) / CHANNELS**0.5 + np.eye(STATES, CHANNELS)
    s_delta = rng.normal(size=(CHANNELS, CHANNELS)) / CHANNELS**0.5
    signs: dict[str, NDArray[np.float64]] = {
        "positive": np.ones(STATES),
        "negative": -np.ones(STATES),
        "mixed": np.where(np.arange(STATES) % 2, -1.0, 1.0),
    }
    found: dict[str, float] = {}
    for kind, sign in signs.items():
        moved = token_dynamics(
            x0, s_delta=s_delta, s_b=sign[:, None] * p, s_c=p, t_end=LATE, times=[0.0, LATE], limit=FAR
        )
        found[f"many_{kind}.shrunk_rate"] = _shrunk(moved)
        found[f"many_{kind}.blow_up_rate"] = _blown(moved)
    return found


def _shrunk(*found: Trajectories) -> float:
    """Return the share of tokens that are smaller at the end than at the start."""
    import numpy as np

    return float(np.mean([one.norms[:, -1] < one.norms[:, 0] for one in found]))


def _blown(found: Trajectories) -> float:
    import numpy as np

    return float(np.isfinite(found.blow_up_time).mean())


def _models(n: Sizes, seed: int) -> dict[str, float]:
    """Train a model of each kind on the same texts in the same order, from the same weights."""
    import torch

    from concordant.learn.randomness import child_seeds
    from concordant.studies.hidden_topics import Topics
    from concordant.studies.small_mamba import held, mean_loss, new_mamba, trained

    language_seed, train_seed, test_seed, weights_seed, order_seed = child_seeds(seed, 5)
    language = Topics.drawn(n.topics, n.words, sharpness=0.5, seed=language_seed)
    texts = torch.from_numpy(language.texts(n.n_train, n.length, seed=train_seed))
    test = language.texts(n.n_test, n.length, seed=test_seed)
    found = {
        "bayes.perplexity": math.exp(language.least_loss(test)),
        "memoryless.perplexity": math.exp(language.memoryless_loss(test)),
    }
    for kind in KINDS:
        model = held(new_mamba(n.words, n.width, n.layers, n.states, seed=weights_seed), kind)
        trained(model, texts, epochs=n.epochs, batch=n.batch, rate=n.rate, seed=order_seed)
        found[f"{kind}.perplexity"] = math.exp(mean_loss(model, torch.from_numpy(test)))
        found |= _spectrum(kind, model, test[:64])
    return found


def _spectrum(kind: str, model: Any, texts: NDArray[np.int64]) -> dict[str, float]:
    """Measure the spectra of a trained model and how its tokens grow from layer to layer."""
    from concordant.core.statistics import kendall_tau_b
    from concordant.explanations.mechanisms import spectrum_report, token_norms

    report, growth = spectrum_report(model), token_norms(model, texts.tolist()).growth
    positive = report.table()["positive_share"].to_numpy()
    found = {f"{kind}.token_growth": float(growth.mean())}
    if kind == "unconstrained":
        found |= {f"{kind}.{sort}_layer_rate": share for sort, share in report.shares.items()}
        found[f"{kind}.positive_share"] = float(positive.mean())
        found[f"{kind}.growth_tau"] = float(kendall_tau_b(positive, growth.numpy()))
    return found


def _your_texts(seed: int) -> dict[str, float]:
    """Train the paper's model, of each kind, on texts of yours; a GPU with the kernels of mamba_ssm is meant."""
    import torch

    from concordant.studies.small_mamba import held, mean_loss, paper_mamba, trained, windows
    from concordant.studies.your_models import named

    wanted = {DATA: "a data set of the hub", TOKENIZER: "a tokenizer of the hub"}
    names = named("ssm-token-dynamics", wanted)
    train, test, n_words = windows(names[DATA], names[TOKENIZER])
    found: dict[str, float] = {}
    for kind in KINDS:
        model = held(paper_mamba(n_words, seed=seed), kind)
        trained(model, train, epochs=25, batch=128, rate=1.5e-3, weight_decay=0.25, device="auto", seed=seed)
        device = next(model.parameters()).device
        losses = [mean_loss(model, part.to(device)) for part in torch.split(test, 16)]
        found[f"{kind}.perplexity"] = math.exp(torch.tensor(losses).mean().item())
        found |= _spectrum(kind, model, test[:16].numpy())
    return found
