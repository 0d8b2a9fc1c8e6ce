"""Node "SmoothCache Calibrate"."""

from __future__ import annotations

from functools import partial

from comfy_api.latest import io

from ..cache_core.calibration import Study
from ..cache_core.errors import ConfigError
from ..cache_core.host import attach
from ..cache_core.methods import Calibrate
from ..previews import library
from . import inputs
from .node import Node

ADD, REPLACE = "add to it", "start anew"
PER_SAMPLE, AS_REFERENCE = "per sample", "as the reference"


class SmoothCacheCalibrate(Node):
    """Measures a model while it draws an ordinary picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheCalibrate",
            display_name=Calibrate.name,
            category=inputs.CATEGORY,
            description=(
                "Measures, while an ordinary picture is drawn, how much every kind of layer "
                "changes from step to step, and saves it as a file for SmoothCache Schedule and "
                "Step Cache Advisor. The picture stays the same to the last bit. Paper: arXiv "
                "2411.10510."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Without any other Step Cache node before it."),
                io.String.Input(
                    "name",
                    default="my calibration",
                    tooltip=(
                        f"Name of the file, in ComfyUI's user folder under {library.USER_FOLDER}. "
                        f"Say which model, sampler and steps it is for."
                    ),
                ),
                io.Combo.Input(
                    "existing_file",
                    options=[ADD, REPLACE],
                    default=ADD,
                    tooltip=(
                        "Where there is a file of this name: measure more pictures into it (the "
                        "paper took 10), or replace it. What is of another model or sampler "
                        "cannot be added to: then the new file gets a number."
                    ),
                ),
                io.Int.Input(
                    "lookahead",
                    default=4,
                    min=1,
                    max=20,
                    advanced=True,
                    tooltip=(
                        "Compares each step with so many steps before. A schedule cannot reuse "
                        "for longer in a row, and more steps take more memory."
                    ),
                ),
                io.Boolean.Input(
                    "each_layer",
                    default=False,
                    advanced=True,
                    tooltip="Also keep the errors of single layers, for schedules by layer.",
                ),
                io.Combo.Input(
                    "average",
                    options=[PER_SAMPLE, AS_REFERENCE],
                    default=PER_SAMPLE,
                    advanced=True,
                    tooltip=(
                        "per sample: every picture and prompt counts alike. as the reference: sums "
                        "over all of them, as the authors' code does; large values weigh more."
                    ),
                ),
                io.Int.Input(
                    "memory",
                    default=1024,
                    min=0,
                    max=2**20,
                    advanced=True,
                    tooltip=(
                        "MiB that whole values of layers may take for one step each, to see how "
                        "much their change matters to the picture. 0 leaves that out; predictions "
                        "are then less exact."
                    ),
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        name: str,
        existing_file: str,
        lookahead: int,
        each_layer: bool,
        average: str,
        memory: int,
    ) -> io.NodeOutput:
        try:
            target = library.target(name)
            study = Study(
                deliver=partial(library.save, target, add=existing_file == ADD),
                lookahead=lookahead,
                average=AS_REFERENCE if average == AS_REFERENCE else PER_SAMPLE,
                with_layers=each_layer,
                memory=memory * 2**20,
            )
        except ConfigError as error:
            raise ConfigError(f"{Calibrate.name}: {error}") from error
        return io.NodeOutput(attach(model, Calibrate(study)))
