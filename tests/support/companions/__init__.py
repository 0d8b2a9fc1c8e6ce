"""Other people's nodes and unusual prompts, as a graph would combine them with ours."""

from __future__ import annotations

from .callers import CALLERS
from .companion import Companion, Conds, empty
from .guidance import GUIDANCE
from .inpainting import INPAINTING
from .loras import LORAS
from .parts import PARTS
from .passes import PASSES
from .patches import PATCHES, control_net
from .prompts import PROMPTS, two_positives
from .windows import WINDOWS

COMPANIONS = [
    *PATCHES, *GUIDANCE, *PROMPTS, *INPAINTING, *LORAS, *WINDOWS, *PARTS, *PASSES, *CALLERS,
]  # fmt: skip

__all__ = ["COMPANIONS", "Companion", "Conds", "control_net", "empty", "two_positives"]
