"""Models of the transformers library from a folder or the hub: text generators and sequence classifiers."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, ModelError, first_line, require
from concordant.models.fingerprints import files_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from concordant.models.language import GenerativeModel
    from concordant.models.option_scores import Norm, Way
    from concordant.models.predictors import PredictorModel

SETTINGS = ("*.json", "*.txt", "*.model", "*.jinja")
"""Files of a model besides its weights: configuration, vocabulary, chat template."""

TOKENIZERS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken", "tokenizer_config.json")
"""Files by which a folder is known to hold a tokenizer."""

CLASSIFIER_BATCH = 16
"""Sequences in one forward pass of a classifier, where nothing is said."""


def load_huggingface(
    source: str | Path,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    chat: bool = False,
    options: Way | None = None,
    norm: Norm | None = None,
    trust_pickle: bool = False,
    trust_code: bool = False,
    name: str | None = None,
) -> GenerativeModel | PredictorModel:
    """Load a causal language model or a sequence classifier, as the `architectures` of its configuration say.

    Parameters
    ----------
    source
        A folder, or the name of a model on the hub, perhaps with ``@revision``.
    revision
        Branch, tag or commit on the hub.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; ``"auto"`` takes a GPU where there is one.
    dtype
        ``"float32"``, ``"bfloat16"``, ``"float16"``; ``"auto"`` is that of the weights on a GPU, and
        float32 on a CPU.
    batch_size
        Sequences in one forward pass; by default 16 for classifiers, and for causal models as many as suit their
        size, see `~concordant.models.causal.CausalLM`.
    chat
        Whether texts are asked as one turn of the user in the chat template, rather than continued as
        they are. Conversations always are.
    options
        ``"letter"``, ``"cloze"`` or ``"blank"``: how a causal model answers items with choices by the scores of
        the options rather than by what it writes; see `~concordant.models.option_scores.option_scores`.
    norm
        ``"sum"`` (the default), ``"token"``, ``"byte"`` or ``"unconditional"``: how those scores are made comparable.
    trust_pickle
        Whether weights may be loaded from pickles (``pytorch_model.bin``), which can run any code, where
        there are no safetensors.
    trust_code
        Whether the code that some models bring may be run.
    name
        What reports call it; the name of the folder or model by default.

    Raises
    ------
    ModelError
        If the model cannot be found, read or trusted, or is neither of the two kinds.
    ConfigError
        If there is no such way of scoring options or norm, or the model is a classifier.
    MissingExtraError
        If transformers or torch is not installed.
    """
    require("torch", "torch", "Hugging Face models")
    transformers = require("transformers", "torch", "Hugging Face models")
    weights = ("*.safetensors", "*.bin") if trust_pickle else ("*.safetensors",)
    patterns = (*SETTINGS, *weights, *(("*.py",) if trust_code else ()))
    folder, label = _locate(str(source), revision, patterns)
    files = [path for pattern in patterns for path in folder.glob(pattern)]
    with _loading(label, transformers):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=trust_code)
    loader = _loader(config, label, transformers)
    if not any(path.suffix in (".safetensors", ".bin") for path in files):
        pickles = " (only pickles, which --trust-pickle would allow)" if list(folder.glob("*.bin")) else ""
        message = f"hf:{label}: {folder} holds no safetensors weights{pickles}"
        raise ModelError(message)
    for path in files:
        if path.suffix == ".safetensors":
            _check_whole(path, label)
    _check_tokenizer(folder, label)
    device = _device(device, label)
    dtype = "float32" if dtype == "auto" and device == "cpu" else dtype
    settings: dict[str, Any] = {
        "trust_remote_code": trust_code,
        "use_safetensors": None if trust_pickle else True,
    }
    with _loading(label, transformers):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_code)
        model = loader.from_pretrained(folder, dtype=dtype, **settings).to(device)
    name = name or label
    fingerprint = files_fingerprint(files, dtype, chat)
    if loader is transformers.AutoModelForCausalLM:
        from concordant.models.causal import CausalLM
        from concordant.models.language import GenerativeModel

        causal = CausalLM(
            model, tokenizer, name=name, fingerprint=fingerprint, batch_size=batch_size, chat=chat
        )
        return GenerativeModel(causal, options=options, norm=norm)
    if options is not None or norm is not None:
        message = f"hf:{label} is a classifier: options and norm are for causal language models"
        raise ConfigError(message)
    from concordant.models.predictors import PredictorModel
    from concordant.models.text_classifier import TextClassifier

    batch_size = batch_size or CLASSIFIER_BATCH
    classifier = TextClassifier(model, tokenizer, batch_size=batch_size)
    return PredictorModel(classifier, name=name, batch_size=4 * batch_size, fingerprint=fingerprint)


def _locate(source: str, revision: str | None, patterns: tuple[str, ...]) -> tuple[Path, str]:
    """Return the folder of a model and what it is called; the hub is asked where there is no folder."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder, folder.resolve().name
    source, _, at = source.partition("@")
    if source.count("/") > 1 or source.startswith((".", "/", "~")):
        message = f"hf:{source}: there is no such folder"
        raise ModelError(message)
    hub = require("huggingface_hub", "torch", "models of the Hugging Face hub")
    try:
        fetched = hub.snapshot_download(
            source,
            revision=str(revision or at or "") or None,
            allow_patterns=list(patterns),
            ignore_patterns=["original/*", "consolidated*"],  # the same weights again, in another form
        )
    except Exception as error:
        message = f"hf:{source} is neither a folder nor a model that the hub gives: {first_line(error)}"
        raise ModelError(message) from None
    return Path(fetched), source + (f"@{revision or at}" if revision or at else "")


def _loader(config: Any, label: str, transformers: Any) -> Any:
    """Return the class that loads a model of this configuration."""
    architectures = getattr(config, "architectures", None) or []
    if any(name.endswith("ForSequenceClassification") for name in architectures):
        if getattr(config, "problem_type", None) == "multi_label_classification":
            message = f"hf:{label}: classifiers of several labels at once are not supported"
            raise ModelError(message)
        return transformers.AutoModelForSequenceClassification
    own_code = getattr(config, "auto_map", None) or {}
    known = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING or "AutoModelForCausalLM" in own_code
    if architectures and known and not config.is_encoder_decoder:
        return transformers.AutoModelForCausalLM
    allowed = "allowed are causal language models and sequence classifiers"
    message = f"hf:{label}: {allowed}, got architectures {', '.join(architectures) or 'none'}"
    raise ModelError(message)


def _check_whole(path: Path, label: str) -> None:
    """Check that a file of weights is as long as its header says: a download or a disk may have ended before."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header: Any = json.loads(file.read(length)) if 8 + length <= size else None
            tensors = [value for name, value in header.items() if name != "__metadata__"]
            promised = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors), default=0)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            message = (
                f"hf:{label} cannot be loaded: {path.name} is torn within its header; save or fetch it again"
            )
            raise ModelError(message) from None
    if size != promised:
        message = (
            f"hf:{label} cannot be loaded: {path.name} is torn: its header speaks of {promised:,} bytes, and it has"
            f" {size:,}; save or fetch it again"
        )
        raise ModelError(message)


def _check_tokenizer(folder: Path, label: str) -> None:
    """Check that a folder holds a tokenizer: without its files an empty one may be made, which knows no word."""
    if not any(path for pattern in TOKENIZERS for path in folder.glob(pattern)):
        message = (
            f"hf:{label}: {folder} holds no tokenizer (none of {', '.join(TOKENIZERS)}); put that of the model there,"
            " with tokenizer.save_pretrained(folder)"
        )
        raise ModelError(message)


def _device(device: str, label: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except Exception as error:
        message = f"hf:{label}: the device {device!r} cannot be used: {first_line(error)}"
        raise ModelError(message) from None
    return device


@contextlib.contextmanager
def _loading(label: str, transformers: Any) -> Iterator[None]:
    """Load without progress bars; what goes wrong is the model's fault, in one sentence."""
    try:
        with no_progress_bars(transformers.utils.logging):
            yield
    except Exception as error:
        reason = " ".join(str(error).split())
        message = f"hf:{label} cannot be loaded: {type(error).__name__}: {reason[:300]}"
        if "trust_remote_code" in reason:
            message = (
                f"hf:{label} brings code of its own: pass --trust-code (trust_code=True) if you trust it"
            )
        raise ModelError(message) from None


@contextlib.contextmanager
def no_progress_bars(logging: Any) -> Iterator[None]:
    """Keep ``transformers.utils.logging`` from drawing progress bars for a while."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
