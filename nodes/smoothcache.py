"""Node "SmoothCache Schedule"."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from comfy_api.latest import io

from .. import pictures
from ..cache_core.calibration import By, Parts, Target
from ..cache_core.calibration.file import is_calibration
from ..cache_core.errors import ConfigError
from ..cache_core.methods import CalibratedSmoothCache, SmoothCache, UniformSmoothCache
from ..cache_core.methods.dit_xl import DIT_XL_SCHEDULES, dit_xl
from ..cache_core.methods.presets import FORA_SCHEDULES, fora, uniform
from ..cache_core.methods.smoothcache import ASSUMED_STEPS
from ..cache_core.schedule_file import read_bytes, read_schedule
from ..previews import library
from ..previews.cache import PreviewCache
from . import inputs
from .method_node import Inputs, MethodNode

BUILT_IN = (*FORA_SCHEDULES, *DIT_XL_SCHEDULES)

BY: dict[str, By] = {
    "the file's schedule": "saved",
    "threshold": "alpha",
    "speedup": "speedup",
    "quality": "quality",
}
"""What is on the node, and what it means to the core."""

PARTS: dict[str, Parts] = {
    "kinds of layers": "layers",
    "each layer": "each layer",
    "whole blocks": "blocks",
}


Scheduled = SmoothCache | UniformSmoothCache | CalibratedSmoothCache


class SmoothCacheSchedule(MethodNode):
    """Attaches a SmoothCache schedule to a model."""

    bold: ClassVar[Inputs] = {"schedule": "FORA: every 3rd step"}

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheSmoothCache",
            display_name=SmoothCache.name,
            category=inputs.CATEGORY,
            description=(
                "Computes and reuses whole kinds of layers by a schedule that was made for one "
                "model, sampler and number of steps, or by what SmoothCache Calibrate has "
                "measured. For almost every model. Paper: arXiv 2411.10510."
            ),
            search_aliases=["smooth cache"],
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input(
                    "schedule",
                    options=[*BUILT_IN, *library.names()],
                    default=next(iter(FORA_SCHEDULES)),
                    tooltip=(
                        "FORA: attention and feed-forward layers every 2nd or 3rd step, the "
                        "published baseline for any model. Whole blocks: far more is saved, above "
                        "all on models that fuse attention with other layers (Flux, "
                        "HunyuanVideo); what large models lose by it is not measured. DiT-XL/2: "
                        "what was published for that model and the steps in the name. The rest "
                        f"are .json files: calibrations in user/{library.USER_FOLDER}, and "
                        f"schedules of the authors' package in models/{library.FOLDER}."
                    ),
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=10000,
                    tooltip=(
                        "Built-in schedules only. 0: as many steps as the sampler runs. A number: "
                        "a schedule of that length, which has to equal the steps that are really "
                        "run; in any other run every step computes. Files bring their own."
                    ),
                ),
                *_wishes(),
            ],
            outputs=[
                io.Model.Output(),
                io.Image.Output(display_name="picture"),
                io.String.Output(display_name="text"),
            ],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def fingerprint_inputs(cls, schedule: str, **others: object) -> str:
        """Changes with the file, so that ComfyUI reads an edited one again."""
        if schedule in BUILT_IN:
            return ""
        return hashlib.sha256(read_bytes(library.path_of(schedule))).hexdigest()

    @classmethod
    def method(cls, *values: Any, **inputs: Any) -> Scheduled:
        return cls.previewed(PreviewCache(), *values, **inputs)

    @classmethod
    def previewed(
        cls,
        cache: PreviewCache,
        schedule: str,
        steps: int,
        choose_by: str = next(iter(BY)),
        threshold: float = 0.15,
        speedup: float = 1.5,
        quality: float = 0.98,
        lookahead: int = 3,
        parts: str = next(iter(PARTS)),
    ) -> Scheduled:
        by = BY[choose_by]
        value = {"alpha": threshold, "speedup": speedup, "quality": quality}.get(by, 0.0)
        try:
            target = Target(by, value, lookahead, PARTS[parts])
            return _method(cache, schedule, steps, target)
        except ConfigError as error:
            raise ConfigError(f"{SmoothCache.name}: {error}") from error

    @classmethod
    def execute(cls, model: io.Model.Type, *values: Any, **inputs: Any) -> io.NodeOutput:
        method = cls.method(*values, **inputs)
        return io.NodeOutput(cls.attach(model, method), _picture(method), _text(method))


def _wishes() -> list[io.Input]:
    """Optional, so that prompts saved before they existed still run."""
    return [
        io.Combo.Input(
            "choose_by",
            options=list(BY),
            default=next(iter(BY)),
            optional=True,
            tooltip=(
                "Calibrations only. the file's schedule: as it was saved. threshold: how much a "
                "layer may change and still be reused. speedup, quality: finds the threshold for "
                "you; the text says what to expect before you sample."
            ),
        ),
        io.Float.Input(
            "threshold",
            default=0.15,
            min=0.0,
            max=2.0,
            step=0.005,
            round=0.001,
            optional=True,
            tooltip=(
                "The paper's alpha: layers are reused while their output has changed by no more "
                "than this share. Higher is faster and less exact; published: 0.08 to 0.35."
            ),
        ),
        io.Float.Input(
            "speedup",
            default=1.5,
            min=1.0,
            max=10.0,
            step=0.05,
            round=0.01,
            optional=True,
            tooltip=(
                "Target speedup. Picks the schedule with the lowest predicted error that "
                "reaches it."
            ),
        ),
        io.Float.Input(
            "quality",
            default=0.98,
            min=0.5,
            max=1.0,
            step=0.001,
            round=0.0001,
            optional=True,
            tooltip=(
                "1 minus the predicted error of the model's output per step; 1 reuses nothing. "
                "The fastest schedule that keeps it is searched."
            ),
        ),
        io.Int.Input(
            "lookahead",
            default=3,
            min=1,
            max=20,
            optional=True,
            advanced=True,
            tooltip=(
                "Reuse at most so many steps in a row; published: 3, for videos 5. Without effect "
                "on the file's schedule and on what is no calibration."
            ),
        ),
        io.Combo.Input(
            "parts",
            options=list(PARTS),
            default=next(iter(PARTS)),
            optional=True,
            advanced=True,
            tooltip=(
                "Calibrations only. kinds of layers: all attention or feed-forward layers alike, "
                "as published. each layer: a schedule of its own for every layer, if calibrated "
                "so. whole blocks: saves most."
            ),
        ),
    ]


def _method(cache: PreviewCache, schedule: str, steps: int, target: Target) -> Scheduled:
    path = None if schedule in BUILT_IN else library.path_of(schedule)
    if path is not None and is_calibration(path):
        selector = cache.advisor(schedule).selector
        return CalibratedSmoothCache(selector.calibration, target, schedule, selector)
    if target.by != "saved":
        raise ConfigError(
            f"{schedule} is a schedule without measured errors, from which nothing can be chosen; "
            f"expected a calibration. Set choose_by to {next(iter(BY))!r}, or make a calibration "
            f"with SmoothCache Calibrate"
        )
    if schedule in FORA_SCHEDULES:
        return fora(schedule, steps) if steps else uniform(schedule)
    if schedule in DIT_XL_SCHEDULES:
        return dit_xl(schedule, steps)
    file = read_schedule(library.path_of(schedule))
    return SmoothCache(file.rows, schedule, notes=file.remarks)


def _picture(method: Scheduled) -> object:
    if isinstance(method, CalibratedSmoothCache):
        return pictures.to_image(pictures.draw(method.calibration, method.own_choice, method.label))
    if isinstance(method, UniformSmoothCache):
        label = f"{method.label}, here over {ASSUMED_STEPS} steps"
        return pictures.to_image(pictures.draw_schedule(method.over(ASSUMED_STEPS).rows, label))
    return pictures.to_image(pictures.draw_schedule(method.rows, method.label))


def _text(method: Scheduled) -> str:
    """What to expect, before sampling."""
    lines = [method.describe()]
    if method.prediction is not None:
        lines.append(f"predicted: {method.prediction}")
    return "\n".join([*lines, *method.notes])
