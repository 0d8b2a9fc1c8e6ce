"""What the strips cost the browser: opening a graph of 50 nodes, in milliseconds of our scripts.

Writes results/strip.json. Needs Chromium; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import host
from demonstration.server import running_server
from frontend import FrontEnd, open_browser
from many_nodes import NODES, are_answered, graph_of

from . import RESULTS

RESULT = RESULTS / "strip.json"
PACK = "/extensions/ComfyUI-StepCache/"
SAMPLE_MICROSECONDS = 100
SETTLED_MS = 1000
METHOD = (
    f"A graph of {NODES} nodes with a strip is opened; Chromium's profiler samples every "
    f"{SAMPLE_MICROSECONDS} µs until all strips are drawn and a second has passed. ours: time in "
    "functions of our files, layout that they ask for included; page: time in all scripts. "
    "Medians; the first opening of a tab is left out."
)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    rounds: int


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks strip_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = Options(**vars(parser.parse_args(given))).rounds
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
            rows = [_row(browser, address, is_vue, rounds) for is_vue in (False, True)]
    table = {"machine": machine, "method": METHOD, "nodes": NODES, "rows": rows}
    RESULT.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _row(browser: Any, address: str, is_vue: bool, rounds: int) -> dict[str, Any]:
    """One renderer."""
    with FrontEnd(browser, address, is_vue).opened() as ui:
        costs = [cost_of_opening(ui) for _ in range(rounds + 1)][1:]
    ours = [sum(cost["ours"].values()) for cost in costs]
    row: dict[str, Any] = {
        "renderer": "Nodes 2.0" if is_vue else "canvas",
        "ours_ms": _spread(ours),
        "page_ms": _spread([cost["page"] for cost in costs]),
        "functions_ms": _dearest([cost["ours"] for cost in costs]),
        "rounds": rounds,
    }
    print(row, flush=True)
    return row


def cost_of_opening(ui: FrontEnd) -> dict[str, Any]:
    """Open the graph once; milliseconds of all scripts, and of our functions by file and name."""
    ui.clear()
    ui.page.wait_for_timeout(SETTLED_MS)
    devtools = ui.page.context.new_cdp_session(ui.page)
    devtools.send("Profiler.enable")
    devtools.send("Profiler.setSamplingInterval", {"interval": SAMPLE_MICROSECONDS})
    devtools.send("Profiler.start")
    ui.load(graph_of(NODES))
    ui.wait_for(lambda: are_answered(ui, NODES))
    ui.page.wait_for_timeout(SETTLED_MS)
    profile = devtools.send("Profiler.stop")["profile"]
    devtools.detach()
    ours: dict[str, float] = {}
    page = 0.0
    for (url, function), milliseconds in _self_times(profile):
        page += milliseconds if url else 0.0
        if PACK in url:
            name = f"{url.rpartition('/')[2]} {function}"
            ours[name] = ours.get(name, 0.0) + milliseconds
    return {"ours": ours, "page": page}


def _self_times(profile: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    """Every sample: where the script was, as (address, function), and for how long."""
    frames = {node["id"]: node["callFrame"] for node in profile["nodes"]}
    for sample, microseconds in zip(profile["samples"], profile["timeDeltas"], strict=True):
        frame = frames[sample]
        yield (frame["url"], frame["functionName"] or "(anonymous)"), microseconds / 1000


def _dearest(costs: list[dict[str, float]]) -> dict[str, float]:
    """Medians of the functions that take a millisecond or more."""
    names = sorted(set().union(*costs))
    medians = {name: median(cost.get(name, 0.0) for cost in costs) for name in names}
    return {name: round(value, 1) for name, value in medians.items() if value >= 1.0}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(median(values), 1),
        "lowest": round(min(values), 1),
        "highest": round(max(values), 1),
    }
