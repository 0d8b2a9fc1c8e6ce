"""Stable Diffusion 3 and 3.5."""

from .family import Family

SD3 = Family(
    name="SD3",
    model_class="comfy.ldm.modules.diffusionmodules.mmdit.MMDiT",
    no_attention_because=(
        "its attention is joint and split into pre- and post-attention methods, and is not taken "
        "apart yet; ComfyUI's LazyCache node works on this model"
    ),
)
