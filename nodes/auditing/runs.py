"""The runs of an audit: three short ones, the audited one, and one with the best cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import torch

from ... import speed
from ...cache_core.clock import Timeline
from ...cache_core.errors import ConfigError, StepCacheError
from ...cache_core.patching import attach, attached, detached, last_report, timeline_of
from ...cache_core.patching.facts import device_name
from ...speed.listening import STEPS, Heard, Listening
from ...speed.profiling import Profiling
from ...speed.timing import Timed, Timing
from ...speed.trying import Trying
from . import caches, settings
from .audit import MOST_RECOMMENDED, Audit, Caching, Recommendation

NAME = "Speed Audit"
LEAST_GAIN = 1.03
"""Less is within what two runs differ by anyway."""
SHORT = 4
"""Steps of the schedule that short runs begin, at least."""
LONG, MOST_PAIRS = 6.0, 5
"""Seconds of plain runs that are compared with, and how many runs at most."""
MOST_DRAWN = 2
"""Caches that are tried by a whole run: the second one if the first does not hold its promise."""

QUALITY = (
    "Reuses what layers returned, so the picture changes: compare with Step Cache Compare Runs"
)
INSTEAD = "In place of what reuses now"


class Sample(Protocol):
    """Samples a latent.

    Args:
        model: with which.
        steps: of the whole schedule.
        last: where to stop; None at its end.
        sampler: None for that of the node.
    """

    def __call__(
        self, model: Any, steps: int, last: int | None = None, sampler: str | None = None
    ) -> Any: ...


def audited(model: Any, sample: Sample, steps: int, *, may_draw: bool) -> tuple[Any, Audit]:
    """Audit a model as it is, with everything attached to it.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
        sample: with the settings of the workflow.
        steps: of the workflow.
        may_draw: whether the best cache is tried by sampling once more with it.

    Returns:
        What the audited run sampled, to the last bit as without the audit; and the audit.

    Raises:
        StepCacheError: the sampler never called the model.
    """
    plain = detached(model)
    heard = _heard(model, plain, sample, steps)
    options = settings.options_for(model, heard)
    trying = Trying({name: option.setting for name, option in options.items()})
    profiling = Profiling()
    sample(trying.on(profiling.on(plain)), max(steps, SHORT), STEPS)
    costs, caching = _costs(plain, sample, steps, trying)

    latent, timed = _timed(model, sample, steps)
    run = _Run(model, sample, steps, timed)
    if costs is not None and trying.plain is not None:
        caching = costs.caching(trying.plain, timed.seconds / timed.evaluations)
    found = {name: run.gain(options[name], tried, trying.plain) for name, tried in trying.tried.items()}
    wins = {name for name, tried in trying.tried.items() if tried.wins >= settings.MOSTLY}
    advice = [
        Recommendation(
            options[name].setting.name, options[name].words, gain,
            f"{trying.tried[name].rounds} evaluations with it beside others without",
            f"{options[name].caution}.",
        )
        for name, gain in found.items() if name in wins
    ]  # fmt: skip
    if costs is not None:
        offered = run.offers(costs)
        found |= {offer.name: gain for offer, gain in offered}
        drawn = run.drawn(offered) if may_draw else run.reckoned(offered)
        for name, each in drawn:
            found[name] = each.gain
            advice.append(each)
    advice = sorted((each for each in advice if each.gain >= LEAST_GAIN), key=lambda a: -a.gain)
    network = model.model.diffusion_model
    return latent, Audit(
        model=type(network).__name__,
        device=device_name(torch.device(model.load_device)),
        steps=len(timed.sigmas) - 1,
        attached=(
            *(method.describe() for method in attached(model)),
            *(setting.name for setting in speed.settings_of(model)),
        ),
        timed=timed,
        heard=heard,
        profiled=profiling.profiled,
        caching=caching,
        advice=tuple(advice[:MOST_RECOMMENDED]),
        tried=dict(sorted(found.items(), key=lambda item: -item[1])),
        failed=trying.failed,
    )


def _heard(model: Any, plain: Any, sample: Sample, steps: int) -> Heard:
    """One evaluation of the model as it is; without methods that refuse so short a run."""
    for which in (model, plain):
        listening = Listening()
        try:
            sample(listening.on(which), max(steps, SHORT), STEPS)
        except ConfigError:
            if which is plain:
                raise
        else:
            break
    return listening.heard


def _costs(
    plain: Any, sample: Sample, steps: int, trying: Trying
) -> tuple[caches.Costs | None, Caching]:
    """What layers take; or why that is not known."""
    if steps < 2:
        return None, Caching(reason=caches.NO_STEPS)

    def measure(measured: Any, count: int) -> None:
        # What a step costs is the same with any sampler, and this one steps evenly.
        sample(measured, max(steps, count), count, "euler")

    one = trying.one_branch
    try:
        return caches.costs_of(plain, measure, trying.plain, one and one.ratio), Caching()
    except StepCacheError as error:
        return None, Caching(reason=str(error))


def _timed(model: Any, sample: Sample, steps: int) -> tuple[Any, Timed]:
    timing = Timing()
    latent = sample(timing.on(model), steps)
    if timing.timed is None:
        raise StepCacheError(
            f"{NAME}: the sampler never called the model in {steps} steps, so there is nothing to "
            f"measure; raise steps or denoise"
        )
    return latent, timing.timed


@dataclass(frozen=True, slots=True)
class _Run:
    """The audited run, and what others would be beside it."""

    model: Any
    sample: Sample
    steps: int
    timed: Timed

    def gain(self, option: settings.Option, tried: Any, plain: float | None) -> float:
        """What a setting would mean for it."""
        is_attention = isinstance(option.setting, speed.AttentionBackend)
        report = last_report(self.model) if attached(self.model) else None
        computed = settings.computed_shares(report)[is_attention]
        timed = self.timed
        return settings.gain_of(tried, plain or 0.0, timed.seconds, timed.evaluations, computed)

    def offers(self, costs: caches.Costs) -> list[tuple[caches.Offer, float]]:
        """Methods that are not attached, and how much faster than now they would be."""
        sigmas = torch.tensor(self.timed.sigmas)
        timeline: Timeline = timeline_of(self.model.get_model_object("model_sampling"), sigmas)
        now, present = 1.0, frozenset[str]()
        if attached(self.model):
            report = last_report(self.model)
            now = (report.measured_speedup if report is not None else None) or 1.0
            present = frozenset(method.describe() for method in attached(self.model))
        found = caches.offers(costs, timeline, self.timed.has_two_branches)
        return [(o, o.speedup / now) for o in found if o.method.describe() not in present]

    def reckoned(self, offered: list[tuple[caches.Offer, float]]) -> Iterator[tuple[str, Recommendation]]:
        """The first that this model takes."""
        for offer, gain in offered:
            if self._with(offer) is not None:
                yield offer.name, self._advice(offer, gain, "reckoned from the seconds of layers")
                return

    def drawn(self, offered: list[tuple[caches.Offer, float]]) -> Iterator[tuple[str, Recommendation]]:
        """The first that this model takes and that holds its promise, as measured."""
        drawn = 0
        for offer, gain in offered:
            patched = self._with(offer) if gain >= LEAST_GAIN and drawn < MOST_DRAWN else None
            if patched is None:
                continue
            drawn += 1
            measured, count = self._measured(patched)
            runs = f"{count} whole run{'s'[: count > 1]}"
            advice = self._advice(offer, measured, f"measured in {runs} with it")
            yield offer.name, advice
            if measured >= LEAST_GAIN:
                return

    def _with(self, offer: caches.Offer) -> Any | None:
        try:
            return attach(detached(self.model), offer.method)
        except StepCacheError:
            return None

    def _advice(self, offer: caches.Offer, gain: float, how: str) -> Recommendation:
        caution = f"{INSTEAD}. {QUALITY}" if attached(self.model) else QUALITY
        setting = offer.setting or "as it comes"
        return Recommendation(offer.node, setting, gain, how, f"{caution}.")

    def _measured(self, patched: Any) -> tuple[float, int]:
        """Seconds of runs as they are ÷ seconds with another model, by turns; and how often."""
        count = max(min(round(LONG / self.timed.seconds), MOST_PAIRS), 1)
        ratios: list[float] = []
        for number in range(count):
            plain = self.timed if number == 0 else _timed(self.model, self.sample, self.steps)[1]
            _, other = _timed(patched, self.sample, self.steps)
            ratios.append(plain.seconds / other.seconds)
        return median(ratios), count
