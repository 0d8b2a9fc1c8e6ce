"""How exactly PyTorch multiplies, for one run; and which numbers a model really is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from .op_counter import seen
from .setting import Setting, Watch, computes_in, goes_through_compiler, plain, require_one_of

UNCHANGED = "as it is"
PRODUCTS = {"float32 in full": "highest", "TF32": "high", "bfloat16": "medium"}
"""What float32 matrices are multiplied in, and what PyTorch calls it."""
SUMS = {"reduced": True, "in full": False}
"""Whether sums of half-precision products may be kept in half precision on the way."""

FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Precision(Setting):
    """Settings of PyTorch that are in force while a model samples.

    Args:
        products: of float32 matrices, one of `PRODUCTS`, or "as it is".
        sums: of half-precision matrices, one of `SUMS`, or "as it is".

    Raises:
        ConfigError: there is no such setting.
    """

    name: ClassVar[str] = "Precision"

    products: str = UNCHANGED
    sums: str = UNCHANGED

    def __post_init__(self) -> None:
        for value, known in ((self.products, PRODUCTS), (self.sums, SUMS)):
            problem = f"{self.name}: there is no precision {value!r}"
            require_one_of((UNCHANGED, *known), value, problem)

    @contextmanager
    def scope(self, guider: Any) -> Generator[Watch]:
        yield _Counting(self, guider.model_patcher)

    @contextmanager
    def in_force(self) -> Generator[None]:
        """PyTorch multiplies so inside of the block, in all threads."""
        before = _state()
        try:
            _set(PRODUCTS.get(self.products), SUMS.get(self.sums))
            yield
        finally:
            _restore(before)


class _Counting(Watch):
    """Listens to the first call of the model."""

    def __init__(self, setting: Precision, patcher: Any) -> None:
        self._setting, self._patcher = setting, patcher
        self._dtypes: Counter[torch.dtype] | None = None

    def change(self) -> AbstractContextManager[None] | None:
        is_changed = (self._setting.products, self._setting.sums) != (UNCHANGED, UNCHANGED)
        return self._setting.in_force() if is_changed else None

    def call(self, compute: Callable[[], Any], model: Any) -> Any:
        # What is compiled must not be listened to: it would be compiled once more.
        if self._dtypes is not None or goes_through_compiler(self._patcher.model_options):
            return compute()
        result, seeing = seen(compute)
        self._dtypes = seeing.dtypes
        return result

    def lines(self) -> list[str]:
        name = self._setting.name
        told = f"{name} (products {self._setting.products}, sums {self._setting.sums})"
        if not self._dtypes:
            return [f"{told}: what was multiplied could not be seen"]
        total = sum(self._dtypes.values())
        shares = (f"{100 * n / total:.0f} % {plain(d)}" for d, n in self._dtypes.most_common())
        return [f"{told}: of the first evaluation's products {', '.join(shares)}"]


def facts_on(model: Any) -> list[str]:
    """What a model is made of, and what would be faster where it runs; one line each.

    Args:
        model: the host's ``ModelPatcher``.
    """
    network: torch.nn.Module = model.model.diffusion_model
    device = torch.device(model.load_device)
    sizes: Counter[torch.dtype] = Counter()
    for weight in network.parameters():
        sizes[weight.dtype] += weight.nbytes
    total = max(sum(sizes.values()), 1)
    shares = ", ".join(f"{100 * n / total:.0f} % {plain(d)}" for d, n in sizes.most_common())
    computes = computes_in(model)
    lines = [
        f"weights: {shares} ({total / 2**20:.0f} MiB); the host computes in {plain(computes)} on "
        f"{_named(device)}"
    ]
    return lines + list(_advice(sizes, computes, device))


def _advice(
    sizes: Counter[torch.dtype], computes: torch.dtype, device: torch.device
) -> Iterator[str]:
    """Options of the loader that are faster here, by what the device has hardware for."""
    if device.type == "cpu":
        if computes in HALF:
            yield (
                f"on this processor ({torch.backends.cpu.get_cpu_capability()}) float32 may be "
                f"faster than {plain(computes)}: start ComfyUI with --fp32-unet and compare"
            )
        return
    if device.type != "cuda" or torch.version.hip is not None:
        return
    capability = torch.cuda.get_device_capability(device)
    if computes is torch.float32:
        better = "bfloat16 (--bf16-unet)" if capability >= (8, 0) else "float16 (--fp16-unet)"
        yield f"this device has faster hardware for {better} than for float32"
    if capability >= (8, 9) and not any(dtype in sizes for dtype in FP8):
        yield (
            "this device has hardware for 8-bit numbers: weight_dtype fp8_e4m3fn_fast in Load "
            "Diffusion Model may be faster still, and is less exact"
        )


def _state() -> tuple[Any, ...]:
    cuda = torch.backends.cuda.matmul
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        cuda.allow_fp16_reduced_precision_reduction,
        cuda.allow_bf16_reduced_precision_reduction,
    )


def _restore(state: tuple[Any, ...]) -> None:
    products, convolutions, half, brain = state
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = half
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = brain


def _set(products: str | None, is_reduced: bool | None) -> None:
    if products is not None:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = products != "highest"
    if is_reduced is not None:
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = is_reduced
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = is_reduced


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
