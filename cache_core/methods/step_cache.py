"""Step Cache: compute planned evaluations, forecast the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ..approximators import Forecast
from ..clock import Timeline
from ..errors import ConfigError
from ..plan import Plan
from ..rules import Rule
from ..s_curve import SCurve
from ..schedules import PercentRange
from ..sites import SiteKind, SiteSelector
from .method import Method

MAX_SPEED = 5.0

Carried = Literal["auto", "noise", "denoised"]
CARRIED: tuple[Carried, ...] = get_args(Carried)
"""What is continued from step to step, as it stands on the node."""

SHOWN_STEPS = (8, 20, 30, 50)
"""Runs of which is said what to expect, while none is known."""

DENOISED = Forecast("denoised", slope=0.5)
FORECASTS: dict[Carried, Forecast] = {
    "auto": Forecast("noise", where_noise_is_added=DENOISED),
    "noise": Forecast("noise"),
    "denoised": DENOISED,
}


@dataclass(frozen=True, slots=True)
class StepCache(Method):
    """Training-free reuse of whole evaluations.

    Args:
        speed: steps ÷ evaluations that are computed, 1 … 5; 1 computes all.
        start_percent: progress before which every step computes, 0 … 1.
        end_percent: progress after which every step computes, 0 … 1.
        carried: "noise" or "denoised", as for `Forecast`; "auto" is the first where the sampler
            follows the ODE, and the second where it adds noise of its own.

    Raises:
        ConfigError: a parameter is outside its range.

    Source: our own; docs/methods.md says how it differs from published ones.
    """

    name: ClassVar[str] = "Step Cache"
    paper: ClassVar[str] = ""

    speed: float = 2.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    carried: Carried = "auto"

    def __post_init__(self) -> None:
        if not 1.0 <= self.speed <= MAX_SPEED:
            raise ConfigError(
                f"speed is {self.speed:g}; expected 1 … {MAX_SPEED:g} (2 computes every second "
                f"evaluation, 1 computes all)"
            )
        if self.carried not in FORECASTS:
            known = ", ".join(CARRIED)
            raise ConfigError(f"carried is {self.carried!r}; expected one of: {known}")
        self.rules()

    def expectation(self) -> str:
        """What to expect of runs of some lengths, for a person."""
        (rule,) = self.rules()
        plans = {n: Plan.of(rule.when, Timeline.even(n)) for n in SHOWN_STEPS}
        lines = [
            f"{steps:2} steps: {plan.strip.count('C'):2} run the model  {plan.strip}"
            for steps, plan in plans.items()
        ]
        return "\n".join([self.describe(), *lines, "C computed   R forecast"])

    def rules(self) -> tuple[Rule, ...]:
        rule = Rule(
            where=SiteSelector(SiteKind.EVALUATION),
            when=SCurve(self.speed) & PercentRange(self.start_percent, self.end_percent),
            what=FORECASTS[self.carried],
            owner=self.name,
            is_required=True,
        )
        return (rule,)
