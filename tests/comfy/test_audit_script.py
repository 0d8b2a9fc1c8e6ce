"""`python scripts/audit.py`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

import audit


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["audit.py", *arguments])
    monkeypatch.setattr("stepcache.audit.ab_test.MAX_ROUNDS", 1)
    monkeypatch.setattr("stepcache.audit.ab_test.MIN_ROUNDS", 1)
    monkeypatch.setattr("stepcache.audit.interleaved_runs.MAX_ROUNDS", 1)
    monkeypatch.setattr("stepcache.audit.caches.MAX_STEPS", 5)
    return audit.main()


def test_it_prints_and_writes_an_audit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = ("--method", "Apply PAB", "--set", "block=2")
    folder = ("--output", str(tmp_path / "new"))
    assert run(monkeypatch, "--model", "wan", "--steps", "4", *method, *folder) == 0
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "new" / "wan.json").read_text(encoding="utf-8"))
    assert found["steps"] == 4 and "block 2" in found["attached"][0]
    assert "What to do" in told and found["model"] in told
    with Image.open(tmp_path / "new" / "wan.png") as picture:
        assert picture.width == 1024


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--checkpoint", "no.safetensors"), "no.safetensors is no file; expected a checkpoint"),
        (
            ("--model", "wan", "--method", "Apply PAB", "--set", "blok=2"),
            "has no input blok; expec",
        ),
        (("--model", "wan", "--method", "DeepCache UNet"), "which has no skip connections"),
    ],
)
def test_what_cannot_be_done_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    assert run(monkeypatch, *arguments) == 1
    assert words in capsys.readouterr().err
