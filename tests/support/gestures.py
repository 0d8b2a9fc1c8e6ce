"""A person's mouse and keys on the widgets of a node, in either renderer.

In Nodes 2.0 a widget is a row of elements; in the older renderer it is painted on the canvas.
"""

from __future__ import annotations

from typing import Any

from frontend import FrontEnd
from rest import frames

EDGE = 20
"""Pixels from the side of a painted widget to the middle of its arrow."""


def step_up(ui: FrontEnd, node: str, widget: str) -> None:
    """Press the arrow or button that makes a number one step larger."""
    if ui.is_vue:
        row_of(ui, node, widget).get_by_test_id("increment").click()
    else:
        left, top, width = _painted(ui, node, widget)
        ui.page.mouse.click(left + width - EDGE, top)


def drag(ui: FrontEnd, node: str, widget: str, pixels: int) -> None:
    """Press the middle of a number, and move the mouse sideways."""
    if ui.is_vue:
        box = row_of(ui, node, widget).locator("input").bounding_box()
        left, top = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    else:
        left, top, width = _painted(ui, node, widget)
        left += width / 2
    mouse = ui.page.mouse
    mouse.move(left, top)
    mouse.down()
    for part in range(1, 9):
        mouse.move(left + pixels * part / 8, top)
        frames(ui, 1)
    mouse.up()


def type_into(ui: FrontEnd, node: str, widget: str, text: str) -> None:
    """Click on a number, write another one, and press Enter."""
    if ui.is_vue:
        row_of(ui, node, widget).locator("input").click(force=True)
    else:
        left, top, width = _painted(ui, node, widget)
        ui.page.mouse.click(left + width / 2, top)
        ui.page.wait_for_selector(".graphdialog input")
    ui.page.keyboard.press("Control+a")
    ui.page.keyboard.type(text)
    ui.page.keyboard.press("Enter")


def choose(ui: FrontEnd, node: str, widget: str, option: str) -> None:
    """Open a list, and click on one of its options."""
    if ui.is_vue:
        row_of(ui, node, widget).get_by_role("combobox").click()
        ui.page.get_by_role("option", name=option, exact=True).click()
    else:
        left, top, width = _painted(ui, node, widget)
        ui.page.mouse.click(left + width / 2, top)
        menu = ui.page.locator(".litecontextmenu .litemenu-entry")
        menu.get_by_text(option, exact=True).click()


def row_of(ui: FrontEnd, node: str, widget: str) -> Any:
    """The row of a widget in Nodes 2.0."""
    rows = ui.page.locator(f'[data-node-id="{ui.number_of(node)}"] [data-testid=node-widget]')
    return rows.filter(has=ui.page.get_by_label(widget, exact=True))


def _painted(ui: FrontEnd, node: str, widget: str) -> tuple[float, float, float]:
    """Left side, middle height and width of a painted widget, in pixels of the page."""
    left, top, width = ui.page.evaluate(
        """([type, name]) => {
            const { canvas, graph } = window.app;
            const node = graph._nodes.find((each) => each.type === type);
            const widget = node.widgets.find((each) => each.name === name);
            const box = canvas.canvas.getBoundingClientRect();
            const { scale, offset } = canvas.ds;
            const height = widget.computedHeight ?? window.LiteGraph.NODE_WIDGET_HEIGHT;
            return [
                box.left + (node.pos[0] + offset[0]) * scale,
                box.top + (node.pos[1] + widget.y + height / 2 + offset[1]) * scale,
                node.size[0] * scale,
            ];
        }""",
        [node, widget],
    )
    return left, top, width
