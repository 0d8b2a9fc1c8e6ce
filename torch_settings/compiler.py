"""torch.compile: whether it works here, how it is set for a run, and what it did in it.

Importing it costs seconds, so nothing here does before a run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

INDUCTOR = "inductor"
DYNAMIC = {"auto": None, "on": True, "off": False}
"""Whether sizes are left open in what is compiled, and what PyTorch calls it."""

MAX_GRAPHS = 64
"""Of one class. A UNet has one for every width and every sort of block; PyTorch stops at 8."""

SOFT = ("Unsupported", "UserError", "SkipFrame")
"""PyTorch cannot trace this, and leaves it as it is; it is told as a break, not as a failure."""

DIVIDING = ("attention_sub_quad", "attention_split")
"""The host's attention that divides its work by the memory that is free."""

OLDEST_GPU = (7, 0)

Forward = Callable[..., Any]


def hindrance(device: torch.device) -> str | None:
    """Why nothing can be compiled for a device, in words; None if it can."""
    if not _is_recent():
        return f"PyTorch {torch.__version__} is too old; update it"
    if device.type == "cpu":
        return _without_compiler()
    if device.type != "cuda":
        return f"torch.compile was never tried on {device.type} by this pack"
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < OLDEST_GPU:
        return f"{torch.cuda.get_device_name(device)} is older than what Triton compiles for"
    from torch.utils._triton import has_triton

    if not has_triton():
        return "there is no Triton, which compiles for GPUs (on Windows: triton-windows)"
    return None


def _is_recent() -> bool:
    """Whether torch.compile can be set, and asked what it did, as is done here."""
    config, utils = _dynamo().config, _dynamo().utils
    has_reasons = "recompile_reason" in utils.CompilationMetrics.__dataclass_fields__
    return has_reasons and all(
        (hasattr(config, "recompile_limit"), hasattr(utils, "graph_break_reasons"))
    )


def _without_compiler() -> str | None:
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        return f"there is no C++ compiler, which compiles for processors ({said})"
    return None


@contextmanager
def settings(dynamic: str) -> Generator[None]:
    """Settings of torch.compile that are in force inside of the block.

    Args:
        dynamic: one of `DYNAMIC`. With "on", sizes that are equal by chance are not taken to be
            equal for good.
    """
    from torch.fx.experimental import _config

    shapes: Any = _config  # its `patch` is made when it is loaded

    with ExitStack() as stack:
        # What cannot be compiled runs as it is: half a block that ran must never run once more,
        # because some blocks write into what they are given.
        stack.enter_context(
            _dynamo().config.patch(suppress_errors=True, recompile_limit=MAX_GRAPHS)
        )
        if DYNAMIC[dynamic]:
            stack.enter_context(shapes.patch(use_duck_shape=False))
        yield


def compiled(forward: Forward, backend: str | Forward, dynamic: str) -> Forward:
    """The forward of a class, compiled when it is called.

    PyTorch keeps what it compiled with the code of the forward: all blocks of a class share it, and
    so do all runs.
    """
    return torch.compile(forward, backend=backend, dynamic=DYNAMIC[dynamic])


def forget(forward: Forward) -> None:
    """Drop what was compiled of a forward, and that PyTorch is not to try it any more."""
    _dynamo().reset_code(forward.__code__)


def is_listened_to() -> bool:
    """Whether something listens to operators; it would hear of what is compiled only once."""
    from torch.utils._python_dispatch import is_in_torch_dispatch_mode

    return is_in_torch_dispatch_mode(include_infra_modes=False)


@cache
def untraced(function: Forward) -> Forward:
    """The same function, called by what is compiled instead of being compiled into it.

    One for all runs, because what is compiled asks for this very object.
    """
    return torch.compiler.disable(function)


@dataclass(frozen=True, slots=True)
class Compilation:
    """One piece of code that PyTorch compiled, or failed to.

    Args:
        again: why, where the same piece had been compiled before.
        failure: why it could not be.
    """

    again: str | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Break:
    """A place at which a graph ended early.

    Args:
        place: file, line and reason.
        is_by_memory: whether it is in attention that asks how much memory is free, which would be
            compiled anew whenever that changes.
    """

    place: str
    is_by_memory: bool


class Log:
    """What PyTorch compiled since it was made or last asked."""

    def __init__(self) -> None:
        utils = _dynamo().utils
        self._counters, self._breaks = utils.counters, utils.graph_break_reasons
        self._metrics = utils.get_compilation_metrics
        self._told = {self._key(each) for each in self._metrics()}
        self._heard = len(self._breaks)

    @property
    def tried(self) -> int:
        """So many pieces of code were ever tried."""
        return self._counters["frames"]["total"]

    def compilations(self) -> list[Compilation]:
        """What is new."""
        new = [each for each in self._metrics() if self._key(each) not in self._told]
        self._told = {self._key(each) for each in self._metrics()}
        return [_compilation(each) for each in new]

    def breaks(self) -> list[Break]:
        """Where graphs ended early; what is new."""
        # Somebody may have had the list emptied.
        start = self._heard if self._heard <= len(self._breaks) else 0
        new, self._heard = self._breaks[start:], len(self._breaks)
        return [_break(each) for each in new]

    @staticmethod
    def _key(metric: Any) -> tuple[Any, ...]:
        return metric.compile_id, metric.start_time_us


def _compilation(metric: Any) -> Compilation:
    failed = metric.fail_type is not None and metric.fail_type not in SOFT
    # PyTorch names the backend first, and in the next line what it said.
    reason = " ".join((metric.fail_reason or metric.fail_type or "").split("\n")[:2])
    again = metric.recompile_reason
    return Compilation(_without_number(again) if again else None, reason if failed else None)


def _break(reason: Any) -> Break:
    frame = reason.user_stack[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}: {_first_line(reason.reason)}"
    return Break(place, any(each.name in DIVIDING for each in reason.user_stack))


def _without_number(reason: str) -> str:
    """A reason without that of the guard before it, and advice on settings behind it."""
    return _first_line(reason).split(": ", 1)[-1].split(". Guard failed on")[0]


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _dynamo() -> Any:
    import torch._dynamo

    return torch._dynamo
