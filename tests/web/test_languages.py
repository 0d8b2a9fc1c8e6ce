"""The front end shows our names, strips, reports and refusals in the person's language."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from frontend import STRIP, FrontEnd

PAB = "StepCacheApplyPAB"
STEPS = 8
NAMES = {
    # Of nodes, options, models and units, which all languages write in Latin letters.
    "euler", "simple", "KSampler", "Wan", "WAN", "MiB", "PAB", "custom",
}  # fmt: skip
LOADED = {
    "zh": ("30 步：", "自注意力: 计算 18", "重用这些层的"),
    "ja": ("30 ステップ：", "自己アテンション: 計算 18", "これらの層の"),
    "ko": ("30스텝: ", "셀프 어텐션: 계산 18", "이 레이어의"),
}
REFUSED = {
    "zh": "应用 PAB: 起始比例 0.95 不在结束比例",
    "ja": "PAB を適用: 開始位置 0.95 が終了位置",
    "ko": "PAB 적용: 시작 비율 0.95이(가) 종료 비율",
}
ATTACHED = {
    "zh": "此模型已经带有一个 应用 PAB 节点",
    "ja": "このモデルにはすでに PAB を適用 のノードがあります",
    "ko": "이 모델에는 이미 PAB 적용 노드가 있습니다",
}
REPORTED = {
    "zh": "C 计算   R 重用   P 部分   . 未调用",
    "ja": "C 計算   R 再利用   P 一部   . 呼び出しなし",
    "ko": "C 계산   R 재사용   P 일부   . 호출 안 됨",
}
every_language = pytest.mark.parametrize("language", LOADED)


@pytest.fixture(scope="module", autouse=True)
def english_again(rendered: FrontEnd) -> Iterator[None]:
    yield
    _speak(rendered, "en")


def test_names_follow_the_language(ui: FrontEnd) -> None:
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


@every_language
def test_strips_refusals_and_reports_follow_the_language(ui: FrontEnd, language: str) -> None:
    _speak(ui, language)
    ui.show("dit_pab")
    above, words, below = LOADED[language]
    ui.wait_for(lambda: below in ui.strip()["below"])
    assert ui.strip()["above"].startswith(above)
    assert ui.strip()["words"].startswith(words)
    _has_no_english(ui)
    start = ui.value(PAB, "start_percent")
    ui.set(PAB, "start_percent", 0.95)
    ui.wait_for(lambda: REFUSED[language] in ui.strip()["below"])
    _has_no_english(ui)
    ui.set(PAB, "start_percent", start)
    ui.set("KSampler", "steps", STEPS)
    ui.wait_for(lambda: below in ui.strip()["below"])
    ui.queue()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    ui.wait_for(lambda: REPORTED[language] in _report(ui))
    _has_no_english(ui)
    _attach_another(ui)
    ui.queue()
    ui.wait_for(lambda: any(ATTACHED[language] in each["below"] for each in ui.strips()))
    _has_no_english(ui)


def _attach_another(ui: FrontEnd) -> None:
    """A second node of the kind, which the first one cannot be beside."""
    ui.page.evaluate(
        """(type) => {
            const { graph } = window.app;
            const nodeOf = (type) => graph._nodes.find((each) => each.type === type);
            const [first, sampler] = [nodeOf(type), nodeOf("KSampler")];
            const second = window.LiteGraph.createNode(type);
            second.pos = [first.pos[0], first.pos[1] - 500];
            graph.add(second);
            first.connect(0, second, 0);
            second.connect(0, sampler, sampler.findInputSlot("model"));
        }""",
        PAB,
    )


def _report(ui: FrontEnd) -> str:
    return ui.page.locator("[data-testid=stepcache-report]").text_content()


def _has_no_english(ui: FrontEnd) -> None:
    """No word of three letters and more but for names; letters of steps are no word."""
    shown = [each[part] for each in ui.strips() for part in ("above", "words", "below")]
    shown += [each.get_attribute("title") for each in ui.page.locator(f"{STRIP} [title]").all()]
    words = {word for text in [*shown, _report(ui)] for word in re.findall(r"[A-Za-z_]{3,}", text)}
    assert {word for word in words - NAMES if set(word) - set("CRP")} == set()


def _speak(ui: FrontEnd, language: str) -> None:
    ui.page.evaluate(
        """(language) => window.app.extensionManager.setting.set("Comfy.Locale", language)""",
        language,
    )
    ui.reload()
