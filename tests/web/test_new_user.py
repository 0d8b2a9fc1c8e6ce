"""From an empty canvas: a template, a slider, a run, the report, and a file that a friend opens."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from frontend import FrontEnd
from playwright.sync_api import expect

NODE = "StepCacheApplyPAB"


def test_from_an_empty_canvas_to_a_file_for_a_friend(ui: FrontEnd, tmp_path: Path) -> None:
    page = ui.page
    page.get_by_role("button", name="Templates").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("ComfyUI-StepCache").click()
    dialog.get_by_text("dit_pab", exact=True).click()
    ui.wait_for(ui.is_drawn)

    assert "% of these layers" in ui.strip()["below"]
    ui.set(NODE, "self_attention", 5)
    ui.set(NODE, "cross_attention", 1)
    ui.wait_for(lambda: "cross-attention: 30 computed" in ui.strip()["words"])
    told = ui.strip()["words"].split("; ")

    ui.set("KSampler", "seed", 77 + ui.is_vue)  # The server draws nothing twice.
    page.get_by_test_id("queue-button").click()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    assert "sampling" in ui.met()[0]["below"]
    done = ui.strip()["words"].split("; ")
    assert done and set(done) <= set(told), "it did what it said, for the layers that there are"
    report = ui.wait_for(lambda: ui.shown_on("StepCacheReport"))
    assert "self_attention 5" in report["text"][0]

    name = f"for a friend {ui.is_vue}"
    page.keyboard.press("Control+s")
    field = page.get_by_role("dialog").get_by_role("textbox")
    field.fill(name)
    field.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    saved = ui.wait_for(lambda: read_from_server(ui, name))
    assert "self-attention" not in saved, "the strip is not part of the file"

    ui.clear()
    path = tmp_path / "from a friend.json"
    path.write_text(saved, encoding="utf-8")
    ui.drop(path)
    ui.wait_for(ui.is_drawn)
    assert (ui.value(NODE, "self_attention"), ui.value(NODE, "cross_attention")) == (5, 1)
    ui.wait_for(lambda: ui.strip()["words"].split("; ") == told)


def read_from_server(ui: FrontEnd, name: str) -> str | None:
    """A workflow as it lies in the user's folder, None before it is there."""
    file = urllib.parse.quote(f"workflows/{name}.json", safe="")
    try:
        with urllib.request.urlopen(f"{ui.address}/api/userdata/{file}") as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError:
        return None
    assert json.loads(text)["nodes"]
    return text
