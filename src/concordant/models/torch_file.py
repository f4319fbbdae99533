"""Torch classifiers from files: a folder that says which network it is, an exported program, or a Python file.

A folder has ``config.json`` and ``model.safetensors``, runs no code of its own, and names a network that is registered
in the entry points ``concordant.networks``, each a function of plain options that returns a module::

    {"network": "series-transformer", "options": {"n_channels": 1, ...}, "classes": ["gun", "point"]}

A ``.pt2`` file of ``torch.export`` may hold pickles and expressions that are evaluated when it is loaded, and a Python
file is code: both only on the user's word.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from concordant.core.code import from_file, is_code
from concordant.core.errors import ConfigError, ModelError, StoreError, described, first_line, require
from concordant.core.registry import lookup
from concordant.core.tables import json_document
from concordant.core.whole_files import write_whole
from concordant.models.classes import most_probable
from concordant.models.fingerprints import files_fingerprint
from concordant.models.predictors import PredictorModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

CONFIG, WEIGHTS = "config.json", "model.safetensors"
Outputs = Literal["logits", "probabilities"]


class TorchClassifier:
    """A torch module as a predictor over arrays.

    Parameters
    ----------
    module
        Maps arrays of shape ``(batch, ...)`` to one number a class.
    classes
        Names of the classes, in the order of its outputs.
    outputs
        What it gives: ``"logits"`` or ``"probabilities"``.
    batch_size
        Rows a pass.
    config
        What its folder says of it, if it is from one.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Linear(2, 2, bias=False, device="meta").to_empty(device="cpu")
    >>> _ = torch.nn.init.eye_(module.weight)
    >>> TorchClassifier(module, classes=["left", "right"]).predict([[2.0, 1.0]]).tolist()
    ['left']
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        classes: Sequence[Any] | None = None,
        outputs: Outputs = "logits",
        batch_size: int = 512,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if outputs not in ("logits", "probabilities"):
            message = f"outputs of a torch classifier must be logits or probabilities, got {outputs!r}"
            raise ConfigError(message)
        self.module = module.eval()
        self.classes_ = None if classes is None else list(classes)
        self.outputs, self.batch_size, self.config = outputs, batch_size, dict(config or {})

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the most probable class of each row, or its number where classes have no names."""
        return most_probable(self.probabilities(x), self.classes_)

    def probabilities(self, x: Any) -> NDArray[np.float64]:
        """Map arrays of shape ``(n, ...)`` to probabilities of shape ``(n, classes)``.

        Raises
        ------
        ModelError
            If the module cannot take them, or gives no row of numbers for each.
        """
        import torch

        weight = next((p for p in self.module.parameters() if p.is_floating_point()), torch.zeros(()))
        rows = torch.as_tensor(np.array(x)).to(weight)
        try:
            with torch.no_grad():
                out = torch.cat([self.module(part) for part in torch.split(rows, self.batch_size)]).double()
        except Exception as error:
            message = (
                f"the {type(self.module).__name__} cannot take inputs of shape {tuple(rows.shape[1:])}: "
                f"{first_line(error)}"
            )
            raise ModelError(message) from None
        if out.ndim != 2 or len(out) != len(rows):
            message = f"the {type(self.module).__name__} must give shape (n, classes), got {tuple(out.shape)}"
            raise ModelError(message)
        probabilities = out.softmax(-1) if self.outputs == "logits" else out
        return np.asarray(probabilities.numpy(force=True), np.float64)


def load_torch(
    path: str | Path,
    *,
    weights: str | Path | None = None,
    classes: str | Sequence[Any] | None = None,
    outputs: Outputs = "logits",
    trust_code: bool = False,
    name: str | None = None,
    batch_size: int = 512,
) -> PredictorModel:
    """Load a torch classifier.

    Parameters
    ----------
    path
        A folder as :func:`save_network` writes it; a ``.pt2`` file; or ``FILE.py:NAME``, where a module has the name, or
        a function without arguments that returns one.
    weights
        A ``.safetensors`` file for what a Python file gives; a relative path starts from the working directory.
    classes
        Names of the classes: a sequence, or one text with commas.
    outputs
        What the module gives: ``"logits"`` or ``"probabilities"``.
    trust_code
        Whether files that can run code may be loaded.
    name
        What reports call it; by default the name of the file or folder.
    batch_size
        Rows a pass.

    Raises
    ------
    ModelError
        If it cannot be loaded.
    ConfigError
        If it is code that is not trusted, or there is no such network.
    MissingExtraError
        If torch is not installed.
    """
    require("torch", "torch", "torch classifiers")
    source = str(path)
    config: dict[str, Any] = {}
    named = classes.split(",") if isinstance(classes, str) else classes
    files = [] if weights is None else [Path(weights)]
    if is_code(source):
        module = _of_code(source, trust_code=trust_code)
        files.append(Path(source.rpartition(":")[0]))
        if weights is not None:
            _load_weights(module, Path(weights))
    elif weights is not None:
        message = f"weights= are for FILE.py:NAME; {source} has its own"
        raise ConfigError(message)
    elif Path(source).suffix == ".pt2":
        module = _of_export(Path(source), trust_code=trust_code)
        files.append(Path(source))
    else:
        module, config = _of_folder(Path(source))
        files += [Path(source, CONFIG), Path(source, WEIGHTS)]
        named = named if named is not None else config.get("classes")
    return PredictorModel(
        TorchClassifier(module, classes=named, outputs=outputs, batch_size=batch_size, config=config),
        name=name or (source.rpartition(":")[2] if is_code(source) else Path(source).stem),
        batch_size=batch_size,
        fingerprint=files_fingerprint(files, source.rpartition(":")[2], outputs, named),
    )


def save_network(
    folder: Path, module: nn.Module, network: str, options: Mapping[str, Any], **about: Any
) -> None:
    """Write a folder that ``torch:FOLDER`` loads: the weights, and then what they are the weights of.

    Parameters
    ----------
    folder
        Made if it is not there.
    module
        What `network` makes of `options`, with its weights.
    network
        A name in the entry points ``concordant.networks``.
    options
        What JSON can hold.
    about
        More for ``config.json``, such as ``classes``.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    from concordant.learn.checkpoint import save_tensors

    save_tensors(folder / WEIGHTS, module.state_dict(), {})
    config = {"network": network, "options": dict(options), **about}
    try:
        write_whole(folder / CONFIG, f"{json.dumps(config, indent=2)}\n".encode())
    except OSError as error:
        message = f"the classifier cannot be written to {folder}: {error.strerror or error}"
        raise StoreError(message) from None


def _of_folder(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        message = f"{folder}: a torch classifier is a folder with {CONFIG} and {WEIGHTS}, a .pt2 file, or FILE.py:NAME"
        raise ModelError(message)
    config = json_document(folder / CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("network"), str):
        message = f"{folder / CONFIG} does not say which network it is: {{'network': NAME, 'options': ...}}"
        raise ModelError(message)
    build = lookup("networks", config["network"])
    try:
        module: nn.Module = build(**config.get("options", {}))
    except TypeError as error:
        message = f"{folder / CONFIG} has options that the network {config['network']} does not take: {error}"
        raise ModelError(message) from None
    _load_weights(module, folder / WEIGHTS)
    return module, config


def _of_export(path: Path, *, trust_code: bool) -> nn.Module:
    if not path.is_file():
        message = f"{path}: there is no such file"
        raise ModelError(message)
    if not trust_code:
        message = f"{path} is a program of torch.export, which can run code when it is loaded: allow that with --trust-code"
        raise ConfigError(message)
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself
            program = torch.export.load(path)
            module = torch.export.unflatten(program)
    except Exception as error:
        message = f"{path} cannot be loaded by torch.export: {described(error)}"
        raise ModelError(message) from None
    inputs = set(program.graph_signature.user_inputs)
    shapes = [
        tuple(n.meta["val"].shape) for n in program.graph.nodes if n.op == "placeholder" and n.name in inputs
    ]
    if shapes and isinstance(shapes[0][0], int):
        message = (
            f"{path} takes batches of exactly {shapes[0][0]}: export it with a batch of any size, "
            'dynamic_shapes=({0: torch.export.Dim("batch")},)'
        )
        raise ModelError(message)
    graphs: list[Any] = [part.graph for part in module.modules() if hasattr(part, "graph")]
    for graph in graphs:
        for node in graph.nodes:
            node.meta = {}  # the examples that it remembers cannot be copied
    return module


def _of_code(source: str, *, trust_code: bool) -> nn.Module:
    from torch import nn

    found = from_file(source, Path(), trust_code=trust_code)
    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except Exception as error:
            message = f"{source} was called without arguments, and failed: {described(error)}"
            raise ModelError(message) from None
    if not isinstance(found, nn.Module):
        message = (
            f"{source} must be a torch module, or a function that returns one, got a {type(found).__name__}"
        )
        raise ModelError(message)
    return found


def _load_weights(module: nn.Module, path: Path) -> None:
    from concordant.learn.checkpoint import load_tensors

    tensors, _ = load_tensors(path, foreign=True)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).split("\n")[1:]]
        message = f"the weights of {path} do not fit the {type(module).__name__}: {' '.join(lines)[:300]}"
        raise ModelError(message) from None
