"""Calibrating runs of toys, and what is left of them."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import folder_paths
import host
import torch
import toys
from clocks import counted_time
from observe import report_of
from stepcache.cache_core.calibration import Calibration, Study
from stepcache.cache_core.calibration.recorder import Recorder
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import Calibrate
from stepcache.cache_core.report import Report
from stepcache.nodes.smoothcache import SmoothCacheSchedule
from stepcache.nodes.smoothcache_calibrate import SmoothCacheCalibrate
from stepcache.nodes.step_cache_advisor import StepCacheAdvisor
from stepcache.previews import library

STEPS = 10
"""The fewest at which it is probed how much changes matter."""

NAME, FILE, NODE_STEPS = "wan", "mine.json", 12
"""What the nodes calibrate, the file they make of it, and the steps of these runs."""


@dataclass
class Delivered:
    """Where a calibrating run puts what it measured."""

    all: list[Calibration] = field(default_factory=list)

    def __call__(self, calibration: Calibration) -> tuple[Calibration, tuple[str, ...]]:
        self.all.append(calibration)
        return calibration, ("delivered",)


@dataclass(frozen=True)
class Calibrated:
    """What came of a calibrating run.

    Args:
        picture: the latents.
        patched: the model that was sampled.
        report: of the run.
        found: what was measured, None where nothing was.
    """

    picture: torch.Tensor
    patched: Any
    report: Report
    found: Calibration | None

    @property
    def notes(self) -> str:
        return "\n".join(self.report.notes)

    @property
    def calibration(self) -> Calibration:
        assert self.found is not None, self.notes
        return self.found


def calibrate(
    name: str,
    model: Any = None,
    run: Callable[[Any], torch.Tensor] | None = None,
    study: dict[str, Any] | None = None,
    **options: Any,
) -> Calibrated:
    """Sample a toy with SmoothCache Calibrate attached; its costs are counted.

    Args:
        model: another model than the toy's own.
        run: samples it in another way.
        study: what is asked for besides the defaults.
        options: of the run.
    """
    delivered = Delivered()
    patched = attach(model or toys.load(name), Calibrate(Study(delivered, **(study or {}))))
    with counted_time():
        picture = run(patched) if run else toys.sample(patched, name, **{"steps": STEPS, **options})
    assert len(delivered.all) <= 1
    return Calibrated(picture, patched, report_of(patched), next(iter(delivered.all), None))


def recorders() -> int:
    """Recorders that are alive in this process, each with the values that it compares."""
    gc.collect()
    return sum(type(obj) is Recorder for obj in gc.get_objects())


@contextmanager
def second_installation(root: Path) -> Iterator[Path]:
    """Let the host have other folders, in which nothing lies yet, and register ours there.

    Yields:
        ComfyUI's user folder for calibrations, which does not exist yet.
    """
    registered = folder_paths.folder_names_and_paths
    before = registered.pop(library.FOLDER), folder_paths.models_dir, folder_paths.user_directory
    folder_paths.models_dir, folder_paths.user_directory = str(root / "models"), str(root / "user")
    importlib.reload(library)
    folder_paths.filename_list_cache.pop(library.FOLDER, None)
    try:
        yield library.user_folder()
    finally:
        registered[library.FOLDER], folder_paths.models_dir, folder_paths.user_directory = before
        folder_paths.filename_list_cache.pop(library.FOLDER, None)


def calibrate_node(model: Any, name: str = "mine", **inputs: Any) -> Any:
    """The model that leaves the node SmoothCache Calibrate."""
    widgets: list[Any] = SmoothCacheCalibrate.define_schema().inputs[1:]
    defaults = {widget.id: widget.default for widget in widgets}
    made = SmoothCacheCalibrate.execute(model, **{**defaults, "name": name, **inputs})
    return host.outputs_of(made)[0]


def calibrate_to_file(name: str = NAME, **inputs: Any) -> Any:
    """Sample a toy with the node SmoothCache Calibrate, which writes FILE."""
    patched = calibrate_node(toys.load(name), **inputs)
    with counted_time():
        toys.sample(patched, name, steps=NODE_STEPS)
    return patched


def schedule_node(name: str = NAME, **inputs: Any) -> Any:
    """What the node SmoothCache Schedule returns for FILE."""
    return SmoothCacheSchedule.execute(toys.load(name), **{"schedule": FILE, "steps": 20, **inputs})


def advisor_node(speedup: float = 1.3, **inputs: Any) -> Any:
    """What the node Step Cache Advisor returns for FILE."""
    return StepCacheAdvisor.execute(
        toys.load(NAME), **{"calibration": FILE, **inputs}, speedup=speedup
    )


def listed_files() -> tuple[list[str], list[str]]:
    """What may be chosen on SmoothCache Schedule and on Step Cache Advisor."""
    choices: list[Any] = [
        node.define_schema().inputs[1] for node in (SmoothCacheSchedule, StepCacheAdvisor)
    ]
    return choices[0].options, choices[1].options
