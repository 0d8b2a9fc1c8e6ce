"""The front end shows our names, strips, reports and refusals in the person's language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from frontend import ROOT, STRIP, FrontEnd

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
LINE = (
    "Step Cache: Apply PAB (self_attention 2, block 1) + TGATE Gate (gate_step 3) on Wan (WAN21): "
    "reused 0 of 10 (0 %) in 5 evaluations, 1.00 s, 0.0 MiB",
    "interrupted",
    "nothing reused: every planned reuse had to be computed: the step that should have computed "
    "it did not run (3x), the weights have changed since, by the schedule of a LoRA hook (2x)",
)
COMPOSED = {
    "zh": (
        "步缓存：应用 PAB (自注意力 2, 整块 1) + T-GATE 门控 (门控步 3)，用于 Wan (WAN21)："
        "在 5 次求值中重用 0 / 10（0 %），1.00 秒，0.0 MiB",
        "已中断",
        "没有重用：所有计划的重用都不得不计算：本应计算它的步没有运行 (3x), "
        "此后权重因 LoRA 钩子的调度而改变 (2x)",
    ),
    "ja": (
        "ステップキャッシュ：Wan (WAN21) で PAB を適用 (自己アテンション 2, ブロック全体 1) + "
        "T-GATE ゲート (ゲートステップ 3)：5 回の評価で 10 件中 0 件（0 %）を再利用、"
        "1.00 秒、0.0 MiB",
        "中断されました",
        "再利用なし：計画した再利用はすべて計算するしかありませんでした："
        "計算するはずのステップが実行されませんでした (3x), "
        "その後 LoRA フックのスケジュールで重みが変わりました (2x)",
    ),
    "ko": (
        "스텝 캐시: Wan (WAN21)에서 PAB 적용 (셀프 어텐션 2, 블록 전체 1) + "
        "T-GATE 게이트 (게이트 스텝 3): "
        "평가 5회에서 10건 중 0건(0 %) 재사용, 1.00초, 0.0 MiB",
        "중단됨",
        "재사용 없음: 계획한 재사용을 모두 계산해야 했음: 계산해야 할 스텝이 실행되지 않음 (3x), "
        "그 후 LoRA 훅의 스케줄로 가중치가 바뀜 (2x)",
    ),
}
GAIN = (
    "Dynamic Int8: int8 by itself was 1.52 × as fast as float16 in a product of 4096 rows, "
    "64 x 128, on cpu (comfy-kitchen 0.2.26, eager)"
)
NESTED = {
    "zh": "动态 Int8：int8 单独测得 1.52 倍于 float16 的速度"
    "（4096 行、64 x 128 的乘积，cpu，comfy-kitchen 0.2.26, eager）",
    "ja": "動的 Int8：int8 単独では 1.52 倍速"
    "（float16 比、4096 行、64 x 128 の積、cpu、comfy-kitchen 0.2.26, eager）",
    "ko": "동적 Int8: int8만으로는 1.52배 빠름"
    "(float16 대비, 4096행, 64 x 128의 곱, cpu, comfy-kitchen 0.2.26, eager)",
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


@pytest.mark.parametrize("rendered", ["canvas"], indirect=True)
@every_language
def test_every_sentence_is_known_for_what_it_is(ui: FrontEnd, language: str) -> None:
    """Whatever stands in its places: none is taken for another one, or for a list."""
    _speak(ui, language)
    path = ROOT / "locales" / language / "main.json"
    said = json.loads(path.read_text(encoding="utf-8"))["stepcache"]
    wanted = {_filled(english): _filled(own) for english, own in said.items()}
    wanted["; ".join(LINE)] = "; ".join(COMPOSED[language])
    wanted[GAIN] = NESTED[language]
    found = ui.page.evaluate(
        """async (texts) => {
            const isIt = ({ name }) => name.endsWith("/js/translation.js");
            const { translated } = await import(performance.getEntries().find(isIt).name);
            return texts.map(translated);
        }""",
        list(wanted),
    )
    wrong = {key: own for key, own in zip(wanted, found, strict=True) if own != wanted[key]}
    assert wrong == {}


def _filled(text: str) -> str:
    return re.sub(r"\{(\d+)\}", r"<\1>", text)


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
