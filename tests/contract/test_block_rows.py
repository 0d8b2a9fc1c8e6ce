"""Whole blocks are stored as one sum per row of blocks, and residuals between them stay fresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import comfy.supported_models as supported
import host
import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.decisions import NOT_STORED
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.intercept.block_row import PATCHED
from stepcache.cache_core.methods import PAB, SmoothCache
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.session import Session
from stepcache.cache_core.sites import SiteKind
from toy import random_weights
from zoo import double_stream

BLOCKS = PAB(block=2, window=PercentRange(0.0, 1.0))
STREAMS = 2
"""cond and uncond."""

FLUX_BYTES = (7 + 16) * 32 * 4
"""Tokens of prompt and picture, width, bytes of a number: what one row of Flux's toy adds."""

WAN_BYTES = 2 * 4 * 4 * 48 * 4
"""Frames, height and width in patches, width, bytes of a number: the same of Wan's."""


def _flux(count: int) -> Any:
    return double_stream.flux_config(depth=count, depth_single_blocks=count)


def _wan(count: int) -> Any:
    return supported.WAN21_T2V({**toys.wan_config().unet_config, "num_layers": count})


CONFIGS: dict[str, Callable[[int], Any]] = {"flux": _flux, "wan": _wan}


@pytest.fixture
def singly() -> Iterator[Callable[[], None]]:
    """From its call on, every block is stored by itself."""
    rows = Session.rows

    def switch() -> None:
        Session.rows = property(lambda _: [])  # type: ignore[assignment]

    yield switch
    Session.rows = rows


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Apart by no more than roundings: of a sum per block, amplified as in law 2."""
    return (one - other).abs().max().item() <= 22 * 2**-24 * 100 * other.std().item()


@pytest.mark.parametrize("count", [2, 6])
@pytest.mark.parametrize(
    ("name", "rows", "row_bytes"), [("flux", 2, FLUX_BYTES), ("wan", 1, WAN_BYTES)]
)
def test_bytes_are_those_of_one_sum_per_row_however_many_blocks(
    name: str, rows: int, row_bytes: int, count: int
) -> None:
    model = random_weights(partial(CONFIGS[name], count))()
    patched = attach(model, BLOCKS)
    toys.sample(patched, name)
    report = last_report(patched)
    assert report.peak_nbytes == rows * STREAMS * row_bytes
    assert report.counts_of("block") == (STREAMS * rows * count * 3,) * 2
    assert not report.forced


def test_half_precision_is_kept_as_such_between_steps() -> None:
    model = random_weights(partial(_flux, 6))()
    model.model.diffusion_model.to(torch.bfloat16)
    model.model.diffusion_model.dtype = torch.bfloat16
    patched = attach(model, BLOCKS)
    toys.sample(patched, "flux")
    report = last_report(patched)
    assert report.step_nbytes[1] == STREAMS * FLUX_BYTES, "two rows of half the size"
    # While the second row computes, its sum has the size of float32.
    assert report.peak_nbytes == STREAMS * 1.5 * FLUX_BYTES


def test_the_picture_is_the_one_of_blocks_stored_singly(singly: Callable[[], None]) -> None:
    pictures: list[torch.Tensor] = []
    for before in (lambda: None, singly):
        before()
        patched = attach(toys.load("flux"), BLOCKS)
        pictures.append(toys.sample(patched, "flux"))
    sizes = [last_report(patched).peak_nbytes, STREAMS * 4 * FLUX_BYTES]
    assert sizes[0] == sizes[1], "not stored singly"
    assert _close(*pictures)


def _with_residuals(model: Any, scale_of: Callable[[int], float]) -> Any:
    """A clone with residuals as of a ControlNet, of another strength in every evaluation."""
    generator = torch.Generator().manual_seed(2)
    residuals = [torch.randn(1, 16, 32, generator=generator) for _ in range(4)]
    evaluations = iter(range(100))

    def control(executor: Any, x: Any, t: Any, concat: Any, text: Any, _: Any, *rest: Any,
                **conds: Any) -> Any:  # fmt: skip
        scale = scale_of(next(evaluations))
        scaled = [scale * residual for residual in residuals]
        places = {"input": scaled[:2], "output": scaled[2:]}
        return executor(x, t, concat, text, places, *rest, **conds)

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "residuals", control)
    return clone


def test_residuals_that_change_in_a_reused_step_are_fresh(singly: Callable[[], None]) -> None:
    found: list[list[torch.Tensor]] = []
    for before, scale_of in (
        (lambda: None, float), (lambda: None, lambda _: 0.0), (singly, float)
    ):  # fmt: skip
        before()
        patched = _with_residuals(attach(toys.load("flux"), BLOCKS), scale_of)
        held, answers = observe.record_answers(observe.hold_inputs_still(patched))
        toys.sample(held, "flux", cfg=1.0)
        report = last_report(patched)
        assert report.strip_of("block") == "CRCRCR"
        found.append(answers)
    fresh, none, single = found
    assert report.peak_nbytes == 4 * FLUX_BYTES, "not stored singly"
    # In the first step there are none, so they are not in the sum that the second one reuses.
    assert torch.equal(fresh[0], none[0])
    assert not torch.allclose(fresh[1], none[1], atol=0.01)
    assert all(map(_close, fresh, single))


@pytest.mark.parametrize("name", ["flux", "wan"])
def test_blocks_with_plans_of_their_own_are_stored_singly(name: str) -> None:
    model = random_weights(partial(CONFIGS[name], 4))()
    count = {"flux": 8, "wan": 4}[name]
    own = [tuple((step + index) % 2 == 0 or not step for step in range(6)) for index in (0, 1)]
    rows = tuple((SiteKind.BLOCK, index, own[index % 2]) for index in range(count))
    patched = attach(model, SmoothCache(rows))
    toys.sample(patched, name)
    report = last_report(patched)
    size = {"flux": FLUX_BYTES, "wan": WAN_BYTES}[name]
    assert report.peak_nbytes == STREAMS * count * size
    assert not report.forced and report.total_reused > 0


def test_layers_with_the_same_plan_each_are_one_sum() -> None:
    rows = tuple((SiteKind.BLOCK, index, (True, False) * 3) for index in range(3))
    patched = attach(toys.load("wan"), SmoothCache(rows))
    toys.sample(patched, "wan")
    assert last_report(patched).peak_nbytes == STREAMS * WAN_BYTES


def _written_into(model: Any) -> Any:
    """A patch behind every block that reads the stream and writes into it."""

    def behind(arguments: dict[str, Any]) -> dict[str, Any]:
        arguments["img"] += 0.1 * torch.tanh(arguments["img"]).roll(1, 1)
        return arguments

    clone = model.clone()
    clone.set_model_patch(behind, "double_block")
    return clone


def _around(in_place: bool, model: Any) -> Any:
    """A patch around the second block that makes something of what it returns."""

    def around(arguments: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        out = extra["original_block"](arguments)
        out["img"] = out["img"].mul_(1.1) if in_place else out["img"] * 1.1
        return out

    clone = model.clone()
    clone.set_model_patch_replace(around, "dit", "double_block", 1)
    return clone


def _between_by_a_forward(model: Any) -> Any:
    """A node that makes something of its own between two blocks."""
    clone = model.clone()
    block = clone.get_model_object("diffusion_model.blocks.2")

    def between(executor: Any, *args: Any, **kwargs: Any) -> Any:
        with observe.overheard(block, [""], hear):
            return executor(*args, **kwargs)

    def hear(_: str, compute: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, *rest = args
        return compute(x + 0.1 * torch.tanh(x), *rest, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "between", between)
    return clone


@pytest.mark.parametrize(
    ("change", "values"),
    [
        (_written_into, 3),
        # The block before, the patched one and the one behind it.
        (partial(_around, False), 3),
        (partial(_around, True), 3),
        # The two before, and the one behind.
        (_between_by_a_forward, 2),
    ],
    ids=["behind", "around", "around, in place", "between"],
)
def test_where_others_read_the_stream_between_blocks_a_new_sum_begins(
    change: Callable[[Any], Any], values: int
) -> None:
    patched = change(attach(toys.load("wan"), BLOCKS))
    held, answers = observe.record_answers(observe.hold_inputs_still(patched))
    toys.sample(held, "wan")
    report = last_report(patched)
    assert report.strip_of("block") == "CRCRCR"
    assert report.peak_nbytes == STREAMS * values * WAN_BYTES
    assert all(_close(answer, answers[0]) for answer in answers)
    plain = toys.sample(toys.load("wan"), "wan", steps=1)
    assert not torch.allclose(toys.sample(change(toys.load("wan")), "wan", steps=1), plain)


def test_a_block_that_is_skipped_is_not_in_the_sum() -> None:
    skip = host.applied(
        "nodes_slg", "SkipLayerGuidanceDiT", double_layers="1", single_layers="", scale=3.0,
        start_percent=0.0, end_percent=1.0, rescaling_scale=0.0,
    )  # fmt: skip
    patched = skip(attach(toys.load("wan"), BLOCKS))
    held, answers = observe.record_answers(observe.hold_inputs_still(patched))
    toys.sample(held, "wan")
    report = last_report(patched)
    assert not report.forced
    # Prompt and negative prompt; of the third pass what stands before the skipped one, and behind.
    assert report.peak_nbytes == (STREAMS + 2) * WAN_BYTES
    assert report.counts_of("block") == ((STREAMS * 3 + 2) * 3,) * 2
    assert all(_close(answer, answers[0]) for answer in answers)


def test_where_one_block_has_to_compute_all_after_it_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum of a row was lost: its blocks compute together, and the report says why."""
    begin = Session.start_evaluation
    lost = iter(range(100))

    def start(session: Session, sigma: float, half_log_snr: float) -> None:
        begin(session, sigma, half_log_snr)
        if next(lost) == 3:
            for row in session.rows:
                session.store.drop_all(row[0])

    monkeypatch.setattr(Session, "start_evaluation", start)
    patched = attach(toys.load("wan"), BLOCKS)
    toys.sample(patched, "wan")
    report = last_report(patched)
    assert report.strip_of("block") == "CRCCCR"
    assert report.forced == {("block", NOT_STORED): 3 * STREAMS}


def test_patches_that_come_and_go_never_meet_a_sum_of_other_steps() -> None:
    def behind(arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments

    evaluations = iter(range(100))

    def attach_now(executor: Any, x: Any, sigma: Any, options: dict[str, Any], seed: Any) -> Any:
        patches = {"double_block": [behind]} if next(evaluations) in (0, 3) else {}
        transformer = {**options["transformer_options"], "patches": patches}
        return executor(x, sigma, {**options, "transformer_options": transformer}, seed)

    patched = attach(toys.load("wan"), BLOCKS)
    patched.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "patches", attach_now)
    toys.sample(patched, "wan")
    report = last_report(patched)
    assert report.strip_of("block") == "CRCCCR"
    assert report.forced == {("block", PATCHED): 3 * STREAMS}
    values = [report.step_nbytes[step] / (STREAMS * WAN_BYTES) for step in range(6)]
    assert values == [3, 3, 1, 3, 1, 1]
