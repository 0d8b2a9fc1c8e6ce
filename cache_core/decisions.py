"""What is decided at a site, and why a site computes although reuse was planned."""

from __future__ import annotations

from dataclasses import dataclass

NOT_STORED = "nothing stored yet for this conditioning, size or window"
NOT_SETTLED = "what this depends on was not stored in its step"
TOO_OLD = "the step that should have computed it did not run"
OTHER_WEIGHTS = "the weights have changed since, by the schedule of a LoRA hook"
UNFIT = "what the layer returned cannot be divided among the prompts of the batch"
NOT_LATER = "the noise level did not fall since the newest computed evaluation"
NO_PICTURE = "the latents are nothing but noise, of which no picture can be solved for"
OWN_STEPS = "the sampler chooses its steps by what the network says, and would trust a forecast"
NO_ALPHA = (
    "the sampler's formula of CFG++ is for models whose latents hold the whole picture; on this "
    "one a forecast would break pictures"
)
TOO_OFTEN = "the sampler evaluated this step more often than a stored value may serve"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a site reuses, and why it computes although reuse was planned."""

    reuse: bool
    forced: str | None = None


# Nearly every decision is one of these two, and every layer asks for one in every evaluation.
COMPUTE, REUSE = Decision(reuse=False), Decision(reuse=True)
