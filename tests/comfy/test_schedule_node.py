"""The node "SmoothCache Schedule" and the files in models/smoothcache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import toys
from stepcache.cache_core.errors import ConfigError, StepCacheError
from stepcache.cache_core.host import last_report
from stepcache.cache_core.methods.dit_xl import DIT_XL_SCHEDULES
from stepcache.cache_core.methods.presets import FORA_SCHEDULES
from stepcache.nodes.smoothcache import SmoothCacheSchedule


@pytest.fixture
def schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder models/smoothcache, for one test another one."""
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "smoothcache", ([str(tmp_path)], set())
    )
    monkeypatch.delitem(folder_paths.filename_list_cache, "smoothcache", raising=False)
    yield tmp_path
    folder_paths.filename_list_cache.pop("smoothcache", None)


def _attach(schedule: str) -> Any:
    model = toys.load("wan")
    return SmoothCacheSchedule.execute(model=model, schedule=schedule, steps=30).result[0]


def _listed() -> list[str]:
    return SmoothCacheSchedule.define_schema().inputs[1].options


def test_schedule_files_are_listed_behind_the_built_in_ones(schedules: Path) -> None:
    built_in = [*FORA_SCHEDULES, *DIT_XL_SCHEDULES]
    assert _listed() == built_in
    (schedules / "mine.json").write_text("{}")
    (schedules / "notes.txt").write_text("{}")
    (schedules / "dit").mkdir()
    (schedules / "dit" / "50.JSON").write_text("{}")
    assert _listed() == [*built_in, str(Path("dit") / "50.JSON"), "mine.json"]


def test_without_its_folder_the_built_in_schedules_are_listed(schedules: Path) -> None:
    schedules.rmdir()
    assert _listed() == [*FORA_SCHEDULES, *DIT_XL_SCHEDULES]


def test_a_schedule_file_acts(schedules: Path) -> None:
    (schedules / "mine.json").write_text(json.dumps({"ff": [1, 0, 1, 0]}))
    patched = _attach("mine.json")
    toys.sample(patched, "wan", steps=4)
    report = last_report(patched)
    assert report is not None
    assert report.methods == ["SmoothCache Schedule (mine.json, computes 50 %)"]
    assert report.total_reused > 0


def test_a_bad_schedule_file_is_refused_with_the_name_of_the_node(schedules: Path) -> None:
    (schedules / "mine.json").write_text('{"ff": [1, NaN]}')
    with pytest.raises(ConfigError, match=r"^SmoothCache Schedule: the schedule mine.json is not"):
        _attach("mine.json")


def test_a_schedule_for_layers_the_model_lacks_is_refused(schedules: Path) -> None:
    path = schedules / "mine.json"
    for rows, words in (
        ({"temporal_attention": [1, 0]}, "no separate temporal_attention; .* Take a schedule"),
        ({"attn-99": [1, 0]}, "self_attention 99 does not exist in this model.* Take a schedule"),
    ):
        path.write_text(json.dumps(rows))
        with pytest.raises(StepCacheError, match=f"^SmoothCache Schedule: .*{words}"):
            _attach("mine.json")


def test_an_edited_schedule_file_is_read_again(schedules: Path) -> None:
    def fingerprint(schedule: str) -> str:
        return SmoothCacheSchedule.fingerprint_inputs(model=None, schedule=schedule, steps=30)

    path = schedules / "mine.json"
    path.write_text(json.dumps({"ff": [1, 0]}))
    before = fingerprint("mine.json")
    assert fingerprint("mine.json") == before
    path.write_text(json.dumps({"ff": [1, 1]}))
    assert fingerprint("mine.json") != before, "of the same length, within the same tick"
    for built_in in (*FORA_SCHEDULES, *DIT_XL_SCHEDULES):
        assert fingerprint(built_in) == ""


def test_no_schedule_is_read_outside_its_folder(schedules: Path) -> None:
    (schedules.parent / "outside.json").write_text(json.dumps({"ff": [1, 0]}))
    with pytest.raises(ConfigError, match=r"there is no file ../outside.json in user"):
        _attach("../outside.json")


def _attach_published(label: str, model: str, steps: int = 50) -> Any:
    patched = SmoothCacheSchedule.execute(model=toys.load(model), schedule=label, steps=steps)
    return patched.result[0]


def test_a_schedule_for_dit_xl_acts_on_another_model_with_such_layers() -> None:
    patched = _attach_published("DiT-XL/2 256: threshold 0.35 (30 steps)", "wan", steps=30)
    toys.sample(patched, "wan", steps=30)
    report = last_report(patched)
    assert report is not None
    (described,) = report.methods
    assert described.endswith("(DiT-XL/2 256: threshold 0.35 (30 steps), computes 53 %)")
    assert report.total_reused > 0


def test_a_schedule_for_dit_xl_is_refused_where_it_means_nothing() -> None:
    learned = "DiT-XL/2 256: Learning-to-Cache (50 steps)"
    with pytest.raises(ConfigError, match=r"self_attention \d+ does not exist in this model"):
        _attach_published(learned, "wan")
    with pytest.raises(ConfigError, match=r"^SmoothCache Schedule: .* steps is 20; expected 50"):
        _attach_published(learned, "wan", steps=20)


def test_a_schedule_for_dit_xl_is_refused_on_a_model_without_such_layers() -> None:
    with pytest.raises(StepCacheError, match=r"^SmoothCache Schedule: the model is SeedVR2"):
        _attach_published("DiT-XL/2 256: threshold 0.18 (50 steps)", "seedvr2")
