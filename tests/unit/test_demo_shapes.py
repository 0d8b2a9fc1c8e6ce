"""The demo's scenes, captions, canvas and judge; no ComfyUI needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from demo.shapes import canvas, captions, judge, render, scenes
from demo.shapes.scenes import Placed, Scene, Shape

RED = Shape("circle", "red", "large", "left")
GREEN = Shape("square", "green", "small", "right")
PAIR = Scene("black", (RED, GREEN))
TEXT = "a large red circle left of a small green square on a black ground"


def picture(ground: str, placed: list[Placed], side: int = 256) -> np.ndarray:
    return render.render(ground, placed, side)[0].transpose(1, 2, 0)


def drawn(scene: Scene, seed: int = 0) -> np.ndarray:
    return picture(scene.ground, scenes.place_shapes(scene, np.random.default_rng(seed)))


def test_caption_words_the_scene() -> None:
    assert scenes.caption(PAIR) == TEXT
    flipped = "a small green square right of a large red circle on a black ground"
    assert scenes.caption(PAIR, flip=True) == flipped


def test_every_scene_reads_back_from_both_wordings() -> None:
    everything = list(scenes.all_scenes())
    assert len(everything) == 540 + 7776
    for scene in everything[::7]:
        for flip in (False, True):
            assert scenes.parse(scenes.caption(scene, flip)).matches(scene)


@pytest.mark.parametrize(
    "text",
    [
        "a red circle",
        "a huge red circle in the centre on a black ground",
        "a large red circle left of a small green square",
        TEXT + " and a blue triangle",
    ],
)
def test_unreadable_captions_say_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="Expected") as caught:
        scenes.parse(text)
    assert text in str(caught.value)
    assert scenes.EXAMPLE in str(caught.value)


def test_split_ignores_the_wording_and_keeps_about_a_tenth() -> None:
    swapped = Scene("black", (GREEN, RED))
    assert scenes.is_held_out(PAIR) == scenes.is_held_out(swapped)
    share = np.mean([scenes.is_held_out(scene) for scene in scenes.all_scenes()])
    assert 0.08 < share < 0.12


def test_held_out_captions_are_fixed_distinct_and_never_trained_on() -> None:
    texts = scenes.held_out_captions(500)
    assert texts == scenes.held_out_captions(500)
    held_out = {scenes.parse(text).key() for text in texts}
    assert len(held_out) == 500
    rng = np.random.default_rng(3)
    trained = {scenes.random_scene(rng).key() for _ in range(2000)}
    assert not trained & held_out


def test_tokens_name_each_thing_once() -> None:
    tokens = captions.encode(TEXT)
    assert tokens.shape == (1, captions.TOKENS, captions.WIDTH)
    assert tokens[0].sum(1).tolist() == [2, 5, 5]
    assert not tokens[..., captions.USED :].any()
    empty = captions.encode("  ")
    assert empty[0].sum(1).tolist() == [1, 1, 1]
    assert not torch.equal(empty, tokens)


def test_different_captions_have_different_tokens() -> None:
    texts = [scenes.caption(scene) for scene in list(scenes.all_scenes())[::37]]
    codes = {captions.encode(text)[0, :, : captions.USED].numpy().tobytes() for text in texts}
    assert len(codes) == len(texts)


def test_canvas_has_unit_spread_and_folds_back() -> None:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(100):
        scene = scenes.random_scene(rng)
        made.append(canvas.draw(scene.ground, scenes.place_shapes(scene, rng)))
    stack = torch.stack(made)
    assert stack.shape == (100, 4, 32, 32)
    assert 0.7 < float(stack.std()) < 1.3
    latent = canvas.to_dit(stack)
    assert latent.shape == (100, 16, 16, 16)
    assert torch.equal(canvas.from_dit(latent), stack)


def test_canvas_shows_colour_and_cover() -> None:
    made = canvas.draw("grey", [Placed(RED, 0.25, 0.5, 0.19)])
    inside, outside = made[:, 16, 8], made[:, 2, 30]
    assert inside[:3].tolist() == pytest.approx([1.2, -1.2, -1.2])
    assert float(inside[3]) == pytest.approx(2.7)
    assert float(outside[:3].abs().max()) < 0.01


def test_judge_is_right_about_every_rendered_picture() -> None:
    rng = np.random.default_rng(11)
    for number in range(40):
        scene = scenes.random_scene(rng)
        verdict = judge.judge(drawn(scene, number), scenes.caption(scene))
        assert verdict.correct, verdict.reason


@pytest.mark.parametrize(
    "wrong",
    [
        Scene("white", (RED, GREEN)),
        Scene("black", (Shape("square", "red", "large", "left"), GREEN)),
        Scene("black", (Shape("triangle", "red", "large", "left"), GREEN)),
        Scene("black", (Shape("circle", "magenta", "large", "left"), GREEN)),
        Scene("black", (Shape("circle", "red", "small", "left"), GREEN)),
        Scene(
            "black",
            (Shape("circle", "red", "large", "right"), Shape("square", "green", "small", "left")),
        ),
        Scene(
            "black",
            (Shape("circle", "red", "large", "top"), Shape("square", "green", "small", "bottom")),
        ),
        Scene("black", (RED,)),
    ],
)
def test_judge_sees_one_wrong_word(wrong: Scene) -> None:
    assert not judge.judge(drawn(wrong), TEXT).correct


def broken_pictures() -> dict[str, np.ndarray]:
    """Pictures no caption describes, each one defect away from a right one."""
    good = drawn(PAIR)
    corner = [Placed(RED, 0.25, 0.25, 0.19)]
    third = [Placed(Shape("circle", "blue", "small", "top"), 0.5, 0.12, 0.1)]
    placed = scenes.place_shapes(PAIR, np.random.default_rng(0))
    speck, smear, hole = (good.copy() for _ in range(3))
    speck[20:26, 20:26] = (0, 0, 1)
    smear[200:230, 100:130] = (0.4, 0.2, 0.1)
    hole[118:138, 54:74] = 0
    return {
        "corner": picture("black", corner),
        "third shape": picture("black", placed + third),
        "speck": speck,
        "smear": smear,
        "hole": hole,
        "empty": np.zeros((256, 256, 3), np.float32),
        "noise": np.random.default_rng(0).random((256, 256, 3), np.float32),
        "too large": picture("black", [Placed(RED, 0.25, 0.5, 0.3)]),
    }


@pytest.mark.parametrize("defect", sorted(broken_pictures()))
def test_judge_refuses_what_no_caption_says(defect: str) -> None:
    with pytest.raises(judge.Unreadable):
        judge.read(broken_pictures()[defect])


def test_judge_wants_square_pictures() -> None:
    with pytest.raises(ValueError, match="square"):
        judge.read(np.zeros((256, 128, 3), np.float32))
