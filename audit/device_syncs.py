"""Where a program waits for the device, with the line that asks for it."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ..torch_settings import op_counter

HOST = Path(inspect.getfile(comfy.model_management)).resolve().parents[1]
NOT_SHOWN = (
    str(Path(torch.__file__).parent),
    op_counter.__file__,
    *(str(Path(__file__).with_name(name)) for name in (
        "device_syncs.py", "op_trace.py", "block_lists.py", "run_probe.py"
    )),
)  # fmt: skip
"""Beginnings of the files that pass a call on."""

READS = {
    "aten.item": "reads a number",
    "aten._local_scalar_dense": "reads a number",
    "aten.is_nonzero": "decides by a number",
    "aten.equal": "compares tensors",
    "aten.nonzero": "looks for what is not zero",
    "aten.nonzero_numpy": "looks for what is not zero",
    "aten.where.default": "looks for what is not zero",
    "aten.masked_select": "picks by a mask",
    "aten._unique2": "looks for what is unique",
    "aten.unique_dim": "looks for what is unique",
    "aten.unique_consecutive": "looks for what is unique",
    "aten.repeat_interleave.Tensor": "repeats by a tensor",
}
"""Operators whose answer the program has to have before it can go on."""
PICKS = ("aten.index.Tensor", "aten.index_put", "aten._index_put_impl")
COPIES = ("aten.to.", "aten._to_copy", "aten.copy_")
TAKES = {torch.Tensor.cpu: "copies to the CPU", torch.Tensor.tolist: "reads numbers"}
"""Methods that do nothing where everything is on the CPU, and would wait anywhere else."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A place at which the program waits.

    Args:
        what: it does, in words.
        line: file and number of the line; files of the host begin at its folder.
        is_in_model: whether it is in a call of the model, or between them.
    """

    what: str
    line: str
    is_in_model: bool


class Waiting(TorchDispatchMode):
    """Hears waits while it `is_on`. On a machine without a GPU: where one would be waited for.

    Args:
        device: where the model runs. What is on the CPU beside it is not waited for.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self.is_on = False
        self.is_in_model = False
        self.found: Counter[Wait] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.is_on:
            what = self._heard(func, args, kwargs or {}, result)
            if what is not None:
                self.note(what)
        return result

    def note(self, what: str) -> None:
        """Write a wait of the calling line down."""
        self.found[Wait(what, _line(), self.is_in_model)] += 1

    def _heard(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> str | None:
        name, given = str(func), args[0] if args else None
        if not isinstance(given, torch.Tensor):
            return None
        if name.startswith(COPIES):
            source = args[1] if name.startswith("aten.copy_") and len(args) > 1 else given
            target = given if name.startswith("aten.copy_") else result
            return _copied(source, target, _is_left_running(func, args, kwargs))
        if given.device.type != self._device.type:
            return None
        if name.startswith(PICKS):
            masks = (each for each in args[1] if isinstance(each, torch.Tensor))
            return "picks by a mask" if any(m.dtype is torch.bool for m in masks) else None
        return next((what for start, what in READS.items() if _is(name, start)), None)


class Taking(TorchFunctionMode):
    """Hears, on a machine without a GPU, what would be taken from one.

    Args:
        waiting: takes in what is heard.
    """

    def __init__(self, waiting: Waiting) -> None:
        super().__init__()
        self._waiting = waiting

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if self._waiting.is_on:
            what = TAKES.get(func) if func in TAKES else None
            # A device that is asked for by name is another one where the model's is not the CPU.
            if func is torch.Tensor.to and len(args) > 1 and args[1] == "cpu":
                what = TAKES[torch.Tensor.cpu]
            if what is not None:
                self._waiting.note(what)
        return func(*args, **(kwargs or {}))


def _copied(source: Any, target: Any, is_left_running: bool) -> str | None:
    """Copies between the device and the CPU are waited for, unless asked not to be."""
    if is_left_running or not isinstance(source, torch.Tensor):
        return None
    places = source.device.type, target.device.type
    if places[0] == places[1] or "cpu" not in places:
        return None
    return "copies to the CPU" if places[1] == "cpu" else "copies to the device"


def _is_left_running(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a copy was asked not to be waited for, by name or by position."""
    names = [argument.name for argument in func._schema.arguments]
    place = names.index("non_blocking")
    return bool(args[place] if place < len(args) else kwargs.get("non_blocking", False))


def _is(name: str, start: str) -> bool:
    """Whether an operator, with the name of its overload, is the one that is meant."""
    return name == start or name.startswith(f"{start}.")


def _line() -> str:
    """The innermost line that is neither PyTorch's nor ours."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(NOT_SHOWN):
        frame = frame.f_back
    path = Path(frame.f_code.co_filename).resolve()
    shown = path.relative_to(HOST) if path.is_relative_to(HOST) else Path(*path.parts[-3:])
    return f"{shown.as_posix()}:{frame.f_lineno}"
