"""What an audit found: as text, as plain data, and in parts for a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from ...speed.listening import Heard, shares
from ...speed.profiling import Profiled
from ...speed.timing import Timed
from .. import picture

AUDIT_VERSION = 1
"""Version of the JSON layout; raised when a key changes its meaning or goes away."""

NAME = "Speed Audit"

LEAST_GAIN = 1.03
"""Less is within what two runs differ by anyway."""
MOST_RECOMMENDED = 5
MOST_WAITS = 8
LITTLE = 0.01
"""Rows of blocks that take less than this share of the time are not shown."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing that was tried, and may be worth doing.

    Args:
        node: the node that does it.
        setting: its inputs; empty where it has none.
        gain: seconds of the run as it is ÷ seconds with it; by itself, without the others.
        how: where the gain is known from.
        caution: what else it does.
        is_sure: whether it may be recommended, if the gain is worth it.
    """

    node: str
    setting: str
    gain: float
    how: str
    caution: str
    is_sure: bool = True

    @property
    def name(self) -> str:
        """The node and what is set on it."""
        return f"{self.node} ({self.setting})" if self.setting else self.node

    def __str__(self) -> str:
        setting = f", {self.setting}" if self.setting else ""
        return f"{self.node}{setting}: about {self.gain:.2f}x as fast ({self.how}). {self.caution}"


@dataclass(frozen=True, slots=True)
class Caching:
    """What reusing layers could save.

    Args:
        kinds: share of a plain step that each kind of layer takes, 0 … 1; kinds may contain each
            other.
        still: share of the audited run that at most could still be left out, 0 … 1.
        reason: why nothing is known; None if something is.
    """

    kinds: Mapping[str, float] = field(default_factory=dict[str, float])
    still: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """All of it.

    Args:
        model: family or class of the network.
        device: on which it ran.
        steps: of the audited run.
        attached: nodes of this pack on the model, in words.
        reuse: seconds if every step had computed everything ÷ seconds; None where nothing reuses.
        timed: the audited run.
        heard: operators of one evaluation.
        profiled: one call of the model.
        caching: what layers could save.
        advice: what to do, the greatest gain first.
        tried: gain of everything that was tried or reckoned, by its name.
        failed: why something could not be tried, by its name.
    """

    model: str
    device: str
    steps: int
    attached: tuple[str, ...]
    reuse: float | None
    timed: Timed
    heard: Heard
    profiled: Profiled
    caching: Caching
    advice: tuple[Recommendation, ...]
    tried: Mapping[str, float]
    failed: Mapping[str, str]

    @property
    def parts(self) -> dict[str, float]:
        """Share of the run's seconds, 0 … 1, by part; together 1."""
        timed, profiled = self.timed, self.profiled
        model = min(timed.model / timed.seconds, 1.0) if timed.seconds else 0.0
        found = {"model": model * profiled.operators}
        if profiled.reason is None:
            name = "idle device" if self.device != "cpu" else "Python overhead"
            found[name] = model * profiled.waiting
            found["transfer"] = model * profiled.transfer
        return {**found, "sampler": 1.0 - sum(found.values())}

    @property
    def headline(self) -> str:
        timed = self.timed
        each = timed.seconds / max(timed.evaluations, 1)
        words = (
            f"{self.model} on {self.device}: {self.steps} steps in {timed.seconds:.2f} s, "
            f"{timed.evaluations} evaluations of {each:.3g} s"
        )
        words += f"; with {' + '.join(self.attached)}" if self.attached else ""
        return f"{words}; reuse makes it {self.reuse:.2f}x as fast" if self.reuse else words

    @property
    def advised(self) -> list[str]:
        """What to do in words, one line each."""
        if self.advice:
            return [f"{number}. {each}" for number, each in enumerate(self.advice, start=1)]
        return [
            f"Nothing to recommend: of {len(self.tried)} settings that were tried or reckoned none "
            f"makes this run {100 * (LEAST_GAIN - 1):.0f} % faster."
        ]

    def to_text(self) -> str:
        """For a person: what to do first, then what it rests on."""
        return "\n".join([self.headline, "", "What to do", *self.advised, "", *self._details()])

    def _details(self) -> Iterator[str]:
        yield f"time: {_percents(self.parts)}"
        yield f"before the first evaluation: {self.timed.loading:.2f} s"
        if self.profiled.reason:
            yield f"profile: none, {self.profiled.reason}"
        else:
            yield f"operators: {_percents(self.profiled.longest or {})} of their time"
        yield from self.on_blocks()
        yield from self.on_waits()
        yield from (self.on_compiler, self.on_memory, self.on_caching)
        if self.tried:
            gains = ", ".join(f"{name} {gain:.2f}x" for name, gain in self.tried.items())
            yield f"tried or reckoned, each by itself: {gains}"
        for name, reason in self.failed.items():
            yield f"not tried: {name}: {reason}"
        yield (
            "Each gain is by itself: after following one line, audit again. Seconds are of a run "
            "in which only clocks were read; shares inside of the model are of one call under the "
            "profiler, which makes Python slower than it is."
        )

    @property
    def _times(self) -> Mapping[str, float]:
        return self.profiled.rows or {}

    @property
    def _shown_rows(self) -> list[tuple[str, tuple[int, dict[str, int], dict[str, int]]]]:
        return [row for row in self.heard.rows.items() if self._times.get(row[0], 0.0) >= LITTLE]

    def on_blocks(self) -> Iterator[str]:
        """Numbers and attention, by row of blocks."""
        if self.heard.reason:
            yield f"blocks: not known, {self.heard.reason}"
            return
        for name, (count, dtypes, attention) in self._shown_rows:
            words = [
                f"{100 * self._times[name]:.0f} % of the time",
                shares(dtypes) or "no products",
            ]
            words += [f"attention {shares(attention)}"] if attention else []
            yield f"blocks {name} ({count}): {'; '.join(words)}"
        yield (
            f"the whole model: products {shares(self.heard.dtypes) or 'none'}; attention "
            f"{shares(self.heard.attention) or 'none that the host was asked for'}"
        )

    def on_waits(self) -> Iterator[str]:
        """Where the program waits, in one evaluation."""
        if self.heard.reason:
            yield f"waits: not known, {self.heard.reason}"
            return
        waits = self.heard.waits
        verb = "waits for the device" if self.device != "cpu" else "would wait for a GPU"
        if not waits:
            yield f"waits: no line {verb} in one evaluation and the sampler's step after it"
        ordered = sorted(waits.items(), key=lambda each: (-each[0].is_in_model, -each[1]))
        for wait, count in ordered[:MOST_WAITS]:
            where = "in the model" if wait.is_in_model else "between its calls"
            yield f"{verb} {count}x per evaluation, {where}: {wait.line} {wait.what}"
        if len(ordered) > MOST_WAITS:
            yield f"and at {len(ordered) - MOST_WAITS} other lines, see the JSON"

    @property
    def on_compiler(self) -> str:
        """What torch.compile did during the run."""
        return f"compiler: {_counts(self.timed.compiled) or 'not in use'}"

    @property
    def on_memory(self) -> str:
        """How much was in use."""
        return f"memory: at most {self.timed.nbytes / 2**20:.0f} MiB {self.timed.memory}"

    @property
    def on_caching(self) -> str:
        """What layers could still save."""
        if self.caching.reason:
            return f"caching: {self.caching.reason}"
        return (
            f"caching: reusing could still leave out at most {100 * self.caching.still:.0f} % of "
            f"this run; a plain step is {_percents(self.caching.kinds)} (some contain others)"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, ready for JSON. Shares are 0 … 1, times seconds, memory bytes."""
        timed, heard, profiled = self.timed, self.heard, self.profiled
        return {
            "version": AUDIT_VERSION,
            "model": self.model,
            "device": self.device,
            "steps": self.steps,
            "attached": list(self.attached),
            "reuse": round(self.reuse, 4) if self.reuse is not None else None,
            "seconds": round(timed.seconds, 6),
            "loading_seconds": round(timed.loading, 6),
            "evaluations": timed.evaluations,
            "model_calls": timed.calls,
            "has_two_branches": timed.has_two_branches,
            "latent": list(timed.latent),
            "parts": _rounded(self.parts),
            "operators": _rounded(profiled.longest or {}),
            "profile_reason": profiled.reason,
            "blocks": {
                name: {
                    "count": count,
                    "share": round((profiled.rows or {}).get(name, 0.0), 4),
                    "products": dtypes,
                    "attention": attention,
                }
                for name, (count, dtypes, attention) in heard.rows.items()
            },
            "products": heard.dtypes,
            "attention": heard.attention,
            "waits": [
                {"line": w.line, "what": w.what, "in_model": w.is_in_model, "count": n}
                for w, n in heard.waits.items()
            ],
            "heard_reason": heard.reason,
            "compiled": timed.compiled,
            "peak_bytes": timed.nbytes,
            "memory": timed.memory,
            "caching": {
                "kinds": _rounded(self.caching.kinds),
                "still": round(self.caching.still, 4),
                "reason": self.caching.reason,
            },
            "recommendations": [
                {
                    "node": each.node,
                    "setting": each.setting,
                    "gain": round(each.gain, 4),
                    "how": each.how,
                    "caution": each.caution,
                }
                for each in self.advice
            ],
            "tried": _rounded(self.tried),
            "failed": dict(self.failed),
        }

    def draw(self) -> Image.Image:
        """On one picture of 1024 pixels' width."""
        rows = {f"{name} ({row[0]})": self._times.get(name, 0.0) for name, row in self._shown_rows}
        bars = {
            "Blocks: share of the model's time": rows,
            "Layers: share of a plain step (some contain others)": self.caching.kinds,
            "Operators: share of their time": self.profiled.longest or {},
        }
        notes = [*self.on_waits(), self.on_compiler, self.on_memory, self.on_caching]
        return picture.draw_audit(self.headline, self.advised, self.parts, bars, notes)

    def to_json(self) -> str:
        """As versioned JSON."""
        return json.dumps(self.to_dict(), indent=2)


def _percents(found: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name.removeprefix('aten::').replace('_', ' ').strip()} {100 * n:.0f} %"
        for name, n in found.items()
    )


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.items())


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in found.items()}
