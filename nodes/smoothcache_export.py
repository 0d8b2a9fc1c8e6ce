"""Node "SmoothCache Export"."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..cache_core.calibration.file import export_reference, safe_name, write_text
from ..cache_core.errors import ConfigError
from ..cache_core.host import attached
from ..cache_core.methods import CalibratedSmoothCache, SmoothCache, UniformSmoothCache
from . import inputs
from .node import Node

NAME = "SmoothCache Export"
FOLDER = "stepcache"


class SmoothCacheExport(Node):
    """Writes a schedule in the format of the authors' package."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheExport",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "Writes the schedule of a SmoothCache Schedule node in the format of the authors' "
                f"package (Roblox/SmoothCache), into ComfyUI's output folder under {FOLDER}."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model that leaves SmoothCache Schedule."),
                io.String.Input(
                    "name",
                    default="schedule",
                    tooltip="Name of the file; one of the same name is replaced.",
                ),
            ],
            outputs=[io.String.Output(display_name="text")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: io.Model.Type, name: str) -> io.NodeOutput:
        try:
            folder = Path(folder_paths.get_output_directory(), FOLDER)
            text = export_reference(_schedule(model).rows)
            write_text(folder / f"{safe_name(name)}.json", text)
        except ConfigError as error:
            raise ConfigError(f"{NAME}: {error}") from error
        return io.NodeOutput(text, ui={"text": (text,)})


def _schedule(model: io.Model.Type) -> SmoothCache:
    for method in attached(model):
        if isinstance(method, CalibratedSmoothCache):
            return method.fitted(method.calibration.timeline)
        if isinstance(method, SmoothCache):
            return method
        if isinstance(method, UniformSmoothCache):
            raise ConfigError(
                "the schedule follows the steps of the run, and a file has one length; expected a "
                "number of steps. Set steps on SmoothCache Schedule to those of your sampler"
            )
    raise ConfigError(
        "the model carries no schedule; expected the model that leaves SmoothCache Schedule. "
        "Connect that one"
    )
