"""Measures cells, one after the other. See README.md beside this file."""

from __future__ import annotations

import gc
import hashlib
import platform
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import comfy.model_management
import host
import observe
import torch
from stepcache import torch_settings
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attached
from stepcache.cache_core.version import VERSION

from . import measure, models
from .matrix import Cell, Model
from .parts import METHODS, part, with_parts
from .record import Record, Row

PACK = Path(__file__).resolve().parents[1]
SOURCES = ("cache_core", "torch_settings")
MEASURING = ("matrix", "measure", "models", "parts", "running")
"""Folders, and files beside this one, whose code numbers depend on."""


def has_cuda() -> bool:
    """Whether there is a device for the full matrix."""
    return torch.cuda.is_available()


def conditions() -> dict[str, Any]:
    """Hardware and versions; what numbers of two machines or versions differ in."""
    device = torch.cuda.get_device_name() if has_cuda() else "CPU"
    return {
        "device": device,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ComfyUI": host.version(),
        "Step Cache": VERSION,
        "code": _digest(),
    }


class Subject:
    """A model at one size and batch, and what is the same in all of its cells."""

    def __init__(self, cell: Cell) -> None:
        self.steps = cell.model.steps
        self.point = _point(cell)
        self.bench = make(cell.model).at(cell.size.latent, cell.batch)

    @cached_property
    def flops(self) -> int:
        """Of a plain run."""
        return self._flops(self.bench.model)

    def row(self, cell: Cell, pairs: int) -> Row:
        """Everything that is measured of a cell, or the words in which it is refused."""
        row: Row = {
            "model": cell.name, "title": cell.model.title, "size": str(cell.size),
            "batch": cell.batch, "steps": self.steps, "row": cell.row, "parts": cell.parts,
        }  # fmt: skip
        try:
            patched = with_parts(self.bench.model, cell.parts, self.steps)
            row |= self._compared(patched, pairs)
        except StepCacheError as error:
            return {**row, "refused": str(error)}
        except torch.OutOfMemoryError:
            return {**row, "refused": "the device has too little memory for this cell"}
        if attached(patched):
            row["flop_bound"] = round(self._bound(cell.parts), 4)
            row["kept_bytes"] = observe.report_of(patched).peak_nbytes
        told = torch_settings.told_by(patched)
        return {**row, "told": list(told)} if told else row

    def _compared(self, patched: Any, pairs: int) -> Row:
        pictures: dict[str, torch.Tensor] = {}

        def draw(name: str, model: Any) -> None:
            pictures[name] = self._run(model)

        ratio = measure.paired(
            lambda: draw("plain", self.bench.model), lambda: draw("patched", patched), pairs
        )
        plain = pictures["plain"]
        apart = (pictures["patched"] - plain).abs().max() / plain.abs().max()
        return {
            "speedup": ratio.to_dict(),
            "is_bit_identical": torch.equal(pictures["patched"], plain),
            "greatest_difference": float(f"{float(apart):.3g}"),
        }

    def _bound(self, parts: tuple[str, ...]) -> float:
        """FLOPs of a plain run ÷ those with the methods alone: settings do the same arithmetic."""
        methods = tuple(name for name in parts if name in METHODS)
        return self.flops / self._flops(with_parts(self.bench.model, methods, self.steps))

    def _flops(self, model: Any) -> int:
        return sum(observe.flops_per_evaluation(model, self._run))

    def _run(self, model: Any) -> torch.Tensor:
        return self.bench.sample(model, self.steps)


def make(model: Model, **more: Any) -> models.Bench:
    """The network of a model, at its first size."""
    return getattr(models, model.make)(**model.arguments, **more)


def run(cells: Iterable[Cell], record: Record, pairs: int) -> None:
    """Measure the cells that a record lacks; each is kept as soon as it is done.

    Args:
        pairs: timed pairs a cell.
    """
    every = list(cells)
    missing = [cell for cell in every if not record.has(cell.key, pairs)]
    print(f"{len(every)} cells, {len(every) - len(missing)} of them done", flush=True)
    subject: Subject | None = None
    for number, cell in enumerate(missing, 1):
        print(f"[{number}/{len(missing)}] {cell.key}", flush=True)
        if subject is None or subject.point != _point(cell):
            subject = None
            _tidy()
            subject = Subject(cell)
        started = time.perf_counter()
        row = subject.row(cell, pairs)
        row["seconds"] = round(time.perf_counter() - started, 1)
        row["attached"] = [str(_told(name, subject.steps)) for name in cell.parts]
        record.add(cell.key, row)
        print(f"    {_result(row)}", flush=True)


def _told(name: str, steps: int) -> Any:
    each = part(name, steps)
    return each if isinstance(each, torch_settings.Setting) else each.describe()


def _result(row: Row) -> str:
    if "refused" in row:
        return f"refused: {row['refused']}"
    speedup = row["speedup"]
    return (
        f"{speedup['median']:.3f}× ({speedup['lowest']:.3f} to {speedup['highest']:.3f}), "
        f"{row['seconds']:.0f} s in all"
    )


def _point(cell: Cell) -> tuple[Any, ...]:
    return cell.name, cell.size, cell.batch


def _tidy() -> None:
    """Room for the next model, which may be as large as the device."""
    comfy.model_management.unload_all_models()
    gc.collect()
    comfy.model_management.soft_empty_cache()
    # PyTorch compiles a function for a limited number of models only.
    torch.compiler.reset()


def _processor() -> str:
    """What the processor calls itself, where the system tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _digest() -> str:
    """Of the code that was measured and that measured."""
    found = hashlib.sha256()
    own = [Path(__file__).with_name(f"{name}.py") for name in MEASURING]
    paths = [path for folder in SOURCES for path in sorted((PACK / folder).rglob("*.py"))]
    for path in (*paths, *own):
        found.update(path.relative_to(PACK).as_posix().encode())
        # Read as text: line ends are the checkout's.
        found.update(path.read_text(encoding="utf-8").encode())
    return found.hexdigest()[:12]
