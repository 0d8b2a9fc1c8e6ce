"""The demo's textures: scenes, captions, canvas and judge; no ComfyUI needed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from demo.shapes import canvas as shapes_canvas
from demo.shapes import scenes as shapes_scenes
from demo.textures import canvas, captions, judge, motifs, render, scenes
from demo.textures.scenes import Fabric, Scene

BRICKS = Fabric("bricks", "red", "cyan")
DOTS = Fabric("dots", "blue", "yellow", "X", "white")
GRAINS = Fabric("grains", "green", "magenta", "S", "black")
ZIGZAGS = Fabric("zigzags", "red", "blue")
SCENE = Scene((BRICKS, DOTS, GRAINS, ZIGZAGS))
TEXT = scenes.caption(SCENE)
HALF = motifs.FABRIC


def drawn(scene: Scene, seed: int = 0) -> np.ndarray:
    return render.render(scene, np.random.default_rng(seed))[0].transpose(1, 2, 0)


def some(count: int, seed: int = 11) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [scenes.random_scene(rng) for _ in range(count)]


def test_caption_words_the_scene() -> None:
    assert TEXT == scenes.EXAMPLE
    assert scenes.parse(TEXT) == SCENE
    assert scenes.parse(TEXT.upper().replace(";", "  ;") + ".") == SCENE


def test_every_scene_reads_back() -> None:
    for scene in some(200):
        assert scenes.parse(scenes.caption(scene)) == scene


@pytest.mark.parametrize(
    "text",
    [
        "top left red bricks on cyan",
        TEXT + "; bottom right red zigzags on blue",
        TEXT.replace("top right", "top left"),
        TEXT.replace("red bricks on cyan", "red bricks on red"),
        TEXT.replace("white X", "white Q"),
        TEXT.replace("red bricks", "pink bricks"),
        TEXT.replace("bricks", "tiles"),
    ],
)
def test_unreadable_captions_say_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="Expected") as caught:
        scenes.parse(text)
    assert text in str(caught.value)
    assert scenes.EXAMPLE in str(caught.value)


def test_held_out_captions_are_fixed_distinct_and_never_trained_on() -> None:
    texts = scenes.held_out_captions(500)
    assert texts == scenes.held_out_captions(500)
    assert texts[:100] == scenes.held_out_captions(100)
    assert len(set(texts)) == 500
    assert all(scenes.is_held_out(scenes.parse(text)) for text in texts)
    trained = some(2000)
    assert not any(scenes.is_held_out(scene) for scene in trained)
    assert not {scenes.caption(scene) for scene in trained} & set(texts)


def test_captions_name_everything_there_is() -> None:
    fabrics = [fabric for scene in some(200) for fabric in scene.fabrics]
    assert {fabric.pattern for fabric in fabrics} == set(scenes.PATTERNS)
    assert {fabric.colour for fabric in fabrics} == set(scenes.COLOURS)
    assert {fabric.ground for fabric in fabrics} == set(scenes.COLOURS)
    assert {fabric.letter for fabric in fabrics} == {"", *scenes.LETTERS}
    assert {fabric.ink for fabric in fabrics} == {"", *scenes.INKS}


def test_tokens_name_each_fabric_once() -> None:
    tokens = captions.encode(TEXT)
    assert tokens.shape == (1, captions.TOKENS, captions.WIDTH)
    assert tokens[0].sum(1).tolist() == [5, 6, 6, 5]
    empty = captions.encode("  ")
    assert empty[0].sum(1).tolist() == [1, 1, 1, 1]
    texts = {scenes.caption(scene) for scene in some(200)}
    assert len({captions.encode(text).numpy().tobytes() for text in texts}) == len(texts)


def test_canvas_has_unit_spread_and_is_the_picture() -> None:
    rng = np.random.default_rng(0)
    stack = torch.stack([canvas.draw(scene, rng) for scene in some(50)])
    assert stack.shape == (50, 4, 64, 64)
    assert 0.7 < float(stack.std()) < 1.3
    pictures = canvas.decode(stack)
    assert pictures.shape == (50, 64, 64, 3)
    shown = (pictures.permute(0, 3, 1, 2) - 0.5) * canvas.RGB_GAIN
    torch.testing.assert_close(shown, stack[:, :3])


def test_canvas_shows_height() -> None:
    height = canvas.draw(SCENE, np.random.default_rng(0))[3] / canvas.HEIGHT_GAIN
    found = (height + canvas.HEIGHT_MEAN).unique()
    heights = [render.GROUND_HEIGHT, render.PATTERN_HEIGHT, render.LETTER_HEIGHT]
    assert found.tolist() == pytest.approx(heights, abs=1e-6)


def fine_share(canvases: torch.Tensor) -> float:
    """Share of a batch's energy (B, 4, side, side) in periods of 4 latent pixels and less."""
    grey = canvases[:, :3].mean(1).numpy()
    power = np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2
    frequency = np.abs(np.fft.fftfreq(grey.shape[-1]))
    is_fine = np.maximum(frequency[:, None], frequency[None, :]) >= 1 / 4
    return float(power[:, is_fine].sum() / power.sum())


def test_latents_are_much_finer_than_those_of_shapes() -> None:
    rng = np.random.default_rng(0)
    smooth = []
    for _ in range(50):
        scene = shapes_scenes.random_scene(rng)
        placed = shapes_scenes.place_shapes(scene, rng)
        smooth.append(shapes_canvas.draw(scene.ground, placed))
    textured = torch.stack([canvas.draw(scene, rng) for scene in some(50)])
    assert fine_share(textured) > 4 * fine_share(torch.stack(smooth))


def test_no_phase_of_a_pattern_is_one_of_another() -> None:
    ways = [way.tobytes() for name in motifs.REGULAR for way in motifs.phases(name)]
    assert len(set(ways)) == len(ways)


def test_judge_is_right_about_every_rendered_picture() -> None:
    for number, scene in enumerate(some(300)):
        verdict = judge.judge(drawn(scene, number), scenes.caption(scene))
        assert verdict.correct, verdict.reason


@pytest.mark.parametrize("scale", [0.02, 0.05])
def test_judge_bears_a_little_noise(scale: float) -> None:
    rng = np.random.default_rng(5)
    for number, scene in enumerate(some(50)):
        noisy = drawn(scene, number) + rng.normal(0, scale, (64, 64, 3))
        verdict = judge.judge(noisy, scenes.caption(scene))
        assert verdict.correct, verdict.reason


def one_word_off() -> dict[str, Scene]:
    """Scenes that differ from `SCENE` in one word of one fabric."""

    def changed(place: int, **words: str) -> Scene:
        fabrics = list(SCENE.fabrics)
        fabrics[place] = dataclasses.replace(fabrics[place], **words)
        return Scene(tuple(fabrics))

    found = {name: changed(0, pattern=name) for name in scenes.PATTERNS if name != BRICKS.pattern}
    found |= {f"letter {name}": changed(1, letter=name) for name in scenes.LETTERS if name != "X"}
    return found | {
        "colour": changed(0, colour="magenta"),
        "ground": changed(0, ground="green"),
        "swapped colours": changed(0, colour="cyan", ground="red"),
        "swapped grain": changed(2, colour="magenta", ground="green"),
        "ink": changed(1, ink="black"),
        "no letter": changed(1, letter="", ink=""),
        "one letter more": changed(0, letter="A", ink="white"),
        "grain is regular": changed(2, pattern="dots"),
        "swapped places": Scene((DOTS, BRICKS, GRAINS, ZIGZAGS)),
    }


@pytest.mark.parametrize("word", sorted(one_word_off()))
def test_judge_sees_one_wrong_word(word: str) -> None:
    for seed in range(5):
        assert not judge.judge(drawn(one_word_off()[word], seed), TEXT).correct


def broken_pictures() -> dict[str, np.ndarray]:
    """Pictures no caption describes, each one defect away from a right one."""
    good = drawn(SCENE)
    slipped, smear, flat, faded, half_letter, ordered = (good.copy() for _ in range(6))
    slipped[:HALF, : HALF // 2] = np.roll(good[:HALF, : HALF // 2], (2, 3), (0, 1))
    smear[20:30, 5:17] = (0.5, 0.4, 0.5)
    flat[:HALF, :HALF] = good[:HALF, :HALF].mean((0, 1))
    faded[:HALF, :HALF] += 0.7 * (flat[:HALF, :HALF] - good[:HALF, :HALF])
    ground = good[HALF - 2 : HALF, HALF + 4 : HALF + 12].mean((0, 1))
    half_letter[12:20, HALF + 4 : 60] = ground
    ordered[HALF:, :HALF] = np.sort(good[HALF:, :HALF], axis=0)
    blurred = (good + np.roll(good, 1, 0) + np.roll(good, 1, 1) + np.roll(good, (1, 1), (0, 1))) / 4
    return {
        "slipped pattern": slipped,
        "smear": smear,
        "flat": flat,
        "faded": faded,
        "half a letter": half_letter,
        "ordered grain": ordered,
        "blurred": blurred,
        "grey": np.full((64, 64, 3), 0.5),
        "noise": np.random.default_rng(0).random((64, 64, 3)),
        "mirrored": good[:, ::-1],
    }


@pytest.mark.parametrize("defect", sorted(broken_pictures()))
def test_judge_refuses_what_the_caption_does_not_say(defect: str) -> None:
    assert not judge.judge(broken_pictures()[defect], TEXT).correct


def test_judge_wants_pictures_of_64_pixels() -> None:
    with pytest.raises(ValueError, match="64"):
        judge.judge(np.zeros((128, 128, 3), np.float32), TEXT)


def test_rates_count_fabrics_and_their_words() -> None:
    pictures = [drawn(SCENE), drawn(one_word_off()["ink"]), broken_pictures()["slipped pattern"]]
    verdicts = [judge.judge(picture, TEXT) for picture in pictures]
    assert judge.rates([TEXT] * 3, verdicts) == {
        "fabrics": round(10 / 12, 4),
        "attributes": {
            "readable": round(11 / 12, 4),
            "pattern": 1.0,
            "colour": 1.0,
            "ground": 1.0,
            "letter": 1.0,
            "ink": round(11 / 12, 4),
        },
    }
