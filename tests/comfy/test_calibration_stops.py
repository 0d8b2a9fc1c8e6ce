"""Calibrating runs that are refused, stopped, or fail at the end: no picture is lost by them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import calibrating
import comfy.model_management
import observe
import pytest
import torch
import toys
from calibrating import calibrate, calibrate_node
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.calibration import Study
from stepcache.cache_core.calibration.file import read
from stepcache.cache_core.errors import ConfigError, RuleConflictError, StepCacheError
from stepcache.cache_core.host import attach, last_calibration, last_report
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.host.run import RUN_KEY
from stepcache.cache_core.methods import PAB, Calibrate
from stepcache.nodes.smoothcache import SmoothCacheSchedule
from stepcache.nodes.step_cache_advisor import StepCacheAdvisor

STEPS = 6
CALIBRATE = Calibrate(Study(lambda calibration: (calibration, ())))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def plain(name: str = "wan", **options: Any) -> torch.Tensor:
    return toys.sample(toys.load(name), name, steps=STEPS, **options)


# Before sampling.


def test_a_denoise_of_none_never_reaches_us() -> None:
    """The host hands the latents back."""
    patched = attach(toys.load("wan"), CALIBRATE)
    latent = torch.ones(toys.TOYS["wan"].latent)
    assert torch.equal(toys.sample(patched, "wan", steps=4, denoise=0.0, latent=latent), latent)
    assert last_report(patched) is None


@pytest.mark.parametrize("other", [PAB(), CALIBRATE], ids=lambda method: method.name)
def test_beside_another_node_it_is_refused_in_either_order(other: Any) -> None:
    for first, second in ((other, CALIBRATE), (CALIBRATE, other)):
        once = attach(toys.load("wan"), first)
        words = f"^{first.name} and {second.name} are attached to one model.*put none behind it"
        with pytest.raises(RuleConflictError, match=words):
            attach(once, second)


def test_a_model_without_layers_to_compare_is_refused() -> None:
    with pytest.raises(StepCacheError, match=r"^SmoothCache Calibrate: .*HiDream O1.*Step Cache"):
        attach(toys.load("hidream_o1"), CALIBRATE)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../mine", "contains /"),
        ("a/b", "contains /"),
        ("C:\\mine", r"contains \\ :"),
        ("..", "begins with a dot"),
        ("CON", "is that of a device on Windows"),
        ("", "is empty"),
    ],
)
def test_a_name_that_leaves_the_folder_is_refused(folder: Path, name: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=f"^SmoothCache Calibrate: the name .*{fault}.*Choose an"):
        calibrate_node(toys.load("wan"), name)
    assert names(folder) == []


def test_a_folder_that_cannot_be_written_to_is_refused(folder: Path) -> None:
    """A file in its place; also where tests run with every right."""
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    words = r"^SmoothCache Calibrate: files cannot be saved in the folder .*move the file away"
    with pytest.raises(ConfigError, match=words):
        calibrate_node(toys.load("wan"))


@pytest.mark.parametrize("lookahead", [0, 21])
def test_a_lookahead_out_of_range_is_refused(folder: Path, lookahead: int) -> None:
    with pytest.raises(ConfigError, match=r"^SmoothCache Calibrate: lookahead is \d+; expected 1 "):
        calibrate_node(toys.load("wan"), lookahead=lookahead)


# Stopped.


@pytest.mark.parametrize("name", ["wan", "sd15"])
@pytest.mark.parametrize("step", [0, 1, 2, 4])
def test_an_interrupted_run_leaves_a_part_and_nothing_else(
    folder: Path, name: str, step: int
) -> None:
    model = toys.load(name)
    expected, marks = plain(name), observe.fingerprint(model)
    patched = calibrate_node(model)

    def interrupt(done: int, *_: Any) -> None:
        if done == step:
            comfy.model_management.interrupt_current_processing()
            comfy.model_management.throw_exception_if_processing_interrupted()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        toys.sample(patched, name, steps=STEPS, callback=interrupt)
    notes = " ".join(last_report(patched).notes)
    if step < 2:
        assert names(folder) == []
        assert "SmoothCache Calibrate: the run was stopped before two steps were done" in notes
    else:
        assert names(folder) == ["mine.partial.json"]
        part = read(folder / "mine.partial.json")
        assert not part.is_whole
        # The step in which it was stopped may not be whole.
        assert part.table.steps == step
        whole = calibrate(name, steps=STEPS).calibration
        assert part.kinds == whole.kinds
        for place, lags in part.table.rows.items():
            assert lags[0] == pytest.approx(whole.table.rows[place][0][: step - 1], rel=1e-3)
    assert observe.stored_bytes() == 0
    assert calibrating.recorders() == 0
    assert observe.fingerprint(model) == marks
    assert RUN_KEY not in patched.model_options["transformer_options"]
    assert torch.equal(toys.sample(patched, name, steps=STEPS), expected)
    assert "mine.json" in names(folder), "the next run is a whole one"


def test_an_error_in_the_middle_of_a_call_leaves_a_part_with_every_kind(folder: Path) -> None:
    """The last step has half of the layers; without it all of them can be compared."""
    patched = calibrate_node(toys.load("wan"))
    calls = iter(range(10**6))

    def fail(module: Any, args: Any) -> None:
        if next(calls) == 4:
            raise torch.OutOfMemoryError("out of memory")

    block = toys.load("wan").model.diffusion_model.blocks[1]
    hook = block.register_forward_pre_hook(fail)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            toys.sample(patched, "wan", steps=STEPS)
    finally:
        hook.remove()
    part = read(folder / "mine.partial.json")
    assert part.table.steps == 4
    assert part.kinds == calibrate("wan", steps=STEPS).calibration.kinds
    assert torch.equal(toys.sample(patched, "wan", steps=STEPS), plain())


def test_a_part_touches_no_whole_file_and_is_refused_everywhere(folder: Path) -> None:
    patched = calibrate_node(toys.load("wan"))
    toys.sample(patched, "wan", steps=STEPS)
    whole = (folder / "mine.json").read_bytes()

    def interrupt(done: int, *_: Any) -> None:
        if done == 4:
            raise comfy.model_management.InterruptProcessingException

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        toys.sample(patched, "wan", steps=STEPS, callback=interrupt)
    assert names(folder) == ["mine.json", "mine.partial.json"]
    assert (folder / "mine.json").read_bytes() == whole
    # Whoever renames it gets no further.
    shutil.copy(folder / "mine.partial.json", folder / "renamed.json")
    model = toys.load("wan")
    for name in ("mine.partial.json", "renamed.json"):
        words = f"the calibration {name} is of a run that was interrupted after 4 steps; expected"
        with pytest.raises(ConfigError, match=f"^SmoothCache Schedule: {words}"):
            SmoothCacheSchedule.execute(model, name, 20)
        with pytest.raises(ConfigError, match=f"^Step Cache Advisor: {words}"):
            StepCacheAdvisor.execute(model, name, 1.5)


# Failing when all is done.


def test_a_disk_that_fails_at_the_end_loses_no_picture(folder: Path) -> None:
    """The folder was there when the node looked, and is a file when the run ends."""
    patched = calibrate_node(toys.load("wan"))

    def lose(done: int, *_: Any) -> None:
        if done == STEPS - 1:
            shutil.rmtree(folder)
            folder.write_text("a file")

    assert torch.equal(toys.sample(patched, "wan", steps=STEPS, callback=lose), plain())
    report = last_report(patched)
    assert report.outcome == "finished"
    assert any("cannot be saved in the folder" in note for note in report.notes)
    assert last_calibration(patched) is None
    assert observe.stored_bytes() == 0 and calibrating.recorders() == 0


@pytest.mark.parametrize("error", [ValueError("unheard of"), KeyError("gone"), RecursionError()])
def test_an_error_of_ours_at_the_end_loses_no_picture(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def deliver(_: Any) -> Any:
        raise error

    patched = attach(toys.load("wan"), Calibrate(Study(deliver)))
    assert torch.equal(toys.sample(patched, "wan", steps=STEPS), plain())
    report = last_report(patched)
    assert report.outcome == "finished"
    assert f"what was measured is lost by an error in Step Cache ({type(error).__name__}: " in (
        " ".join(report.notes)
    )
    assert last_calibration(patched) is None
    (logged,) = (record for record in caplog.records if record.exc_info)
    assert logged.exc_info[1] is error, "the log has the traceback"
    assert observe.stored_bytes() == 0
    assert RUN_KEY not in patched.model_options["transformer_options"]
    assert KEY not in toys.load("wan").model_options["transformer_options"]


def test_a_failure_beside_the_run_loses_no_picture() -> None:
    """Memory may suffice for one call of the network at a time, and not for one beside it."""
    steps = calibrating.STEPS
    before = toys.sample(toys.load("wan"), "wan", steps=steps)
    times: list[float] = []

    def sample(fails_at: int) -> tuple[torch.Tensor, str]:
        def call(executor: Any, x: Any, time: Any, *args: Any, **kwargs: Any) -> Any:
            times.append(float(time[0]))
            if len(times) - 1 == fails_at:
                raise torch.OutOfMemoryError("no memory for a second call")
            return executor(x, time, *args, **kwargs)

        times.clear()
        patched = attach(toys.load("wan"), CALIBRATE)
        patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "failing", call)
        picture = toys.sample(patched, "wan", steps=steps)
        return picture, " ".join(last_report(patched).notes)

    sample(fails_at=-1)
    beside = next(i for i, time in enumerate(times) if time in times[i + 1 :])
    picture, notes = sample(fails_at=beside)
    assert torch.equal(picture, before)
    assert "matter was not measured (OutOfMemoryError); the picture is as without it" in notes
