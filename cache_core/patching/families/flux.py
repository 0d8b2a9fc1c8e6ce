"""Flux, Flux.2 and Kontext."""

from .family import Family

FLUX = Family(
    name="Flux",
    model_class="comfy.ldm.flux.model.Flux",
    has_guidance=False,
    no_attention_because=(
        "guidance is distilled into it, so there is no second branch to leave out, and its "
        "attention is joint and woven into the blocks, and is not taken apart yet; ComfyUI's "
        "EasyCache node works on this model"
    ),
)
