"""The front end shows our names in the person's language."""

from __future__ import annotations

from frontend import FrontEnd


def test_names_follow_the_language(ui: FrontEnd) -> None:
    try:
        _speak(ui, "ja")
        ui.load("dit_pab")
        node = ui.page.evaluate(
            """() => {
                const node = window.LiteGraph.createNode("StepCacheApplyPAB");
                const widget = node.widgets.find((each) => each.name === "self_attention");
                return [node.title, widget.label];
            }"""
        )
        assert node == ["PAB を適用", "自己アテンション"]
    finally:
        _speak(ui, "en")


def _speak(ui: FrontEnd, language: str) -> None:
    ui.page.evaluate(
        """(language) => window.app.extensionManager.setting.set("Comfy.Locale", language)""",
        language,
    )
    ui.reload()
