"""Node "Step Cache Report"."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..cache_core.errors import StepCacheError
from ..cache_core.patching import last_report
from . import inputs


class StepCacheReport(io.ComfyNode):
    """Shows what the last run of a patched model computed and reused."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheReport",
            display_name="Step Cache Report",
            category=inputs.CATEGORY,
            description=(
                "What the last sampling run of this model computed and reused, and why. Pass the "
                "sampler's latent through it, so that it looks after the run."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model that the sampler used."),
                io.Latent.Input("latent", tooltip="The sampler's output; handed on unchanged."),
            ],
            outputs=[
                io.Latent.Output(display_name="latent"),
                io.String.Output(display_name="text"),
                io.String.Output(display_name="json"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, model: io.Model.Type, latent: dict[str, Any]
    ) -> io.NodeOutput:
        try:
            report = last_report(model)
        except LookupError as error:
            raise StepCacheError(
                f"Step Cache Report: {error}. Connect the model that leaves the last Step Cache "
                f"node, the same that goes into the sampler"
            ) from error
        if report is None:
            raise StepCacheError(
                "Step Cache Report: this model has not been sampled yet. Connect the latent of "
                "the sampler that uses this very model"
            )
        text, data = report.to_text(), report.to_json()
        return io.NodeOutput(latent, text, data, ui={"text": (text,), "stepcache_report": (data,)})
