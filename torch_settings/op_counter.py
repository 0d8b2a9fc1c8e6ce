"""What PyTorch really does during a call, by listening to its operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

KERNELS = {
    "_scaled_dot_product_flash_attention": "flash",
    "_scaled_dot_product_efficient_attention": "memory-efficient",
    "_scaled_dot_product_cudnn_attention": "cuDNN",
    "_scaled_dot_product_fused_attention_overrideable": "the device's own",
    "_scaled_dot_product_attention_math": "math",
}
"""Beginnings of the operators that scaled dot-product attention is made of, and what they are."""
ATTENTION = "aten.scaled_dot_product_attention"
PRODUCTS = ("aten.bmm", "aten.baddbmm", "aten.matmul")
MATRIX_WORK = (
    "aten.linear",
    "aten.addmm",
    "aten.mm",
    *PRODUCTS,
    "aten.convolution",
    "aten._scaled_mm",
)
"""Operators in which a network spends its time."""


class OpCounter(TorchDispatchMode):
    """Listens while it is entered; slower by some microseconds for every operator."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.dtypes: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = str(func)
        if name.startswith(ATTENTION):
            # In inference mode it comes by as a whole; what it is made of tells the backend.
            with self:
                return func.decompose(*args, **(kwargs or {}))
        self.operators[name] += 1
        result = func(*args, **(kwargs or {}))
        if name.startswith(MATRIX_WORK) and isinstance(result, torch.Tensor):
            self.dtypes[result.dtype] += 1
        return result

    @property
    def attention(self) -> str | None:
        """Which backend computed attention; None where none of PyTorch's did."""
        names = [name.removeprefix("aten.") for name in self.operators]
        for beginning, backend in KERNELS.items():
            if any(name.startswith(beginning) for name in names):
                return backend
        return "math" if any(name.startswith(PRODUCTS) for name in self.operators) else None


def seen(call: Callable[[], Any]) -> tuple[Any, OpCounter]:
    """What a call returns, and what was heard of it."""
    with OpCounter() as seeing:
        return call(), seeing
