"""Products in int8 by comfy-kitchen, which ComfyUI ships; what they gain on a device is measured.

Source: comfy-kitchen 0.2.26, `comfy_kitchen/__init__.py` (`quantize_int8_rowwise`, `int8_linear`)
and `comfy_kitchen/backends/eager/quantization.py`, which says what every backend computes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Any, NamedTuple

import torch
from comfy import model_management
from torch.nn.functional import linear

from ..cache_core.errors import ConfigError
from .setting import plain

NEEDED = ("int8_linear", "quantize_int8_rowwise", "registry")
ROWS, ROWS_ON_CPU = 4096, 256
"""Of the measured product. A GPU is not busy with fewer."""
MAX_ON_CPU = 2**28
"""Multiplications in it. A processor takes some milliseconds for so many; of wider layers a part of
the outputs is measured."""
PAIRS, FEWEST, SECONDS = 9, 3, 0.1
"""Pairs that are timed: at most, at least, and until so much time has passed."""
MAX_APART = 0.05
"""How far int8 may lie from the measured product, in root mean square."""


class Int8Weight(NamedTuple):
    """The weight of a linear layer in int8.

    Shapes: numbers (outputs, inputs), int8; scales (outputs, 1), float32: the greatest number of a
    row ÷ 127.
    """

    numbers: torch.Tensor
    scales: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return self.numbers.nbytes + self.scales.nbytes


@dataclass(frozen=True, slots=True)
class Kernel:
    """The library, which is there and can do it.

    Args:
        library: the module `comfy_kitchen`.
    """

    library: Any

    @classmethod
    def load(cls, node: str) -> Kernel:
        """The library of this ComfyUI; imported here, so that older ones can do without.

        Args:
            node: the node that asks.

        Raises:
            ConfigError: there is none, or one without int8.
        """
        try:
            import comfy_kitchen as library
        except ImportError as error:
            found = f"cannot import comfy_kitchen ({error})"
        else:
            missing = [name for name in NEEDED if not hasattr(library, name)]
            if not missing:
                return cls(library)
            found = f"has comfy-kitchen {_version()}, which lacks {', '.join(missing)}"
        raise ConfigError(
            f"{node}: this ComfyUI {found}; expected comfy-kitchen with products in int8, such as "
            f"0.2.26, which ComfyUI 0.30 installs. Update ComfyUI and its requirements, or take "
            f"this node out"
        )

    def quantized(self, weight: torch.Tensor) -> Int8Weight:
        """A weight in int8, every row with a scale of its own, rounded to the nearest.

        Shapes: weight (outputs, inputs), floats.
        """
        # In half precision the library would divide by a scale that is rounded to it.
        numbers, scales = self.library.quantize_int8_rowwise(weight.detach().float())
        return Int8Weight(numbers, scales)

    def multiply(
        self, x: torch.Tensor, weight: Int8Weight, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """A linear layer's answer; every row of `x` is quantized with a scale of its own.

        Shapes: x (..., inputs); the answer (..., outputs), in the numbers of `x`.
        """
        return self.library.int8_linear(x.contiguous(), *weight, bias, x.dtype)

    def backend(self, x: torch.Tensor, weight: Int8Weight) -> str:
        """Which of the library's backends multiplies, and the library's version."""
        question = {
            "x": x, "weight": weight.numbers, "weight_scale": weight.scales, "bias": None,
            "out_dtype": x.dtype, "convrot": False, "convrot_groupsize": 256, "input_act": None,
        }  # fmt: skip
        name = self.library.registry.get_capable_backend("int8_linear", question)
        return f"comfy-kitchen {_version()}, {name}"

    def gain(self, inputs: int, outputs: int, dtype: torch.dtype, device: torch.device) -> Gain:
        """Time one product in int8 against the same one as it is, pair by pair.

        Args:
            inputs, outputs: of the linear layer.
            dtype: the numbers that the model computes in.
            device: where it computes.

        Raises:
            RuntimeError: the device cannot multiply in int8.
        """
        rows = ROWS
        if device.type == "cpu":
            rows = ROWS_ON_CPU
            outputs = min(outputs, max(MAX_ON_CPU // (rows * inputs), 1))
        # Every number in three forms of 32 bits on the way.
        numbers = inputs * (rows + outputs) + rows * outputs
        model_management.free_memory(12 * numbers, device)
        x, weight = _numbers(rows, inputs, dtype, device), _numbers(outputs, inputs, dtype, device)
        quantized = self.quantized(weight)
        backend = self.backend(x, quantized)
        ways: tuple[Callable[[], torch.Tensor], ...] = (
            lambda: linear(x, weight),
            lambda: self.multiply(x, quantized, None),
        )
        exact, found = (way().float() for way in ways)
        apart = ((found - exact).square().mean() / exact.square().mean()).sqrt().item()
        del exact, found
        ratio = _ratio(*ways)
        return Gain(ratio, apart, rows, inputs, outputs, plain(dtype), device.type, backend)


class Gain(NamedTuple):
    """What int8 gains in one product.

    Args:
        ratio: seconds as it is ÷ seconds in int8, median of the pairs.
        apart: root mean square of the difference ÷ that of the product.
        backend: what multiplied in int8.
    """

    ratio: float
    apart: float
    rows: int
    inputs: int
    outputs: int
    dtype: str
    device: str
    backend: str

    def __str__(self) -> str:
        return (
            f"{self.ratio:.2f} × as fast as {self.dtype} in a product of {self.rows} rows, "
            f"{self.inputs} x {self.outputs}, on {self.device} ({self.backend})"
        )


def _ratio(as_it_is: Callable[[], torch.Tensor], int8: Callable[[], torch.Tensor]) -> float:
    """The median of the ratios of pairs, the order swapped from pair to pair."""
    ratios: list[float] = []
    end = perf_counter() + SECONDS
    while len(ratios) < FEWEST or (len(ratios) < PAIRS and perf_counter() < end):
        if len(ratios) % 2:
            below, above = _seconds(int8), _seconds(as_it_is)
        else:
            above, below = _seconds(as_it_is), _seconds(int8)
        ratios.append(above / below)
    return statistics.median(ratios)


def _seconds(way: Callable[[], torch.Tensor]) -> float:
    start = perf_counter()
    # Reading a number waits for the device, on every sort of device.
    way()[-1, -1].item()
    return perf_counter() - start


def _numbers(rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Numbers without a pattern that matters, made without touching a generator; rows differ in
    size, as they do in models."""
    i = torch.arange(rows, device=device, dtype=torch.int32).unsqueeze(1)
    j = torch.arange(columns, device=device, dtype=torch.int32)
    return ((37 * i + 101 * j + i * j) % 251 - 125).mul(i % 7 + 1).to(dtype) / 1024


def _version() -> str:
    return version("comfy-kitchen")
