"""Flux, Flux.2 and Kontext."""

from .family import Family

FLUX = Family(
    name="Flux",
    model_class="comfy.ldm.flux.model.Flux",
    no_attention_because=(
        "its attention is joint and woven into the blocks, and is not taken apart yet; ComfyUI's "
        "EasyCache node works on this model"
    ),
)
