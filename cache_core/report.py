"""What happened in a run, and why: counts, strips, bytes and seconds. No torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any

from .clock import Timeline
from .estimate import Observation

REPORT_VERSION = 1
"""Version of the JSON layout; raised when a key changes its meaning or goes away."""


@dataclass(slots=True, eq=False)
class Report:
    """The record of one sampling run.

    A count is one site of one conditioning stream in one evaluation, so that it does not depend
    on whether cond and uncond shared a batch.

    Args:
        methods: the nodes that acted, with their settings, e.g. "Apply PAB (self_attention 2)".
        family: name of the model family.
        sampler: name of the sampler, if known.
        plans: per site kind the planned strip, C computes and R reuses.
        timeline: the run's schedule.
        layers: how many sites of each kind the model has.
        notes: remarks for the person, e.g. kinds that this model does not have.
        dispatch_overhead: share of a plain evaluation that asking layers takes, whatever they
            answer; 0 where no calibration tells.
        predicted: speedup, flop_bound and error as expected before the run, if they were.
        is_calibrating: whether the run was measured, and therefore reuses nothing.
        idle: why nothing may be reused in this run, where that is known when it begins.
        changes: mean relative change of layers between computed steps, predicted and measured.
        observed: what steps and kept values cost, once the run is over.
    """

    methods: Sequence[str]
    family: str
    sampler: str
    plans: Mapping[str, str]
    timeline: Timeline | None
    layers: Mapping[str, int]
    notes: list[str]
    evaluations: int = 0
    seconds: float = 0.0
    peak_nbytes: int = 0
    dispatch_overhead: float = 0.0
    predicted: Mapping[str, float | None] | None = None
    changes: tuple[float, float] | None = None
    observed: Observation | None = None
    is_calibrating: bool = False
    idle: str = ""
    outcome: str = "running"
    computed: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    reused: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    forced: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    step_seconds: dict[int, float] = field(default_factory=dict[int, float])
    step_nbytes: dict[int, int] = field(default_factory=dict[int, int])
    storing_seconds: dict[int, float] = field(default_factory=dict[int, float])
    _lock: Lock = field(default_factory=Lock, init=False)
    _mark: tuple[int, float] | None = field(default=None, init=False)

    @property
    def steps(self) -> int:
        """Sampler steps of the run."""
        return max((len(strip) for strip in self.plans.values()), default=0)

    @property
    def total_computed(self) -> int:
        """Site evaluations that were computed."""
        return sum(self.computed.values())

    @property
    def total_reused(self) -> int:
        """Site evaluations that were answered from the store."""
        return sum(self.reused.values())

    def count(
        self, kind: str, step: int, *, reused: bool, streams: int, forced: str | None = None
    ) -> None:
        """Record one decision; `forced` says why it is not the planned one."""
        with self._lock:
            (self.reused if reused else self.computed)[kind, step] += streams
            if forced is not None:
                self.forced[kind, forced] += streams

    def remark(self, remark: str) -> None:
        """Note something for the person, once."""
        with self._lock:
            if remark not in self.notes:
                self.notes.append(remark)

    def answers(self) -> int:
        """How often a site was asked until now."""
        return self.total_computed + self.total_reused

    def add_storing(self, step: int, seconds: float) -> None:
        """Record that so much of a step went into keeping something for later ones."""
        with self._lock:
            self.storing_seconds[step] = self.storing_seconds.get(step, 0.0) + seconds

    def start_evaluation(self, step: int, nbytes: int = 0) -> None:
        """Record that an evaluation of `step` begins and the one before it ended.

        Args:
            step: the step that begins.
            nbytes: bytes that are kept at this moment.
        """
        self._close_mark(nbytes)
        self.evaluations += 1
        self._mark = (step, perf_counter())

    def finish(self, outcome: str, peak_nbytes: int, nbytes: int = 0) -> None:
        """Record the end of the run.

        Args:
            outcome: "finished", or what stopped it.
            peak_nbytes: most bytes that were kept at one moment.
            nbytes: bytes that were kept at the end.
        """
        self._close_mark(nbytes)
        self.seconds = sum(self.step_seconds.values())
        self.outcome = outcome
        self.peak_nbytes = peak_nbytes

    def _close_mark(self, nbytes: int) -> None:
        if self._mark is not None:
            step, since = self._mark
            self.step_nbytes[step] = nbytes
            self.step_seconds[step] = self.step_seconds.get(step, 0.0) + perf_counter() - since
            self._mark = None

    def strip_of(self, kind: str) -> str:
        """What a kind did: C computed, R reused, P partly, "." not called in that step."""
        letters: list[str] = []
        for step in range(self.steps):
            computed, reused = self.computed[kind, step], self.reused[kind, step]
            letters.append(
                "P" if computed and reused else "C" if computed else "R" if reused else "."
            )
        return "".join(letters)

    def share_of(self, kind: str, step: int) -> float:
        """Which share of a kind's site evaluations was answered in a step, 0 … 1."""
        computed, reused = self.computed[kind, step], self.reused[kind, step]
        return reused / (computed + reused) if reused else 0.0

    def counts_of(self, kind: str) -> tuple[int, int]:
        """How many site evaluations of a kind were computed, and how many answered."""
        computed, reused = (
            sum(n for (k, _), n in counts.items() if k == kind)
            for counts in (self.computed, self.reused)
        )
        return computed, reused

    @property
    def reasons(self) -> list[str]:
        """Why sites computed although reuse was planned, for a person."""
        return [
            f"computed although reuse was planned: {kind}, {n}×, {reason}"
            for (kind, reason), n in sorted(self.forced.items())
        ]

    @property
    def measured_speedup(self) -> float | None:
        """Seconds if every step computed everything, kept nothing and was not asked, ÷ seconds.

        From this run alone, so that it can be said without a plain one beside it; None where its
        steps do not tell what computing everything takes.
        """
        if self.observed is None or self.seconds <= 0 or self.evaluations != self.steps:
            return None
        full = (self.observed.full_seconds or 0.0) / (1 + self.dispatch_overhead)
        return full * self.steps / self.seconds if full else None

    @property
    def nothing_reused_because(self) -> str | None:
        """Why a run reused nothing, in words; None if it did reuse."""
        if self.total_reused:
            return None
        if self.idle:
            return self.idle
        if not self.evaluations:
            return "the sampler never called the model"
        if self.is_calibrating:
            return "the run was measured, for which every step computes"
        if not any("R" in strip for strip in self.plans.values()):
            return (
                f"the settings plan no reuse in these {self.steps} steps: raise the interval or "
                f"range above 1, widen start/end, or sample more steps"
            )
        if not self.total_computed:
            return (
                "the layers were never called: another extension answered for the model or "
                "replaced its layers, or the model computes them by another way"
            )
        # Part of the log's line, and not every console has ×: code page 1251 has none.
        reasons = ", ".join(f"{reason} ({n}x)" for (_, reason), n in self.forced.most_common())
        if reasons:
            return f"every planned reuse had to be computed: {reasons}"
        return "the sampler visited none of the steps in which reuse was planned"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, ready for JSON."""
        return {
            "version": REPORT_VERSION,
            "methods": list(self.methods),
            "family": self.family,
            "sampler": self.sampler,
            "outcome": self.outcome,
            "steps": self.steps,
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 6),
            "step_seconds": [round(self.step_seconds.get(i, 0.0), 6) for i in range(self.steps)],
            "peak_bytes": self.peak_nbytes,
            "step_bytes": [self.step_nbytes.get(i, 0) for i in range(self.steps)],
            "kinds": {
                kind: {
                    "plan": plan,
                    "strip": self.strip_of(kind),
                    **dict(zip(("computed", "reused"), self.counts_of(kind), strict=True)),
                }
                for kind, plan in self.plans.items()
            },
            "computed": self.total_computed,
            "reused": self.total_reused,
            "forced": [
                {"kind": kind, "reason": reason, "count": n}
                for (kind, reason), n in sorted(self.forced.items())
            ],
            "timeline": _numbers(self.timeline),
            "layers": dict(self.layers),
            "notes": list(self.notes),
            "predicted": dict(self.predicted) if self.predicted is not None else None,
            "changes": list(map(_rounded, self.changes)) if self.changes is not None else None,
            "measured_speedup": _rounded(self.measured_speedup),
            "observed": self.observed.to_dict() if self.observed is not None else None,
            "nothing_reused_because": self.nothing_reused_because,
        }

    def to_json(self) -> str:
        """The report as versioned JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def summary(self) -> str:
        """One line for the log."""
        total = self.total_computed + self.total_reused
        share = 100 * self.total_reused / total if total else 0.0
        parts = [
            f"Step Cache: {' + '.join(self.methods)} on {self.family}: reused "
            f"{self.total_reused} of {total} ({share:.0f} %) in {self.evaluations} evaluations, "
            f"{self.seconds:.2f} s, {self.peak_nbytes / 2**20:.1f} MiB"
        ]
        if self.outcome != "finished":
            parts.append(self.outcome)
        if self.nothing_reused_because:
            parts.append(f"nothing reused: {self.nothing_reused_because}")
        return "; ".join(parts)

    @property
    def speedups(self) -> list[str]:
        """Predicted beside measured, for a person."""
        measured = self.measured_speedup
        lines: list[str] = []
        if self.predicted is not None:
            speedup, error = self.predicted["speedup"], self.predicted["error"]
            lines.append(f"predicted: {speedup:.2f}× faster, {100 * (error or 0):.1f} % error")
        if measured is not None and self.total_reused:
            lines.append(f"measured: {measured:.2f}× faster than if all steps computed everything")
        if self.changes is not None:
            expected, found = self.changes
            lines.append(
                f"change of layers when computed again: predicted {100 * expected:.1f} %, measured "
                f"{100 * found:.1f} %"
            )
        return lines

    def to_text(self) -> str:
        """The report for a person: the summary, then one strip per kind."""
        lines = [self.summary(), *(f"note: {note}" for note in self.notes), ""]
        width = max((len(kind) for kind in self.plans), default=0)
        for kind, plan in self.plans.items():
            lines.append(f"{kind:{width}}  {self.strip_of(kind)}")
            if self.strip_of(kind) != plan:
                lines.append(f"{'planned':>{width}}  {plan}")
        lines += ["", *self.speedups] if self.speedups else []
        lines += ["", "C computed   R reused   P partly   . not called", *self.reasons]
        return "\n".join(lines)


def _numbers(timeline: Timeline | None) -> dict[str, list[float | None]] | None:
    if timeline is None:
        return None
    return {name: list(values) for name, values in asdict(timeline).items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
