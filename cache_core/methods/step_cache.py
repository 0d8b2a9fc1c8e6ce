"""Step Cache: compute planned evaluations, forecast the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from ..approximators import Forecast
from ..calibration import Calibration, ModelFacts
from ..calibration.planning import Planner
from ..clock import Timeline
from ..errors import ConfigError
from ..plan import Plan
from ..rules import Rule
from ..s_curve import LEAST, SCurve, count_for
from ..schedules import Mask, PercentRange, Schedule
from ..sites import SiteKind, SiteSelector
from .method import Method

MAX_SPEED = 5.0

Carried = Literal["auto", "noise", "denoised"]
CARRIED: tuple[Carried, ...] = get_args(Carried)
"""What is continued from step to step, as it stands on the node."""

FEW = 8
"""Steps of a run in which every one matters: fewer steps without a forecast are as near to the
plain picture or nearer. A longer run with as few evaluations is nearer to its own by more than
6 dB (`benchmarks/results/forecast_samplers.json`)."""

LONG = 20
"""Steps of a usual run, as a longer one."""

LETTERS = "C computed   R forecast"

SHOWN_STEPS = (8, 20, 30, 50)
"""Runs of which is said what to expect, while none is known."""

DENOISED = Forecast("denoised", slope=0.25, furthest=1.0)
"""Noise is new in every step, so that most of a change is chance: a steeper or longer line loses
more than it gains. Chosen on training captions."""

IN_MULTISTEP = Forecast("denoised", slope=0.5, furthest=0.5, damps=True, off_the_line=DENOISED)
"""Samplers that step on from several answers amplify the jump to a computed one. On training
captions with DPM++ 2M and UniPC this was from 3 dB farther to 6 dB nearer than a line of the noise
at CFG 2, and up to 16 dB nearer at CFG 4 and 6, where that line broke pictures.

At strong guidance jumps may grow until computed answers swing, each back to where the one before
the last was. With DPM++ 2M on the DiT at CFG 4, such a line that is not damped broke 2 of 11
training pictures at speed 2 and 3 at speed 3, this one none, 3.3 and 5.5 dB nearer; at CFG 6 and
speed 3 it is 3.9 dB farther, and neither breaks one. Where nothing swings both are the same.

With DPM++ 2M a line beyond half of its length lost 1.9 dB at speed 2 on the UNet and 0.1 at speed
3, and gained 1.2 and 0.9 on the DiT."""

FORECASTS: dict[Carried, Forecast] = {
    "auto": Forecast("noise", in_multistep=IN_MULTISTEP, off_the_line=DENOISED),
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
            steps on from one answer, and the second where it does so from several or adds noise.
        calibration: of this model; with it the steps that compute are searched for each run.
        label: where the calibration comes from, for reports.
        planned: steps that were searched for one run.
        notes: what of the speed a run does not allow, and what a plan will miss.

    Raises:
        ConfigError: a parameter is outside its range, or the calibration is of no use here.

    Source: our own; docs/methods.md says how it differs from published ones.
    """

    name: ClassVar[str] = "Step Cache"
    title: ClassVar[str] = "Step Cache"
    paper: ClassVar[str] = ""

    speed: float = 2.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    carried: Carried = "auto"
    calibration: Calibration | None = None
    label: str = "calibration"
    planned: Schedule | None = None
    notes: tuple[str, ...] = ()

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
        if self.calibration is not None and self.calibration.noise is None:
            raise ConfigError(
                f"{self.label} has no measured noise estimates, by which steps are planned; "
                f"expected a calibration with them. Calibrate again with this version of Step "
                f'Cache and a sampler that adds no noise, such as euler, or set it to "none"'
            )
        if self.calibration is not None and self.carried == "denoised":
            raise ConfigError(
                'carried is "denoised", about which a calibration says nothing; expected "auto" '
                'or "noise". Change it, or set calibration to "none"'
            )

    # Frozen: nothing assigns to what the base declares as a variable.
    @property
    def made_for(self) -> ModelFacts | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return None if self.calibration is None else self.calibration.model

    @property
    def idle(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({"calibration", "label", "planned", "notes"})

    def describe(self) -> str:
        plain = Method.describe(self)
        return plain if self.calibration is None else f"{plain[:-1]}, calibration {self.label})"

    def fitted(self, timeline: Timeline) -> StepCache:
        (rule,) = self.rules()
        if rule.when.never_reuses or timeline.steps == 1:
            return self
        fitted = self._planned_for(timeline)
        notes = (*fitted.notes, *fitted._on_speed(timeline))
        return replace(fitted, notes=notes) if notes else fitted

    def _planned_for(self, timeline: Timeline) -> StepCache:
        calibration = self.calibration
        if calibration is None or calibration.noise is None:
            return self
        if not timeline.half_log_snrs:
            note = "the steps are planned without the calibration: no noise levels are known"
            return replace(self, notes=(*calibration.remarks, note))
        planner = Planner(calibration.noise, timeline.half_log_snrs)
        chosen = planner.plan(self.speed)
        mask = Mask(tuple(step in chosen for step in range(timeline.steps)))
        strip = Plan.of(mask & self._window, timeline).strip
        error = planner.error(step for step, letter in enumerate(strip) if letter == "C")
        note = (
            f"predicted error of the final latents: {100 * error:.2g} % of the noise that a run "
            f"begins with, for samplers that step on from one answer and add no noise"
        )
        return replace(self, planned=mask, notes=(*calibration.remarks, note))

    def _on_speed(self, timeline: Timeline) -> tuple[str, ...]:
        """What of the speed a run does not allow.

        Raises:
            ConfigError: nothing of it can be left out.
        """
        (rule,) = self.rules()
        steps = timeline.steps
        computed = Plan.of(rule.when, timeline).strip.count("C")
        if computed == steps:
            raise ConfigError(_why_all(self.speed, steps))
        notes: list[str] = []
        if computed > math.floor(steps / self.speed + 0.5):
            notes.append(
                f"{self.name}: speed {self.speed:g} was asked for; {computed} of these {steps} "
                f"steps have to run the model, so that at most {steps / computed:.2f} is reached"
            )
        if steps <= FEW:
            notes.append(
                f"{self.name}: in a run of {steps} steps a forecast loses much. {computed} steps "
                f"at speed 1 run the model as often, and are as near to the plain picture or "
                f"nearer; so are {LONG} steps at speed {LONG / computed:.2g} to that of {LONG} "
                f"steps, if the model is not made for few"
            )
        return tuple(notes)

    def expectation(self) -> str:
        """What to expect of some runs, or of one like the calibrated one, for a person."""
        if self.calibration is not None:
            return "\n".join([self.describe(), *self._told(self.calibration.timeline), LETTERS])
        lines = [self._line(Timeline.even(steps)) for steps in SHOWN_STEPS]
        few = f"Runs of {FEW} steps or fewer lose much: there, sample fewer steps instead."
        return "\n".join([self.describe(), *lines, LETTERS, few])

    def _told(self, timeline: Timeline) -> tuple[str, ...]:
        try:
            fitted = self.fitted(timeline)
        except ConfigError as error:
            return (f"{timeline.steps} steps: {error}",)
        return (fitted._line(timeline), *fitted.notes)

    def _line(self, timeline: Timeline) -> str:
        (rule,) = self.rules()
        strip = Plan.of(rule.when, timeline).strip
        return f"{timeline.steps:2} steps: {strip.count('C'):2} run the model  {strip}"

    def rules(self) -> tuple[Rule, ...]:
        rule = Rule(
            where=SiteSelector(SiteKind.EVALUATION),
            when=(self.planned or SCurve(self.speed)) & self._window,
            what=FORECASTS[self.carried],
            owner=self.name,
            is_required=True,
        )
        return (rule,)

    @property
    def _window(self) -> PercentRange:
        return PercentRange(self.start_percent, self.end_percent)


def _why_all(speed: float, steps: int) -> str:
    """Why nothing of a run can be left out."""
    if steps <= LEAST:
        return (
            f"a run of {steps} steps is too short: its first two steps and the last one always "
            f"run the model. Sample with {LEAST + 1} steps or more"
        )
    if count_for(speed, steps) >= steps:
        return (
            f"speed {speed:g} leaves out none of {steps} steps; {steps / (steps - 1):.2f} leaves "
            f"out one"
        )
    return "start_percent and end_percent leave nothing to reuse between them: widen them"
