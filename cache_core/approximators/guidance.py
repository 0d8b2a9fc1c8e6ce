"""What stands in for one branch of classifier-free guidance, given the other one's output.

A value of the guidance site is the pair (branch that runs, branch that is left out) of network
outputs, never of denoised pictures: those of two noise levels cannot be compared. Torch is imported
where it is needed, because methods are built without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..schedules import PercentRange, Schedule

if TYPE_CHECKING:
    import torch

    from ..values import Value
    from .approximator import History, Reuse

Branch = Literal["cond", "uncond"]


@dataclass(frozen=True, slots=True)
class CopyBranch:
    """T-GATE after its gate: both branches answer the same, so that guidance falls away.

    Args:
        kept: the branch that runs; as published "uncond", the null text.
    """

    kept: Branch = "uncond"
    min_history: int = 0
    max_history: int = 0

    def update(self, history: History, output: Value) -> History:
        return history

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        assert reuse.given is not None
        return reuse.given, history


@dataclass(frozen=True, slots=True)
class FrequencyDelta:
    """FasterCache's CFG-Cache: the last difference of the branches, its two bands weighted.

    Keeps the low band and the rest of (uncond - cond) of the last step that ran both branches, as
    two real tensors of the output's size. No transform is needed where it is reused.

    Args:
        low_gain: factor on the low band inside `low_window`, 1 outside.
        high_gain: factor on the rest inside `high_window`, 1 outside.
        low_window: early in the run, where the difference is layout.
        high_window: late in the run, where it is detail.
        compounds: multiply the kept bands once more at every reuse, as the released scripts do,
            instead of once in all, as the paper says.

    Source: arXiv 2410.19355, equations 3-5; Vchitect/FasterCache 02d05ef, ``scripts/``.
    """

    low_gain: float = 1.2
    high_gain: float = 1.2
    low_window: Schedule = field(default=PercentRange(0.0, 0.7))
    high_window: Schedule = field(default=PercentRange(0.7, 1.0))
    compounds: bool = False
    kept: Branch = "cond"
    min_history: int = 1
    max_history: int = 1

    def update(self, history: History, output: Value) -> History:
        from .frequency import low_pass

        cond, uncond = _pair(output)
        difference = uncond.float() - cond.float()
        low = low_pass(difference)
        return ((low, difference - low),)

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        low, high = _pair(history[-1])
        # The windows are predicates of the time like any schedule; here they say when to amplify.
        low = low * (self.low_gain if self.low_window.may_reuse(reuse.clock) else 1.0)
        high = high * (self.high_gain if self.high_window.may_reuse(reuse.clock) else 1.0)
        cond = _tensor(reuse.given)
        value = (cond.float() + (low + high)).to(cond.dtype)
        return value, ((low, high),) if self.compounds else history


def _tensor(value: Value | None) -> torch.Tensor:
    assert value is not None and not isinstance(value, tuple)
    return value


def _pair(value: Value) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(value, tuple)
    one, other = value
    return _tensor(one), _tensor(other)
