"""Other guidance: what asks the network once more, mixes the branches, or combines more of them."""

from __future__ import annotations

from typing import Any

import host
import toys
from comfy_extras import nodes_custom_sampler, nodes_perpneg
from host import applied

from .companion import EVERY, UNETS, Companion, Conds, weaker

_NAG_MODELS = ("sd15", "flux", "chroma", "krea2")
"""Models that call patches on the output of self-attention; elsewhere NAG has no effect."""


def _slg(name: str, **more: Any) -> Any:
    return applied(
        "nodes_slg", name, double_layers="1", single_layers="1", start_percent=0.0,
        end_percent=1.0, **more,
    )  # fmt: skip


def _perp_neg(model: Any) -> Any:
    """The deprecated node, whose third prompt is asked in a pass of its own."""
    name = next(n for n in EVERY if toys.load(n).model is model.model)
    empty = weaker(toys.conditioning(name)[1], 0.1)
    return applied("nodes_perpneg", "PerpNeg", empty_conditioning=empty, neg_scale=0.8)(model)


def _perp_neg_guider(model: Any, conds: Conds) -> Any:
    positive, negative = conds
    made = nodes_perpneg.PerpNegGuider.execute(
        model, positive, negative, weaker(negative, 0.1), 3.0, 0.8
    )
    return host.outputs_of(made)[0]


def _dual_cfg(style: str) -> Any:
    def guide(model: Any, conds: Conds) -> Any:
        positive, negative = conds
        made = nodes_custom_sampler.DualCFGGuider.execute(
            model, positive, weaker(positive), negative, 3.0, 2.0, style
        )
        return host.outputs_of(made)[0]

    return guide


GUIDANCE = [
    # Both ask for attention of the UNet's middle block: no DiT has that.
    Companion(
        "perturbed attention", UNETS, ("DeepCache", "FasterCache", "TGate", "SmoothCache"),
        applied("nodes_pag", "PerturbedAttentionGuidance", scale=3.0),
    ),
    Companion(
        "self-attention guidance", UNETS, ("DeepCache", "FasterCache", "TGate", "SmoothCache"),
        applied("nodes_sag", "SelfAttentionGuidance", scale=0.5, blur_sigma=2.0),
    ),
    # Blocks to leave out are named as DiTs name them; the UNet has no such names.
    Companion(
        "skip-layer guidance", ("wan", "flux", "sd3", "qwen"),
        ("PAB blocks", "FasterCache", "TGate", "SmoothCache"),
        _slg("SkipLayerGuidanceDiT", scale=3.0, rescaling_scale=0.0),
    ),
    Companion(
        "skip-layer guidance, simple", ("wan", "flux", "sd3"), ("PAB blocks", "FasterCache"),
        _slg("SkipLayerGuidanceDiTSimple"), has_guidance=False,
    ),
    Companion(
        "normalized attention guidance", _NAG_MODELS, ("DeepCache", "SmoothCache", "PAB blocks"),
        applied("nodes_nag", "NAGuidance", nag_scale=5.0, nag_alpha=0.5, nag_tau=1.5),
        has_guidance=False,
    ),
    Companion("perpendicular negative", EVERY, ("FasterCache", "TGate"), _perp_neg),
    Companion(
        "perpendicular negative's guider", EVERY, ("FasterCache", "TGate"),
        guide=_perp_neg_guider, has_guidance=False,
    ),
    Companion(
        "dual guidance", EVERY, ("FasterCache",), guide=_dual_cfg("regular"), has_guidance=False
    ),
    Companion(
        "nested dual guidance", EVERY, ("FasterCache",), guide=_dual_cfg("nested"),
        has_guidance=False,
    ),
    Companion(
        "rescaled guidance", EVERY, ("FasterCache", "TGate"),
        applied("nodes_model_advanced", "RescaleCFG", multiplier=0.7),
    ),
]  # fmt: skip
