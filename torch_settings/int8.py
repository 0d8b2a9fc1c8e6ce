"""Linear layers in int8 while a model samples: rows of weights and tokens with scales of their own.

A weight is rounded once in a run, as it is patched; what is multiplied by it is rounded in every
call (`int8_kernel.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..cache_core.errors import ConfigError, UnsupportedModelError
from ..cache_core.host.intercept.module_swap import ModuleSwap
from .fusing import FusedProjections, projections_of
from .int8_kernel import MAX_APART, Gain, Kernel
from .int8_layers import Int8Layer, compiled_in, linears_of, size_of
from .setting import Setting, Watch, computes_in, goes_through_compiler, require_one_of, settings_in
from .weights import HOOKED, has_room, is_quantized

STOP, ANYWAY = "stop with a message", "int8 all the same"

SPARE = 2
"""So many times the memory of the weights in int8 has to be free before they are made."""

OUTSIDE = "they are not in attention or feed-forward, or steer them: kept exact"
NARROW = "they have fewer inputs or outputs than least_width"
COMPILED = "another node compiled them"
FUSED = "Fused Projections multiplies by them"
NO_ROOM = "there is too little free memory"

Gains = dict[tuple[Any, ...], Gain]


@dataclass(frozen=True, slots=True)
class DynamicInt8(Setting):
    """Linear layers of attention and feed-forward multiply in int8.

    Whether that is faster is measured before sampling, once for all clones of a clone, so that
    their runs never differ by it.

    Args:
        least_width: inputs and outputs that a layer has at least, from 1.
        without_gain: what to do where int8 is not faster, `STOP` or `ANYWAY`.
        gains: what was measured, by the product's size, numbers and device.

    Raises:
        ConfigError: a value is outside its range.
    """

    name: ClassVar[str] = "Dynamic Int8"
    keeps_tensors: ClassVar[bool] = True

    least_width: int = 512
    without_gain: str = STOP
    gains: Gains = field(default_factory=Gains, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.least_width < 1:
            raise ConfigError(
                f"{self.name}: least_width is {self.least_width}; expected 1 or more. Raise it"
            )
        problem = f"{self.name}: without_gain is {self.without_gain!r}"
        require_one_of((STOP, ANYWAY), self.without_gain, problem)

    def check(self, model: Any) -> None:
        self._refuse_compiled(model.model_options)
        Kernel.load(self.name)
        network: nn.Module = model.model.diffusion_model
        widths = [min(size_of(layer)) for layer in linears_of(network).values()]
        if not widths:
            raise UnsupportedModelError(
                f"{self.name}: no linear layers were found in attention or feed-forward of this "
                f"{type(network).__name__}: it is of no known family, or its file is quantized "
                f"already. Take this node out"
            )
        if max(widths) < self.least_width:
            raise ConfigError(
                f"{self.name}: least_width is {self.least_width}, and no layer of this "
                f"{type(network).__name__} has so many inputs and outputs; the widest has "
                f"{max(widths)}. Narrow layers hardly gain: take this node out, or lower "
                f"least_width"
            )

    @contextmanager
    def scope(self, guider: Any) -> Generator[Watch]:
        self._refuse_compiled(guider.model_options)
        watch = _Multiplying(self, guider)
        try:
            yield watch
        finally:
            watch.forget()

    def is_wide(self, layer: nn.Linear) -> bool:
        """Whether a layer is wide enough to gain."""
        return min(size_of(layer)) >= self.least_width

    def _refuse_compiled(self, model_options: Any) -> None:
        if goes_through_compiler(model_options):
            raise ConfigError(
                f"{self.name}: the model goes through TorchCompileModel, whose compiled code would "
                f"be built anew in every call; expected a model that is not compiled. Take one of "
                f"the two out"
            )


class _Multiplying(Watch):
    """The layers in int8 of one run, by network."""

    def __init__(self, setting: DynamicInt8, guider: Any) -> None:
        self._setting, self._patcher = setting, guider.model_patcher
        others = settings_in(guider.model_options)
        self._is_fusing = any(isinstance(each, FusedProjections) for each in others)
        self._kernel = Kernel.load(setting.name)
        self._layers: WeakKeyDictionary[nn.Module, list[Int8Layer]] = WeakKeyDictionary()
        self._left: Counter[str] = Counter()
        self._gain: Gain | None = None
        self._hooked = 0

    def begin(self) -> None:
        name = self._setting.name
        network: nn.Module = self._patcher.model.diffusion_model
        wide = filter(self._setting.is_wide, linears_of(network).values())
        sizes = [size_of(layer) for layer in wide if not _is_known_quantized(layer)]
        if not sizes:
            raise ConfigError(
                f"{name}: the weights of this {type(network).__name__} are quantized already; "
                f"expected float16, bfloat16 or float32. Load another file or weight_dtype, or "
                f"take this node out"
            )
        size = max(sizes, key=prod)
        device, dtype = torch.device(self._patcher.load_device), computes_in(self._patcher)
        known, key = self._setting.gains, (size, dtype, device)
        gain = self._gain = known.get(key) or self._measured(size, dtype, device)
        if gain.apart > MAX_APART:
            raise ConfigError(
                f"{name}: products in int8 are wrong on this device: {gain.apart:.0%} apart from "
                f"those in {gain.dtype}, and expected were at most {MAX_APART:.0%} "
                f"({gain.backend}). Take this node out"
            )
        if gain.ratio <= 1 and self._setting.without_gain == STOP:
            raise ConfigError(
                f"{name}: nothing is gained here: int8 was {gain}; expected was more than 1.00. "
                f"Take this node out, or set without_gain to {ANYWAY!r} to see the picture"
            )
        # What was refused is measured anew: the device may have been busy.
        known[key] = gain

    def call(self, compute: Callable[[], Any], model: Any) -> Any:
        patcher = model.current_patcher
        if getattr(patcher, "current_hooks", None) is not None:
            self._hooked += 1
            return compute()
        network: nn.Module = model.diffusion_model
        if network not in self._layers:
            device = getattr(patcher, "load_device", self._patcher.load_device)
            self._layers[network] = self._found(network, device)
        with ModuleSwap() as swap:
            for layer in self._layers[network]:
                layer.swap(swap)
            return compute()

    def lines(self) -> list[str]:
        name = self._setting.name
        layers = [layer for found in self._layers.values() for layer in found]
        weights = [layer.weight for layer in layers if layer.weight is not None]
        left = self._left + Counter(layer.left for layer in layers if layer.weight is None)
        size = sum(weight.nbytes for weight in weights) / 2**20
        first = f"{name}: {len(weights)} linear layers in int8, {size:.1f} MiB beside the weights"
        if not weights:
            first = f"{name}: nothing could be computed in int8, the model ran as it is"
        lines = [first, f"{name}: int8 by itself was {self._gain}"]
        if self._hooked:
            lines.append(f"{name}: {self._hooked} calls ran as they are: {HOOKED}")
        return lines + [f"{name}: {n} left as they are: {why}" for why, n in left.items()]

    def forget(self) -> None:
        """Drop the weights in int8."""
        self._layers.clear()

    def _measured(self, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Gain:
        try:
            return self._kernel.gain(*size, dtype, device)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{self._setting.name}: multiplying in int8 failed on {device.type} ({error}); "
                f"expected was a device that can. Take this node out"
            ) from error

    def _found(self, network: nn.Module, device: torch.device) -> list[Int8Layer]:
        """The layers of a network that is loaded, when it is met for the first time."""
        compiled = set(compiled_in(network))
        network = getattr(network, "_orig_mod", network)
        chosen = set(linears_of(network).values())
        fused = {layer for group in projections_of(network) for layer in group}
        layers: list[Int8Layer] = []
        for module in (each for each in network.modules() if isinstance(each, nn.Linear)):
            if module in compiled:
                self._left[COMPILED] += 1
            elif module not in chosen:
                self._left[OUTSIDE] += 1
            elif not self._setting.is_wide(module):
                self._left[NARROW] += 1
            elif self._is_fusing and module in fused:
                self._left[FUSED] += 1
            else:
                layers.append(Int8Layer(module, self._kernel))
        needed = SPARE * sum(prod(size_of(layer.module)) for layer in layers)
        if not has_room(device, needed):
            self._left[NO_ROOM] += len(layers)
            return []
        return layers


def _is_known_quantized(layer: nn.Linear) -> bool:
    """Whether a layer's weights are seen to be quantized; not before they are loaded."""
    weight: torch.Tensor | None = layer.weight
    return weight is not None and is_quantized(layer)
