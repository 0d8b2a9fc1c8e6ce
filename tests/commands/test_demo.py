"""The demo as a person starts it, with every option of its help, and what makes it fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pack

import checkpoint_file
import host
import pytest
from demonstration.server import free_port
from PIL import Image
from setup.layout import HOSTS, VENV
from walks.walk import copy_of_project

pytestmark = pytest.mark.skipif(
    not (pack.ROOT / ".git").exists(), reason="what git tracks is copied: needs a checkout"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own that has been set up, in a folder with a space and an umlaut."""
    copy = tmp_path / "Bilder für mich" / "ComfyUI-StepCache"
    copy_of_project(pack.ROOT, copy)
    for made in (VENV, HOSTS):
        if made.exists():
            (copy / made.name).symlink_to(made, target_is_directory=True)
    return copy


def demo(checkout: Path, *options: str) -> subprocess.Popen[str]:
    """The command of the README with these options; its output is one stream."""
    return subprocess.Popen(
        [sys.executable, "scripts/demo.py", *options],
        cwd=checkout,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def output_of(checkout: Path) -> Path:
    """The folder that the newest demo wrote."""
    return checkout / "output" / (checkout / "output" / "latest.txt").read_text().strip()


def test_a_checkpoint_of_the_persons(checkout: Path, tmp_path: Path) -> None:
    host.boot(cpu=True)
    model = checkpoint_file.write_checkpoint(tmp_path / "a model.safetensors")
    comfyui = tmp_path / "my ComfyUI"
    shutil.copytree(host.comfyui_path(), comfyui, ignore=shutil.ignore_patterns("__pycache__"))
    process = demo(
        checkout,
        *("--model", str(model), "--comfyui", str(comfyui), "--prompt", "a lighthouse"),
        *("--width", "64", "--height", "128", "--steps", "8", "--seed", "5", "--rounds", "1"),
        "--cpu",
    )
    told, _ = process.communicate()
    assert process.returncode == 0, told
    assert f"using the ComfyUI in {comfyui}" in told
    written = output_of(checkout)
    summary = json.loads((written / "summary.json").read_text("utf-8"))
    rows = {row["workflow"]: row for row in summary["models"]["checkpoint"]}
    assert len(rows) >= 5 and all(row["failure"] is None for row in rows.values()), told
    assert {row["evaluations"] for row in rows.values()} == {8}
    for name in rows:
        with Image.open(written / "pictures" / f"{name}_seed5.png") as picture:
            assert picture.size == (64, 128)
            assert "a lighthouse" in picture.info["prompt"]
    assert (written / "contact_sheet.png").stat().st_size > 0


def test_serving_until_ctrl_c(checkout: Path) -> None:
    port = free_port()
    before = (checkout / "workflows" / "unet_plain.jpg").read_bytes()
    process = demo(
        checkout,
        *("--only", "unet", "--steps", "2", "--rounds", "1", "--port", str(port)),
        *("--serve", "--thumbnails"),
    )
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if "until you press Ctrl-C" in line:
            break
    assert f"ComfyUI is at http://127.0.0.1:{port} until" in told, told
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/system_stats") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate()
    assert process.returncode == 130, told + rest
    assert "the server has ended" in rest
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/system_stats")
    assert (checkout / "workflows" / "unet_plain.jpg").read_bytes() != before
    assert (HOSTS / "serve" / "user").is_dir()


def test_a_workflow_that_fails_and_a_wrong_picture_end_with_status_1(checkout: Path) -> None:
    file = checkout / "workflows" / "unet_tgate.json"
    workflow = json.loads(file.read_text("utf-8"))
    (node,) = (node for node in workflow["nodes"] if node["type"] == "StepCacheTGate")
    node["widgets_values"] = [-1 for _ in node["widgets_values"]]
    file.write_text(json.dumps(workflow), "utf-8")
    process = demo(checkout, "--only", "unet", "--steps", "1", "--rounds", "1")
    told, _ = process.communicate()
    assert process.returncode == 1, told
    assert re.search(r"FAILED +unet_tgate: .+", told), told
    assert re.search(r"FAILED +unet_plain: seed 1: wrong, ", told), told
    assert re.search(r"^0 of \d pictures are judged correct$", told, re.MULTILINE), told
