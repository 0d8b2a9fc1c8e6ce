"""ACE-Step: songs from a description and lyrics.

What encodes lyrics, voice and reference sound does not depend on the noise, and is left alone.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

ACE_STEP = Family(
    name="ACE-Step",
    models="ACE-Step 1 (music)",
    model_classes=("comfy.ldm.ace.model.ACEStepTransformer2DModel",),
    layers=(
        Layer(r"transformer_blocks\.\d+\.attn", SiteKind.SELF_ATTENTION),
        Layer(r"transformer_blocks\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        Layer(r"transformer_blocks\.\d+\.ff", SiteKind.FEED_FORWARD),
        Layer(r"transformer_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("hidden_states",))),
    ),
)

ACE_STEP_15 = Family(
    name="ACE-Step 1.5",
    models="ACE-Step 1.5 (music)",
    model_classes=("comfy.ldm.ace.ace_step15.AceStepConditionGenerationModel",),
    layers=(
        Layer(r"decoder\.layers\.\d+\.self_attn", SiteKind.SELF_ATTENTION),
        Layer(r"decoder\.layers\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        Layer(r"decoder\.layers\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"decoder\.layers\.\d+", SiteKind.BLOCK, BlockResidual(("hidden_states",))),
    ),
)
