"""The benchmark matrix: every row can be attached, and a cell tells the truth. Nothing is timed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import observe
import pytest
import torch
import toys
from stepcache import torch_settings
from stepcache.cache_core.host import attached

from benchmarks import matrix, measure, models, parts, running
from benchmarks.__main__ import main
from benchmarks.record import Record

META = torch.device("meta")
MILLIONS = {
    "sd15": 860, "sdxl": 2567, "flux": 11901, "wan_14b": 14288,
    "sdxl_small": 158, "flux_small": 56, "wan_small": 21,
}  # fmt: skip
"""Parameters of the networks; of the published ones as published."""
MODELS = [
    (name, model)
    for every in matrix.MATRICES.values()
    for name, model in every.items()
    if model.make != "trained"
]
SMALL = replace(matrix.REFERENCE["shapes_dit"], points=((matrix.Size(128, 128, 1), 1),), steps=4)


def cell(*names: str) -> matrix.Cell:
    """A cell that takes a moment."""
    ((size, batch),) = SMALL.points
    return matrix.Cell("shapes_dit", SMALL, size, batch, names)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """An empty file of results."""
    return Record(tmp_path / "matrix.json", "reference", running.conditions())


@pytest.mark.parametrize(("name", "model"), MODELS, ids=[name for name, _ in MODELS])
def test_every_row_can_be_attached_without_allocating(name: str, model: matrix.Model) -> None:
    bench = running.make(model, device=META)
    weights = list(bench.model.model.diffusion_model.parameters())
    assert {weight.device.type for weight in weights} == {"meta"}
    assert round(sum(weight.numel() for weight in weights) / 1e6) == MILLIONS[name]
    for row in matrix.rows(model):
        refuses = name.startswith("flux") and "Fused Projections" in row
        if refuses:
            with pytest.raises(
                torch_settings.fusing.UnsupportedModelError, match="made with fused ones"
            ):
                parts.with_parts(bench.model, row, model.steps)
            continue
        patched = parts.with_parts(bench.model, row, model.steps)
        made = [parts.part(each, model.steps) for each in row]
        methods = [each for each in made if not isinstance(each, torch_settings.Setting)]
        assert torch_settings.settings_of(patched) == tuple(
            e for e in made if isinstance(e, torch_settings.Setting)
        )
        assert attached(patched) == tuple(methods)


@pytest.mark.parametrize(("name", "model"), MODELS, ids=[name for name, _ in MODELS])
def test_latents_have_the_axes_of_their_network(name: str, model: matrix.Model) -> None:
    bench = running.make(model, device=META)
    for size, batch in model.points:
        at = bench.at(size.latent, batch).latent
        assert len(at) == len(bench.latent)
        assert at[:2] == (batch, bench.latent[1])
        assert at[-2:] == (size.height // 8, size.width // 8)


def test_the_trained_models_are_at_the_size_that_they_were_trained_for() -> None:
    for name in ("shapes_dit", "shapes_unet"):
        model = matrix.REFERENCE[name]
        bench = running.make(model)
        assert bench.model is toys.load(name)
        assert bench.at(model.points[0][0].latent, 1).latent == bench.latent


def test_a_cell_says_what_happened(record: Record) -> None:
    chosen = cell("Attention Backend", "SmoothCache")
    running.run([chosen], record, 2)
    row = Record.read(record.path).cells[chosen.key]
    speedup = row["speedup"]
    assert speedup["lowest"] <= speedup["median"] <= speedup["highest"] and speedup["pairs"] == 2
    assert min(speedup[name] for name in ("plain_seconds", "patched_seconds", "first_seconds")) > 0

    bench = models.trained("shapes_dit")
    patched = parts.with_parts(bench.model, chosen.parts, SMALL.steps)
    plain, picture = (bench.sample(each, SMALL.steps) for each in (bench.model, patched))
    apart = (picture - plain).abs().max() / plain.abs().max()
    assert row["greatest_difference"] == pytest.approx(float(apart), rel=1e-2) != 0
    assert row["is_bit_identical"] is False
    assert row["told"] == list(torch_settings.told_by(patched))
    cached = parts.with_parts(bench.model, ("SmoothCache",), SMALL.steps)
    full, less = (
        sum(observe.flops_per_evaluation(each, lambda m: bench.sample(m, SMALL.steps)))
        for each in (bench.model, cached)
    )
    assert row["flop_bound"] == pytest.approx(full / less, abs=1e-4) and full > less
    assert row["kept_bytes"] > 0
    assert row["attached"][0] == "AttentionBackend(backend='auto')"
    assert row["attached"][1].startswith("SmoothCache Schedule (FORA: every 2nd step")


def test_what_changes_nothing_is_bit_identical(record: Record) -> None:
    chosen = cell("Precision")
    running.run([chosen], record, 1)
    row = record.cells[chosen.key]
    assert row["is_bit_identical"] is True and row["greatest_difference"] == 0
    assert "flop_bound" not in row and "kept_bytes" not in row


def test_a_refusal_is_a_row_with_its_words(record: Record) -> None:
    chosen = cell("DeepCache")
    running.run([chosen], record, 1)
    row = record.cells[chosen.key]
    assert row["refused"].startswith("DeepCache UNet") and "speedup" not in row


def test_what_is_done_is_not_measured_again(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Counter[str]()
    paired = measure.paired

    def counted(*arguments: Any) -> measure.Ratio:
        measured["cells"] += 1
        if measured["cells"] == 2:
            raise KeyboardInterrupt
        return paired(*arguments)

    monkeypatch.setattr(measure, "paired", counted)
    chosen = [cell("Precision"), cell("Attention Backend")]
    with pytest.raises(KeyboardInterrupt):
        running.run(chosen, record, 1)
    assert list(Record.read(record.path).cells) == [chosen[0].key]
    first = record.path.read_bytes()
    again = Record(record.path, "reference", running.conditions())
    running.run(chosen[:1], again, 1)
    assert measured["cells"] == 2 and record.path.read_bytes() == first
    running.run(chosen, again, 1)
    assert measured["cells"] == 3
    assert list(Record.read(record.path).cells) == [each.key for each in chosen]


def test_the_code_that_was_measured_is_a_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = running.conditions()["code"]
    assert running.conditions()["code"] == now
    (tmp_path / "torch_settings").mkdir()
    (tmp_path / "torch_settings" / "setting.py").write_text("changed = True\n", encoding="utf-8")
    monkeypatch.setattr(running, "PACK", tmp_path)
    monkeypatch.setattr(running, "MEASURING", ())
    assert running.conditions()["code"] != now


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_full_matrix_is_refused_without_a_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "full.json"
    assert main(["run", "--matrix", "full", "--out", str(out)]) == 2
    assert "The full matrix is for a CUDA device, and there is none here" in capsys.readouterr().err
    assert not out.exists()
