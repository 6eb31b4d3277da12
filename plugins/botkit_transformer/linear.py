"""Linear layers behind one call, so that a faster product can take their place without the models knowing."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor

Linear = Callable[[Tensor], Tensor]
"""Maps [M, n_in] to [M, n_out]."""


def make_linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """Return x -> x @ weight.T + bias, for *weight* [n_out, n_in]; keeps the tensors."""

    def linear(x: Tensor) -> Tensor:
        return F.linear(x, weight, bias)

    return linear
