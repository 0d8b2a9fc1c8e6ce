"""Node "SmoothCache Schedule"."""

from __future__ import annotations

import hashlib
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..cache_core.errors import ConfigError
from ..cache_core.methods import SmoothCache
from ..cache_core.methods.presets import FORA_SCHEDULES, fora
from ..cache_core.patching import attach
from ..cache_core.schedule_file import read_bytes, read_schedule
from . import inputs

FOLDER = "smoothcache"
SUFFIX = ".json"

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


class SmoothCacheSchedule(io.ComfyNode):
    """Attaches a SmoothCache schedule to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        files = [f for f in folder_paths.get_filename_list(FOLDER) if f.lower().endswith(SUFFIX)]
        return io.Schema(
            node_id="StepCacheSmoothCache",
            display_name=SmoothCache.name,
            category=inputs.CATEGORY,
            description=(
                "Computes and reuses whole kinds of layers by a schedule that was made for one "
                "model, sampler and number of steps. For almost every model. Paper: arXiv "
                "2411.10510."
            ),
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input(
                    "schedule",
                    options=[*FORA_SCHEDULES, *files],
                    default=next(iter(FORA_SCHEDULES)),
                    tooltip=(
                        "FORA: attention and feed-forward layers every 2nd or 3rd step, the "
                        "published baseline for any model. Whole blocks: far more is saved, above "
                        "all on models that fuse attention with other layers (Flux, "
                        "HunyuanVideo); what large models lose by it is not measured. The rest "
                        "are .json files in models/smoothcache; each fits one model and number of "
                        "steps."
                    ),
                ),
                io.Int.Input(
                    "steps",
                    default=20,
                    min=1,
                    max=10000,
                    tooltip=(
                        "Built-in schedules only: the steps of your sampler, because a schedule "
                        "has a length. It must equal the sampler's steps; with denoise below 1 "
                        "the steps that are really run. Files bring their own."
                    ),
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def fingerprint_inputs(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, model: io.Model.Type, schedule: str, steps: int
    ) -> str:
        """Changes with the file, so that ComfyUI reads an edited one again."""
        if schedule in FORA_SCHEDULES:
            return ""
        return hashlib.sha256(read_bytes(_path(schedule))).hexdigest()

    @classmethod
    def execute(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, model: io.Model.Type, schedule: str, steps: int
    ) -> io.NodeOutput:
        return io.NodeOutput(attach(model, _method(schedule, steps)))


def _method(schedule: str, steps: int) -> SmoothCache:
    try:
        if schedule in FORA_SCHEDULES:
            return fora(schedule, steps)
        return SmoothCache(read_schedule(_path(schedule)), schedule)
    except ConfigError as error:
        raise ConfigError(f"{SmoothCache.name}: {error}") from error


def _path(schedule: str) -> Path:
    found = folder_paths.get_full_path(FOLDER, schedule)
    if found is None:
        raise ConfigError(
            f"there is no file {schedule} in models/{FOLDER}; expected a .json schedule there, or "
            f"one of: {', '.join(FORA_SCHEDULES)}. Put the file there, or choose another schedule"
        )
    return Path(found)
