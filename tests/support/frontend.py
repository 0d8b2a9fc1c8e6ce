"""ComfyUI's front end in Chromium, as a person has it before them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import server_queue
from patience import HANG, PAUSE, until
from setup.browser import find_browser

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("--no-sandbox", "--disable-background-networking", "--disable-gpu", "--no-first-run")
OURS = ("stepcache", "step_cache", "step cache", "strip_view", "run_settings", "hands.js")
LANGUAGE = "en"
STRIP = "[data-testid=stepcache-strip]"
ALL_SHOWN = """(strip) => [...document.querySelectorAll(strip)].map((one) => [one, one.firstChild])
    .map(([element, strip]) => ({
        above: strip.children[0].textContent,
        words: strip.children[1].getAttribute("aria-label"),
        below: strip.children[2].textContent,
        room: element.offsetHeight - strip.offsetHeight,
        rows: strip.children[1].children.length,
        cells: [...strip.querySelectorAll("path")]
            .map((path) => path.dataset.look + path.getAttribute("d")).join(" "),
        planned: strip.querySelectorAll("[data-when=planned]").length,
    }))"""
METHODS = {
    "dit_stepcache": "StepCacheForecast",
    "dit_pab": "StepCacheApplyPAB",
    "dit_fastercache": "StepCacheApplyFasterCache",
    "unet_deepcache": "StepCacheDeepCacheUNet",
    "dit_tgate": "StepCacheTGate",
    "dit_smoothcache": "StepCacheSmoothCache",
    "dit_advisor": "StepCacheAdvisor",
}
"""A workflow of ours for every node with a strip."""


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """A headless browser with a fresh profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


class FrontEnd:
    """One tab.

    Args:
        browser: of Playwright.
        address: of the server.
        is_vue: whether nodes are drawn by the new renderer.
    """

    def __init__(self, browser: Any, address: str, is_vue: bool) -> None:
        self._browser, self.address, self.is_vue = browser, address, is_vue
        self._messages: list[str] = []
        self.page: Any = None

    @contextlib.contextmanager
    def opened(self, before: str = "") -> Iterator[FrontEnd]:
        """Open the tab, and wait until it can be used.

        Args:
            before: a script that runs in the page before the front end does.
        """
        context = self._browser.new_context(viewport={"width": 1600, "height": 1000})
        context.add_init_script(before)
        try:
            self.page = context.new_page()
            self.page.set_default_timeout(1000 * HANG)
            self.page.on("console", self._listen)
            self.page.on("pageerror", lambda e: self._messages.append(f"error {e} {e.stack}"))
            self.reload()
            yield self
        finally:
            context.close()

    def reload(self) -> None:
        """Load the page anew, as after a change of settings or by F5."""
        self.page.goto(self.address, wait_until="domcontentloaded")
        ready = "window.app?.graph && window.app.extensionManager && window.app.canvas"
        self.page.wait_for_function(ready)
        # What was open before, or the first graph of all, comes a moment later.
        opened = "window.app.extensionManager.workflow.activeWorkflow?.activeState"
        self.page.wait_for_function(opened)
        bar = ".comfy-vue-side-bar-container, .side-tool-bar-container"
        self.page.wait_for_selector(bar, state="attached")
        self.page.evaluate(
            f"""() => {{
                window.met = [];
                const meet = () => window.met.push(...({ALL_SHOWN})("{STRIP}"));
                // Once everybody has heard of it.
                const hear = () => queueMicrotask(meet);
                window.app.api.addEventListener("stepcache.run", hear);
            }}"""
        )
        self.page.evaluate(
            """async (isVue) => {
                const settings = window.app.extensionManager.setting;
                await settings.set("Comfy.VueNodes.Enabled", isVue);
                await settings.set("Comfy.TutorialCompleted", true);
                await settings.set("Comfy.Workflow.WarnBlueprintOverwrite", false);
            }""",
            self.is_vue,
        )
        self.page.keyboard.press("Escape")

    def clear(self) -> None:
        """An empty graph, nothing that still runs, and no memory of what was said before."""
        self.page.keyboard.press("Escape")
        server_queue.stop(self.address)
        self.page.evaluate(
            """async () => {
                const { workflow } = window.app.extensionManager;
                for (const each of [...workflow.openWorkflows]) {
                    if (!workflow.isActive(each)) await workflow.closeWorkflow(each);
                }
                window.app.graph.clear();
                // What nodes of other graphs have shown: their numbers come again.
                window.app.nodeOutputs = {};
                window.met = [];
            }"""
        )
        self.forget()

    def load(self, workflow: str | dict[str, Any]) -> None:
        """Open a workflow: the name of one of ours, or its data."""
        data = workflow if isinstance(workflow, dict) else read_workflow(workflow)
        self.page.evaluate("(data) => window.app.loadGraphData(data)", data)

    def show(self, workflow: str | dict[str, Any], node_type: str | None = None) -> None:
        """Open a workflow, and wait until every strip in it shows a plan.

        Args:
            workflow: the name of one of ours, or its data.
            node_type: what to look at, the first of our nodes unless given; in Nodes 2.0 nodes
                out of sight have no elements.
        """
        self.load(workflow)
        self.look_at(node_type)
        self.wait_for(self.is_drawn)

    def drop(self, file: Path) -> None:
        """Drag a file from outside of the browser onto the canvas."""
        # What covers the page while something loads takes drops, too.
        self.page.locator(".p-blockui-mask").wait_for(state="detached")
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        devtools = self.page.context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            where = {"type": kind, "x": 700, "y": 500, "data": data}
            devtools.send("Input.dispatchDragEvent", where)
        devtools.detach()

    def saved(self) -> dict[str, Any]:
        """The workflow as it would be saved."""
        return self.page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")

    def change_setting(self, name: str, value: Any) -> None:
        """Change a setting of the front end, such as its colours."""
        self.page.evaluate(
            """([name, value]) => window.app.extensionManager.setting.set(name, value)""",
            [name, value],
        )

    def look_at(self, node_type: str | None, scale: float = 1.0) -> None:
        """Move the canvas until a node stands in the upper left, and wait until it is drawn."""
        self.page.evaluate(
            """async ([type, scale]) => {
                const { canvas, graph } = window.app;
                const isIt = ({ type: own }) => type ? own === type : own.startsWith("StepCache");
                const node = graph._nodes.find(isIt);
                const frame = () => new Promise((done) => requestAnimationFrame(done));
                canvas.ds.scale = scale;
                canvas.ds.offset[0] = 400 / scale - node.pos[0];
                canvas.ds.offset[1] = 160 / scale - node.pos[1];
                canvas.setDirty(true, true);
                for (let drawn = 0; drawn < 3; drawn++) await frame();
            }""",
            [node_type, scale],
        )

    def number_of(self, node_type: str) -> str:
        """The id of the first node of a type."""
        return self.page.evaluate(
            "(type) => String(window.app.graph._nodes.find((each) => each.type === type).id)",
            node_type,
        )

    def value(self, node_type: str, name: str) -> Any:
        """What a widget holds."""
        return self.page.evaluate(
            """([type, name]) => window.app.graph._nodes.find((each) => each.type === type)
                .widgets.find((each) => each.name === name).value""",
            [node_type, name],
        )

    def set(self, node_type: str, name: str, value: Any) -> None:
        """Move a widget, as both renderers do: the value, then its callback."""
        self.page.evaluate(
            """([type, name, value]) => {
                const node = window.app.graph._nodes.find((each) => each.type === type);
                const widget = node.widgets.find((each) => each.name === name);
                widget.value = value;
                widget.callback?.(value, window.app.canvas, node);
            }""",
            [node_type, name, value],
        )

    def strips(self) -> list[dict[str, Any]]:
        """What every strip in the page shows."""
        return self.page.evaluate(ALL_SHOWN, STRIP)

    def met(self) -> list[dict[str, Any]]:
        """What strips have shown of runs: after everything that the server told of one."""
        return self.page.evaluate("() => window.met")

    def strip(self) -> dict[str, Any]:
        """What the only strip shows."""
        (strip,) = self.strips()
        return strip

    def is_drawn(self) -> bool:
        """Whether every strip in the page shows a plan in the room it needs, and there is one."""
        strips = self.strips()
        return bool(strips) and all(
            each["rows"] and each["words"] and each["room"] >= 0 for each in strips
        )

    def wait_for(self, is_so: Callable[[], Any]) -> Any:
        """Wait until something is so; what it returned."""
        try:
            return until(is_so, pause=lambda: self.page.wait_for_timeout(1000 * PAUSE))
        except AssertionError as error:
            raise AssertionError(f"{error}; strips: {self.strips()}, {self._seen()}") from error

    def _seen(self) -> dict[str, Any]:
        """Where the canvas stands, and what is on it."""
        return self.page.evaluate(
            """() => {
                const { canvas, graph } = window.app;
                const { scale, offset } = canvas.ds;
                const drawn = document.querySelectorAll("[data-node-id]").length;
                return {scale, offset: [...offset], drawn, nodes: graph._nodes.map((n) => n.type)};
            }"""
        )

    def queue(self, seed: int | None = None) -> None:
        """Press Run, by default with a seed of its own: the server draws nothing twice."""
        self.set("KSampler", "seed", time.time_ns() // 1000 if seed is None else seed)
        self.page.evaluate("() => window.app.queuePrompt(0, 1)")

    def undo(self) -> None:
        """Take the last change back."""
        self.page.evaluate(
            """async () => {
                const { changeTracker } = window.app.extensionManager.workflow.activeWorkflow;
                changeTracker.captureCanvasState();
                await changeTracker.undo();
            }"""
        )

    def keep_changes(self) -> None:
        """Let the front end remember the graph, as it does after every key and click."""
        self.page.evaluate(
            "() => window.app.extensionManager.workflow.activeWorkflow"
            ".changeTracker.captureCanvasState()"
        )
        # It is written down a moment later: text within text.
        self.page.wait_for_function(
            """() => {
                const isOurs = ({ type }) => type.startsWith("StepCacheApply");
                const ours = window.app.graph._nodes.filter(isOurs);
                const values = ours.map((node) => JSON.stringify(node.serialize().widgets_values));
                const kept = Object.values(localStorage).map((text) => text.replaceAll("\\\\", ""));
                return kept.some((text) => values.every((each) => text.includes(each)));
            }"""
        )

    def forget(self) -> None:
        """Pass what the console has said by: it was expected."""
        self._messages.clear()

    def shown_on(self, node_type: str) -> dict[str, Any] | None:
        """What a run gave a node to show, None before."""
        return self.page.evaluate(
            """(type) => {
                const { graph, nodeOutputs } = window.app;
                const node = graph._nodes.find((each) => each.type === type);
                return nodeOutputs[String(node.id)] ?? null;
            }""",
            node_type,
        )

    def complaints(self) -> list[str]:
        """Errors and warnings that name a file or a node of ours."""
        return [text for text in self._messages if any(word in text.lower() for word in OURS)]

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "")
            if "/docs/" in where and where.endswith(f"/{LANGUAGE}.md"):
                return  # Asked for before the page that is in no language's folder.
            self._messages.append(f"{message.type} {message.text} {where}")


def read_workflow(name: str) -> dict[str, Any]:
    """One of our workflow files."""
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
