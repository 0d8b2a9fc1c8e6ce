"""The demo nodes: caption encoder, UNet loader, decoder to pixels, judge."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import ComfyExtension, io, ui

from ..shapes import captions, scenes
from ..shapes.decoder import Decoder, decode, load
from ..shapes.judge import judge
from .latents import canvases
from .unet import load_unet

CATEGORY = "Step Cache/demo"
MODELS = Path(__file__).resolve().parent.parent / "models"


def register_models() -> None:
    """Let the stock loaders see the demo's weights."""
    folder_paths.add_model_folder_path("diffusion_models", str(MODELS))


@lru_cache(maxsize=1)
def _decoder() -> Decoder:
    return load(MODELS / "shapes_decoder.safetensors")


class Node(io.ComfyNode):
    """A node whose `execute` names its inputs; ComfyUI's own is declared with `**kwargs` alone."""

    if TYPE_CHECKING:

        @classmethod
        def execute(cls, *args: Any, **inputs: Any) -> io.NodeOutput: ...


class ShapesUNetLoader(Node):
    """Loads shapes_unet.safetensors; the stock loader only knows UNets of published sizes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ShapesUNetLoader",
            display_name="Load Shapes UNet (demo)",
            category=CATEGORY,
            description="Loads the demo's small UNet. The demo's DiT loads with UNETLoader.",
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=folder_paths.get_filename_list("diffusion_models"),
                    default="shapes_unet.safetensors",
                    tooltip="shapes_unet.safetensors",
                )
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model_name: str) -> io.NodeOutput:
        path = folder_paths.get_full_path_or_raise("diffusion_models", model_name)
        return io.NodeOutput(load_unet(Path(path)))


class ShapesCaption(Node):
    """Turns a caption into conditioning that both demo models understand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ShapesCaption",
            display_name="Shapes Caption (demo)",
            category=CATEGORY,
            description="Encodes a caption about one or two shapes; empty for the negative.",
            inputs=[
                io.String.Input(
                    "caption", multiline=True, default=scenes.EXAMPLE, tooltip=scenes.EXAMPLE
                )
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, caption: str) -> io.NodeOutput:
        try:
            tokens = captions.encode(caption)
        except ValueError as error:
            raise ValueError(f"Shapes Caption: {error}") from None
        return io.NodeOutput([[tokens, {}]])


class ShapesDecode(Node):
    """Latents of either demo model to pictures; every frame of a clip becomes one picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ShapesDecode",
            display_name="Shapes Decode (demo)",
            category=CATEGORY,
            description="Decodes the demo models' latents to 256 x 256 pictures.",
            inputs=[io.Latent.Input("samples")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, samples: dict) -> io.NodeOutput:
        return io.NodeOutput(decode(_decoder(), canvases(samples["samples"])))


class ShapesJudge(Node):
    """Says whether pictures show exactly what a caption says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ShapesJudge",
            display_name="Shapes Judge (demo)",
            category=CATEGORY,
            description="Reads shapes, colours, sizes and places back and compares the caption.",
            inputs=[
                io.Image.Input("images"),
                io.String.Input("caption", multiline=True, default=scenes.EXAMPLE),
            ],
            outputs=[io.String.Output(display_name="verdict")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, caption: str) -> io.NodeOutput:
        try:
            verdicts = [judge(image.cpu().numpy(), caption) for image in images]
        except ValueError as error:
            raise ValueError(f"Shapes Judge: {error}") from None
        right = sum(verdict.correct for verdict in verdicts)
        lines = [f"{right} of {len(verdicts)} pictures correct"]
        lines += [
            f"picture {number}: {'correct' if verdict.correct else 'wrong'}, {verdict.reason}"
            for number, verdict in enumerate(verdicts, start=1)
        ]
        report = "\n".join(lines)
        return io.NodeOutput(report, ui=ui.PreviewText(report))


class ShapesExtension(ComfyExtension):
    """All demo nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [ShapesUNetLoader, ShapesCaption, ShapesDecode, ShapesJudge]
