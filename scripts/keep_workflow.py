"""Keeps a saved graph with every node: `python scripts/keep_workflow.py`.

Run once per release, after scripts/bump_version.py, with the Python of the tests. Writes
tests/saved/<version>.json, in which no widget has its default: the graph as the front end saves it,
and the prompt that it makes of it.
Every later release has to make the same prompt of that file.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from paths import ROOT

import host
from bump_version import version_of
from demonstration.server import running_server
from frontend import FrontEnd, open_browser

EVERY_NODE = """async () => {
    const kinds = await (await fetch("/object_info")).json();
    const graph = window.app.graph;
    for (const [name, kind] of Object.entries(kinds)) {
        if (kind.category !== "Step Cache") continue;
        const node = window.LiteGraph.createNode(name);
        graph.add(node);
        node.pos = [400 * (graph.nodes.length % 4), 500 * Math.floor(graph.nodes.length / 4)];
        for (const widget of node.widgets ?? []) {
            if (widget.serialize === false) continue;
            const { values, max, step2 = 1 } = widget.options ?? {};
            if (Array.isArray(values)) widget.value = values.at(-1);
            else if (typeof widget.value === "boolean") widget.value = !widget.value;
            else if (typeof widget.value === "number") {
                const next = widget.value + step2;
                widget.value = Number((next > max ? widget.value - step2 : next).toFixed(4));
            } else if (typeof widget.value === "string") widget.value = `not ${widget.value}`;
        }
    }
    const { output } = await window.app.graphToPrompt();
    return { graph: graph.serialize(), prompt: output };
}"""


def main() -> int:
    """Write the file. Returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        log, comfyui = Path(folder) / "server.log", host.comfyui_path()
        with (
            running_server(Path(sys.executable), comfyui, log, options=("--cpu",)) as address,
            open_browser() as browser,
            FrontEnd(browser, address, is_vue=False).opened() as front_end,
        ):
            front_end.clear()
            kept = front_end.page.evaluate(EVERY_NODE)
    path = ROOT / "tests" / "saved" / f"{version_of(ROOT)}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"wrote tests/saved/{path.name}: {len(kept['prompt'])} nodes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
