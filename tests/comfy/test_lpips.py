"""LPIPS by its authors' package; the weights of the network behind it are random here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import torch
from stepcache.nodes.step_cache_compare import StepCacheCompare
from stepcache.pictures import perceptual

SIDE = 64


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyTorch's own folder of models, empty."""
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def installed(models: Path) -> Path:
    """AlexNet as torchvision keeps it."""
    pytest.importorskip("lpips")
    from torchvision.models import alexnet

    models.mkdir(parents=True)
    path = models / perceptual.WEIGHTS["alex"]
    torch.manual_seed(0)
    torch.save(alexnet().state_dict(), path)
    return path


def compare(side: int = SIDE, change: float = 0.2) -> tuple[str, dict[str, Any]]:
    plain = torch.rand(2, side, side, 3, generator=torch.Generator().manual_seed(0)) * 0.8
    _, text, _, _, data = StepCacheCompare.execute(plain=plain, cached=plain + change).result
    return text, json.loads(data)


def test_without_library_or_weights_nothing_is_told_and_nothing_fetched(models: Path) -> None:
    text, numbers = compare()
    assert perceptual.network() is None
    assert "LPIPS" not in text
    assert not [name for name in numbers if "lpips" in name]
    assert not models.exists()


@pytest.mark.usefixtures("installed")
def test_it_is_what_the_authors_package_says() -> None:
    import lpips

    text, numbers = compare()
    plain = torch.rand(2, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0)) * 0.8
    one, other = (2 * each.movedim(-1, 1) - 1 for each in (plain, plain + 0.2))
    with torch.no_grad():
        expected = lpips.LPIPS(net="alex", verbose=False)(one, other).mean()
    # One picture at a time or both at once: rounding.
    assert numbers["lpips_alex"] == pytest.approx(float(expected), rel=1e-4)
    assert f"LPIPS {numbers['lpips_alex']:.4f} (alex; 0 looks the same)" in text


@pytest.mark.usefixtures("installed")
def test_equal_pictures_are_no_distance_apart_and_small_ones_are_passed_by() -> None:
    assert compare(change=0.0)[1]["lpips_alex"] == 0.0
    assert "lpips_alex" not in compare(side=SIDE - 1)[1]


def test_weights_that_cannot_be_read_cost_only_this_number(
    installed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    installed.write_bytes(b"broken")
    text, numbers = compare()
    assert numbers["lpips_alex"] is None
    assert "PSNR" in text and "LPIPS" not in text
    assert "no LPIPS" in caplog.text
