"""An audit for a person: in words, what to do first, and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from PIL import Image

from .. import pictures
from .audit import MIN_GAIN, Audit, Recommendation
from .op_trace import shares

MAX_WAITS = 8
LITTLE = 0.01
"""Lists of blocks that take less than this share of the time are not shown."""


def headline(audit: Audit) -> str:
    """What was audited, and what it took."""
    timed = audit.timed
    each = timed.seconds / max(timed.evaluations, 1)
    words = (
        f"{audit.model} on {audit.device}: {audit.steps} steps in {timed.seconds:.2f} s, "
        f"{timed.evaluations} evaluations of {each:.3g} s"
    )
    words += f" (the middle one of {audit.runs} runs)" if audit.runs > 1 else ""
    if not audit.attached:
        return words
    words += f"; with {' + '.join(audit.attached)}"
    if audit.gained is not None:
        return f"{words}, {audit.gained:.2f}x as fast as without (measured by turns)"
    return f"{words}; reuse makes it {audit.reuse:.2f}x as fast" if audit.reuse else words


def advised(audit: Audit) -> list[str]:
    """What to do in words, one line each."""
    if audit.advice:
        return [
            f"{number}. {each}{_in_all(audit, each)}"
            for number, each in enumerate(audit.advice, start=1)
        ]
    return [
        f"Nothing to recommend: of {len(audit.tried)} settings that were tried or estimated none "
        f"makes this run {100 * (MIN_GAIN - 1):.0f} % faster."
    ]


def _in_all(audit: Audit, line: Recommendation) -> str:
    """What the next audit will say then, where something was gained already."""
    if audit.gained is None or not audit.attached:
        return ""
    return f" In all then {audit.gained * line.gain:.2f}x."


def text_of(audit: Audit) -> str:
    """For a person: what to do first, then what it rests on."""
    return "\n".join([headline(audit), "", "What to do", *advised(audit), "", *_details(audit)])


def _details(audit: Audit) -> Iterator[str]:
    yield f"time: {_percents(audit.parts)}"
    yield f"before the first evaluation: {audit.timed.loading:.2f} s"
    if audit.profiled.reason:
        yield f"profile: none, {audit.profiled.reason}"
    else:
        yield f"operators: {_percents(audit.profiled.longest or {})} of their time"
    yield from on_blocks(audit)
    yield from on_waits(audit)
    yield from (on_compiler(audit), on_memory(audit), on_caching(audit))
    if audit.tried:
        gains = ", ".join(f"{name} {gain:.2f}x" for name, gain in audit.tried.items())
        yield f"tried or estimated, each by itself: {gains}"
    for name, reason in audit.failed.items():
        yield f"not tried: {name}: {reason}"
    yield (
        "Each gain is by itself: after following one line, audit again. Seconds are of a run "
        "in which only clocks were read; shares inside of the model are of one call under the "
        "profiler, which makes Python slower than it is."
    )


def _times(audit: Audit) -> Mapping[str, float]:
    return audit.profiled.block_lists or {}


def _shown_lists(audit: Audit) -> list[tuple[str, tuple[int, dict[str, int], dict[str, int]]]]:
    return [
        row for row in audit.heard.block_lists.items() if _times(audit).get(row[0], 0.0) >= LITTLE
    ]


def on_blocks(audit: Audit) -> Iterator[str]:
    """Numbers and attention, by list of blocks."""
    if audit.heard.reason:
        yield f"blocks: not known, {audit.heard.reason}"
        return
    for name, (count, dtypes, attention) in _shown_lists(audit):
        words = [
            f"{100 * _times(audit)[name]:.0f} % of the time",
            shares(dtypes) or "no products",
        ]
        words += [f"attention {shares(attention)}"] if attention else []
        yield f"blocks {name} ({count}): {'; '.join(words)}"
    yield (
        f"the whole model: products {shares(audit.heard.dtypes) or 'none'}; attention "
        f"{shares(audit.heard.attention) or 'none that the host was asked for'}"
    )


def on_waits(audit: Audit) -> Iterator[str]:
    """Where the program waits, in one evaluation."""
    if audit.heard.reason:
        yield f"waits: not known, {audit.heard.reason}"
        return
    waits = audit.heard.waits
    verb = "waits for the device" if audit.device != "cpu" else "would wait for a GPU"
    if not waits:
        yield f"waits: no line {verb} in one evaluation and the sampler's step after it"
    ordered = sorted(waits.items(), key=lambda each: (-each[0].is_in_model, -each[1]))
    for wait, count in ordered[:MAX_WAITS]:
        where = "in the model" if wait.is_in_model else "between its calls"
        yield f"{verb} {count}x per evaluation, {where}: {wait.line} {wait.what}"
    if len(ordered) > MAX_WAITS:
        yield f"and at {len(ordered) - MAX_WAITS} other lines, see the JSON"


def on_compiler(audit: Audit) -> str:
    """What torch.compile did during the run."""
    return f"compiler: {_counts(audit.timed.compiled) or 'nothing was compiled during the run'}"


def on_memory(audit: Audit) -> str:
    """How much was in use."""
    return f"memory: at most {audit.timed.nbytes / 2**20:.0f} MiB {audit.timed.memory}"


def on_caching(audit: Audit) -> str:
    """What layers could still save."""
    if audit.caching.reason:
        return f"caching: {audit.caching.reason}"
    return (
        f"caching: reusing could still leave out at most {100 * audit.caching.still:.0f} % of "
        f"this run; a plain step is {_percents(audit.caching.kinds)} (some contain others)"
    )


def drawn(audit: Audit) -> Image.Image:
    """On one picture of 1024 pixels' width."""
    rows = {f"{name} ({row[0]})": _times(audit).get(name, 0.0) for name, row in _shown_lists(audit)}
    bars = {
        "Blocks: share of the model's time": rows,
        "Layers: share of a plain step (some contain others)": audit.caching.kinds,
        "Operators: share of their time": audit.profiled.longest or {},
    }
    notes = [*on_waits(audit), on_compiler(audit), on_memory(audit), on_caching(audit)]
    return pictures.draw_audit(headline(audit), advised(audit), audit.parts, bars, notes)


def _percents(found: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name.removeprefix('aten::').replace('_', ' ').strip()} {100 * n:.0f} %"
        for name, n in found.items()
    )


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.items())
