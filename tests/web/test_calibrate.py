"""As a new user would: calibrate, come back, draw faster, and hand the file to a friend."""

from __future__ import annotations

import json
import sys
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import host
from frontend import FrontEnd
from patience import HANG

FILE = "trial.json"
WIDGETS = {"schedule": FILE, "choose_by": "speedup", "speedup": 1.5}


def test_one_generation_makes_the_next_ones_faster_here_and_elsewhere(
    browser: Any, tmp_path: Path
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    with _server(own) as address, FrontEnd(browser, address, is_vue=False).opened() as ui:
        ui.load("dit_calibrate")
        ui.set("StepCacheCalibrate", "name", FILE.removesuffix(".json"))
        ui.queue()
        ui.wait_for(lambda: ui.shown_on("StepCacheCurves"))
        file = _userdata(address)
        assert json.loads(file)["samples"] >= 1
        assert ui.complaints() == []
    # The server is started anew: what it knew is gone, what it saved is there.
    with _server(own) as address, FrontEnd(browser, address, is_vue=False).opened() as ui:
        assert _userdata(address) == file
        _draw_faster(ui)
        assert ui.complaints() == []
    with _server(other) as address:
        _userdata(address, file)
        with FrontEnd(browser, address, is_vue=False).opened() as ui:
            _draw_faster(ui)


def _server(base: Path) -> AbstractContextManager[str]:
    """An installation, whose folders stay when its server ends."""
    from demonstration.server import running_server

    base.mkdir(exist_ok=True)
    log, options = base.with_suffix(".log"), ("--cpu",)
    return running_server(
        Path(sys.executable), host.comfyui_path(), log, options=options, base=base
    )


def _draw_faster(ui: FrontEnd) -> None:
    """With the file, asked for a speed; the strip says before and after what becomes of it."""
    ui.load("dit_calibrated")
    for name, value in WIDGETS.items():
        ui.set("StepCacheSmoothCache", name, value)
    ui.wait_for(lambda: "predicted 1." in ui.strip()["below"])
    ui.queue()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    ui.wait_for(lambda: ui.shown_on("StepCacheReport"))
    (text,) = ui.shown_on("StepCacheReport")["text"]
    assert "predicted: 1." in text
    assert "measured: " in text


def _userdata(address: str, content: bytes | None = None) -> bytes:
    """The file in ComfyUI's user folder: read it, or put it there."""
    url = f"{address}/userdata/stepcache%2F{FILE}"
    request = urllib.request.Request(url, data=content, method="POST" if content else "GET")
    with urllib.request.urlopen(request, timeout=HANG) as answer:
        return answer.read()
