"""Which of PyTorch's backends computes scaled dot-product attention."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial, wraps
from threading import RLock
from typing import Any, ClassVar, NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from ..cache_core.errors import ConfigError
from ..cache_core.host.intercept.attention import OVERRIDE
from ..cache_core.host.intercept.module_swap import ModuleSwap
from ..cache_core.host.settings_lock import SETTINGS_LOCK
from .op_counter import seen
from .setting import Setting, Watch, computes_in, plain, require_one_of

AUTO = "auto"
BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
"""What can be asked for, and what PyTorch calls it. With "auto" PyTorch chooses."""

EXACT = frozenset({
    "attention_basic", "attention_sub_quad", "attention_split", "attention_pytorch"
})  # fmt: skip
"""The host's own ways to compute it, any of which PyTorch's stands in for. Sage attention and other
packages, chosen when ComfyUI was started, stay."""

NO_KERNEL = ("No available kernel", "No viable backend")
"""How PyTorch begins to say that a backend cannot do what is asked of it."""

MAX_ROWS = 2**15
"""Of a batch; kernels count them in 16 bits. The host divides larger ones."""

Attend = Callable[..., torch.Tensor]


@dataclass(frozen=True, slots=True)
class AttentionBackend(Setting):
    """Attention by one backend of PyTorch, where it can.

    Args:
        backend: one of `BACKENDS`, or "auto".

    Raises:
        ConfigError: there is no such backend.
    """

    name: ClassVar[str] = "Attention Backend"

    backend: str

    def __post_init__(self) -> None:
        problem = f"{self.name}: there is no backend {self.backend!r}"
        require_one_of((AUTO, *BACKENDS), self.backend, problem)

    @contextmanager
    def scope(self, guider: Any) -> Generator[Watch]:
        patcher = guider.model_patcher
        with SETTINGS_LOCK.take(object(), nullcontext):
            self._check(torch.device(patcher.load_device), computes_in(patcher))
        options: dict[str, Any] = guider.model_options["transformer_options"]
        watch = _Attending(self, options.get(OVERRIDE))
        with ModuleSwap() as swap:
            swap.set(options, OVERRIDE, watch.attend)
            yield watch

    def selected(self) -> AbstractContextManager[Any]:
        """PyTorch uses only this backend inside of the block."""
        return nullcontext() if self.backend == AUTO else sdpa_kernel([BACKENDS[self.backend]])

    def _check(self, device: torch.device, dtype: torch.dtype) -> None:
        """Try it on the smallest attention there is.

        Raises:
            ConfigError: the device cannot do it with numbers of this sort.
        """
        reason = _refusal(self, device, dtype)
        if reason is None:
            return
        others = (AttentionBackend(name) for name in BACKENDS if name != self.backend)
        able = [each.backend for each in others if _refusal(each, device, dtype) is None]
        raise ConfigError(
            f"{self.name}: {self.backend} attention does not work on {device.type} with "
            f"{plain(dtype)} ({reason}); what does is {', '.join((AUTO, *able))}. Choose one of "
            f"those, or load the model with another weight_dtype"
        )


class Asked(NamedTuple):
    """Attention calls of one shape."""

    queries: int
    keys: int
    rows: int
    heads: int
    width: int
    dtype: torch.dtype
    is_masked: bool

    @property
    def numbers(self) -> str:
        """Their sort, for a person, and whether some are masked."""
        return f"{plain(self.dtype)}, masked" if self.is_masked else plain(self.dtype)


class _Attending(Watch):
    """Attention of one run, and what computed it."""

    def __init__(self, setting: AttentionBackend, other: Attend | None) -> None:
        self._setting, self._other = setting, other
        self._ran: dict[Asked, str] = {}
        self._refused: dict[Asked, str] = {}
        self._calls: Counter[Asked | str] = Counter()
        # The host calls the model from one thread per device.
        self._selecting = RLock()

    def change(self) -> AbstractContextManager[None] | None:
        # Nobody else may attend while backends are selected: that is done in every attention.
        return None if self._setting.backend == AUTO else nullcontext()

    def attend(self, host: Attend, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Stands in for the host's function; what another node put there goes first."""
        ours = wraps(host)(partial(self._attend, host))
        return self._other(ours, *args, **kwargs) if self._other else ours(*args, **kwargs)

    def _attend(
        self,
        host: Attend,
        q: Any,
        k: Any,
        v: Any,
        heads: int,
        mask: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        if host.__name__ not in EXACT or len(q) > MAX_ROWS:
            self._calls[host.__name__] += 1
            return host(q, k, v, heads, mask, *args, **kwargs)
        compute = partial(_attention, q, k, v, heads, mask, **kwargs)
        if torch.compiler.is_compiling():
            with self._setting.selected():
                return compute()
        asked = _asked(q, k, heads, mask, kwargs.get("skip_reshape", False))
        self._calls[asked] += 1
        if asked in self._refused:
            return compute()
        with self._selecting, self._setting.selected():
            if asked in self._ran:
                return compute()
            try:
                return _heard(compute, self._ran, asked)
            except RuntimeError as error:
                if not str(error).startswith(NO_KERNEL):
                    raise
        return _heard(compute, self._refused, asked)

    def lines(self) -> list[str]:
        name = f"{self._setting.name} ({self._setting.backend})"
        lines = [self._told(name, asked, n) for asked, n in self._calls.items()]
        if self._other is not None:
            lines.append(f"{name}: another node takes attention over first; the rest is ours")
        return lines or [
            f"{name}: no attention of this model came by, or it ran inside of compiled code, "
            f"where nothing is counted"
        ]

    def _told(self, name: str, asked: Asked | str, calls: int) -> str:
        # Whole sentences, for other languages.
        if isinstance(asked, str):
            return f"{name}: {asked.removeprefix('attention_')} attention stayed, {calls} calls"
        queries, keys, rows, heads, width, *_ = asked
        if asked in self._refused:
            return (
                f"{name}: {queries} queries, {keys} keys, {rows} x {heads} heads of {width}, "
                f"{asked.numbers}: {self._refused[asked]}, because {self._setting.backend} cannot "
                f"do it, {calls} calls"
            )
        return (
            f"{name}: {queries} queries, {keys} keys, {rows} x {heads} heads of {width}, "
            f"{asked.numbers}: {self._ran.get(asked, 'unknown')}, {calls} calls"
        )


def attended_anew(
    host: Attend,
    q: Any,
    k: Any,
    v: Any,
    heads: int,
    mask: Any = None,
    *args: Any,
    **kwargs: Any,
) -> torch.Tensor:
    """Stands in for the host's function in compiled code: those that ask for free memory on their
    way cannot be compiled, and PyTorch's can."""
    if host.__name__ in EXACT and host.__name__ != "attention_pytorch" and len(q) <= MAX_ROWS:
        return _attention(q, k, v, heads, mask, **kwargs)
    return host(q, k, v, heads, mask, *args, **kwargs)


def _attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    heads: int,
    mask: torch.Tensor | None = None,
    *,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    **_: Any,
) -> torch.Tensor:
    """The host's question to PyTorch's attention. Its own answer selects backends anew.

    Shapes: q (batch, tokens, heads × width), or (batch, heads, tokens, width) with skip_reshape;
    the output likewise with skip_output_reshape.
    """
    if not skip_reshape:
        width = q.shape[-1] // heads
        # Some blocks have divided keys and values into heads already.
        q, k, v = (t.reshape(*t.shape[:2], -1, width).transpose(1, 2) for t in (q, k, v))
    if mask is not None and mask.ndim < 4:
        mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
        mask = mask.unsqueeze(1)
    output = scaled_dot_product_attention(q, k, v, mask, scale=scale, enable_gqa=enable_gqa)
    return output if skip_output_reshape else output.transpose(1, 2).flatten(2)


def _heard(
    compute: Callable[[], torch.Tensor], told: dict[Asked, str], asked: Asked
) -> torch.Tensor:
    """Compute, and write down what did it."""
    output, seeing = seen(compute)
    told[asked] = seeing.attention or "unknown"
    return output


def _asked(q: Any, k: Any, heads: int, mask: Any, has_heads: bool) -> Asked:
    width = q.shape[-1] if has_heads else q.shape[-1] // heads
    tokens = 2 if has_heads else 1
    return Asked(q.shape[tokens], k.shape[tokens], len(q), heads, width, q.dtype, mask is not None)


def _refusal(setting: AttentionBackend, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a backend cannot be used at all, in PyTorch's words; None if it can."""
    q = torch.zeros(1, 1, 16, 64, device=device, dtype=dtype)
    with warnings.catch_warnings(record=True) as reasons:
        warnings.simplefilter("always")
        try:
            with setting.selected():
                scaled_dot_product_attention(q, q, q)
        except RuntimeError as error:
            if not str(error).startswith(NO_KERNEL):
                raise
            said = [str(each.message).split(" (Triggered")[0] for each in reasons]
            return "; ".join(said) or "it has no such kernel"
    return None
