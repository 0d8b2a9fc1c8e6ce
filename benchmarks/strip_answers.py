"""How soon a strip follows the hand: a slider moves, and the new strip stands in the page.

Writes results/strip_answers.json. Needs Chromium; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import host
from demonstration.server import running_server
from frontend import FrontEnd, open_browser

from . import RESULTS

RESULT = RESULTS / "strip_answers.json"
METHOD = (
    "Milliseconds from a widget's callback until the strip's elements in the page change: the "
    "question, the server's answer over HTTP, and drawing. steps: the same for the number of "
    "the sampler's steps, from the hand's last event on the page."
)
BY_SPEEDUP = {"schedule": "shapes dit, 30 steps.json", "choose_by": "speedup"}


class Slider(NamedTuple):
    """One that is moved.

    Args:
        workflow: where its node is.
        node: the node's type.
        name: of the slider.
        values: where to.
        before: other widgets of the node, set beforehand.
    """

    workflow: str
    node: str
    name: str
    values: Sequence[float]
    before: Mapping[str, Any] = {}


SLIDERS = (
    Slider("dit_pab", "StepCacheApplyPAB", "self_attention", (3, 4, 5, 2)),
    Slider("dit_fastercache", "StepCacheApplyFasterCache", "guidance_interval", (4, 3, 2, 5)),
    Slider("unet_deepcache", "StepCacheDeepCacheUNet", "interval", (4, 5, 6, 2)),
    Slider("dit_tgate", "StepCacheTGate", "self_interval", (4, 3, 2, 6)),
    Slider("dit_smoothcache", "StepCacheSmoothCache", "speedup", (1.8, 2.1, 2.4, 1.2), BY_SPEEDUP),
    Slider("dit_advisor", "StepCacheAdvisor", "speedup", (1.8, 2.1, 2.4, 1.2)),
)
STEPS = (24, 28, 22, 25)
SAMPLER = "KSampler"
PAUSE_MS = 600

MOVES = """async ([type, name, values, pause]) => {
    const node = window.app.graph._nodes.find((each) => each.type === type);
    const widget = node.widgets.find((each) => each.name === name);
    const strip = document.querySelector("[data-testid=stepcache-strip]");
    const spent = [];
    for (const value of values) {
        await new Promise((done) => setTimeout(done, pause));
        const changed = new Promise((done) => {
            const observer = new MutationObserver(() => {
                observer.disconnect();
                done(performance.now());
            });
            observer.observe(strip, {
                subtree: true, childList: true, attributes: true, characterData: true,
            });
        });
        const moved = performance.now();
        widget.value = value;
        widget.callback?.(value, window.app.canvas, node);
        window.dispatchEvent(new PointerEvent("pointerup"));
        const drawn = await changed;
        spent.push(drawn - moved);
    }
    return spent;
}"""


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    rounds: int
    only: str


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks strip_answers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="TEXT", help="nodes with this in their name")
    arguments = Options(**vars(parser.parse_args(given)))
    sliders = [each for each in SLIDERS if arguments.only in each.node]
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        machine = {
            "browser": f"Chromium {browser.version}",
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
        }
        log = Path(folder) / "server.log"
        python = Path(sys.executable)
        with running_server(python, host.comfyui_path(), log, options=("--cpu",)) as address:
            rows = [
                _row(browser, address, is_vue, slider, arguments.rounds)
                for is_vue in (False, True)
                for slider in sliders
            ]
    table = {"machine": machine, "method": METHOD, "rows": rows}
    RESULT.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _row(browser: Any, address: str, is_vue: bool, slider: Slider, rounds: int) -> dict[str, Any]:
    """One slider in one renderer."""
    with FrontEnd(browser, address, is_vue).opened() as ui:
        ui.show(slider.workflow, slider.node)
        ui.wait_for(ui.is_drawn)
        for name, value in slider.before.items():
            ui.set(slider.node, name, value)
        ui.page.wait_for_timeout(PAUSE_MS)
        own = [_moved(ui, slider.node, slider.name, slider.values) for _ in range(rounds)]
        steps = [_moved(ui, SAMPLER, "steps", STEPS) for _ in range(rounds)]
    row = {
        "renderer": "Nodes 2.0" if is_vue else "canvas",
        "slider": f"{slider.node} {slider.name}",
        "ms": _spread([spent for moves in own for spent in moves]),
        "steps_first_ms": _spread(steps[0]),
        "steps_ms": _spread([spent for moves in steps for spent in moves]),
        "moves": rounds * len(slider.values),
    }
    print(row, flush=True)
    return row


def _moved(ui: FrontEnd, node: str, name: str, values: Sequence[float]) -> list[float]:
    """Milliseconds from every move until the strip has changed."""
    return ui.page.evaluate(MOVES, [node, name, list(values), PAUSE_MS])


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(median(values), 1),
        "lowest": round(min(values), 1),
        "highest": round(max(values), 1),
    }
