"""Node "TGATE Gate"."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ..cache_core.methods import TGate
from ..cache_core.methods.presets import TGATE_PRESETS
from . import inputs
from .method_node import Inputs, MethodNode

UNCOND = "uncond (as published)"
COND = "cond"


class TGateGate(MethodNode):
    """Attaches T-GATE to a model."""

    mild: ClassVar[Inputs] = {"gate_step": 22}
    bold: ClassVar[Inputs] = {"gate_step": 10}

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheTGate",
            display_name=TGate.name,
            category=inputs.CATEGORY,
            description=(
                "From one step on, the prompt is no longer asked and only one branch runs: half "
                "the work. For models with separate attention to the prompt (UNets, PixArt, "
                "Wan, LTX, Cosmos …), with CFG above 1. Paper: arXiv 2404.02747."
            ),
            search_aliases=["tgate", "t-gate"],
            inputs=[
                io.Model.Input("model"),
                inputs.preset(TGATE_PRESETS),
                io.Int.Input(
                    "gate_step",
                    default=0,
                    min=0,
                    max=10000,
                    tooltip=(
                        "Number of guided steps. From this step on attention to the prompt is "
                        "frozen and guidance ends: lower is faster, higher stays closer to the "
                        "plain picture. 0: gate_share says which step it is, so that it fits any "
                        "run. A gate beyond the steps of the run changes nothing."
                    ),
                ),
                io.Int.Input(
                    "warm_up",
                    default=2,
                    min=0,
                    max=9999,
                    tooltip=(
                        "So many first steps compute self-attention in any case. It must be below "
                        "gate_step, where that is a number."
                    ),
                ),
                io.Int.Input(
                    "self_interval",
                    default=5,
                    min=1,
                    max=100,
                    tooltip=(
                        "Between warm-up and gate, self-attention is computed every this many "
                        "steps, where it matters least. 1 never reuses, which is version 1 of the "
                        "method."
                    ),
                ),
                io.Int.Input(
                    "gated_interval",
                    default=1,
                    min=1,
                    max=100,
                    tooltip=(
                        "After the gate, self-attention is computed every this many steps. "
                        "Published: 1, which never reuses."
                    ),
                    advanced=True,
                ),
                io.Combo.Input(
                    "after_gate",
                    options=[UNCOND, COND],
                    default=UNCOND,
                    tooltip=(
                        "Which branch finishes the picture. uncond: the negative prompt, which no "
                        "longer matters by then, as published. cond: the positive prompt. With "
                        "ControlNet, areas or an image as prompt it is always cond."
                    ),
                    advanced=True,
                ),
                # Optional, so that prompts saved before it existed still run.
                io.Float.Input(
                    "gate_share",
                    default=TGate().gate_share,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip=(
                        "Where gate_step is 0: the share of the run's steps that are guided. 0.6 "
                        "is step 18 of 30 and step 5 of 8; the report says which one it was. 1 "
                        "changes nothing."
                    ),
                ),
            ],
            outputs=[io.Model.Output()],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def method(
        cls,
        preset: str,
        gate_step: int,
        warm_up: int,
        self_interval: int,
        gated_interval: int,
        after_gate: str,
        gate_share: float = TGate().gate_share,
    ) -> TGate:
        return inputs.choose(TGate, TGATE_PRESETS, preset) or inputs.build(
            TGate,
            gate_step=gate_step,
            warm_up=warm_up,
            self_interval=self_interval,
            gated_interval=gated_interval,
            kept="cond" if after_gate == COND else "uncond",
            gate_share=gate_share,
        )
