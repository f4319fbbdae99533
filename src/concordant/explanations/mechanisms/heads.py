r"""What each attention head writes into the residual stream.

With :math:`z_h` the values that head h takes in, weighted by its attention, and :math:`W_O^h` the rows of the output
projection that read them, the head writes :math:`r_h = z_h W_O^h`, and the layer :math:`\sum_h r_h + b_O`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.explanations.mechanisms.decoder import (
    by_head,
    checked_rows,
    module_of,
    n_heads_of,
    read_batches,
)
from concordant.models.heads import output_projections, recorded_heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def head_outputs(
    model: Any, rows: Sequence[Sequence[int]], *, position: int = -1, batch_size: int = 64
) -> NDArray[np.float32]:
    """Return what each head writes into the residual stream at one position.

    The bias of the output projection, where there is one, belongs to no head and is left out.

    Parameters
    ----------
    model
        A causal language model of transformers, a `CausalLM`, or what `concordant.load` returns for either.
    rows
        Token ids, n rows of any lengths.
    position
        Counted from the end of each row; -1 (default) is the last token.
    batch_size
        Rows in a forward pass.

    Returns
    -------
    array of shape ``(n, layers, heads, d)``
        With grouped queries `heads` counts the queries.

    Raises
    ------
    ModelError
        If the heads cannot be reached.
    DataError
        If a row is too short, or a token is not in the vocabulary.

    Examples
    --------
    >>> import concordant as cc
    >>> model = cc.load("pocket:250k-base")
    >>> head_outputs(model, [[4, 5, 6], [7, 8]]).shape
    (2, 3, 4, 80)
    """
    module = module_of(model)
    checked_rows(rows, position, module)
    projections, n_heads = output_projections(module), n_heads_of(module)
    weights = [by_head(projection, n_heads).float() for projection in projections]
    layers = range(len(projections))
    found = np.empty((len(rows), len(layers), n_heads, weights[0].shape[-1]), np.float32)
    with recorded_heads(module, layers) as heads:
        for part, _ in read_batches(module, rows, batch_size):
            for layer in layers:
                values = heads[layer][:, :, position].float()
                found[part, layer] = torch.einsum("nhi,hio->nho", values, weights[layer]).cpu().numpy()
    return found
