"""Calibration files that are none, or are damaged: every surprise is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calibration_files import made, noise, refusal_of
from stepcache.cache_core.calibration import Costs
from stepcache.cache_core.calibration.file import SIZE_LIMIT, lay_out, read
from work import opened_files


def refusal(path: Path) -> str:
    return refusal_of(read, path, "calibration")


def changed(change: Callable[[Any], Any]) -> str:
    """The text of a file after a change to what it holds."""
    document = json.loads(lay_out(made(noise=noise())).text)
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON (Expecting value"),
        ("steps: 30", "is not JSON"),
        ('{"stepcache_calibration": NaN}', "is not JSON (NaN is no JSON value)"),
        ('{"stepcache_calibration": 1, "x": -Infinity}', "(-Infinity is no JSON value)"),
        ("[" * 100_000, "is not JSON (nested too deeply)"),
        ('{"x":' * 30_000, "is not JSON (nested too deeply)"),
        ('{"samples": 1, "samples": 2}', 'is not JSON (the key "samples" occurs twice)'),
        ("[1, 0]", "is no calibration of Step Cache"),
        ("null", "is no calibration of Step Cache"),
        ("{}", "is no calibration of Step Cache; expected an object with stepcache_calibration"),
        ('{"attn": [1, 0]}', "is no calibration of Step Cache"),
        ('{"stepcache_calibration": true}', "is no calibration of Step Cache"),
        ('{"stepcache_calibration": 1.0}', "is no calibration of Step Cache"),
        ('{"stepcache_calibration": 0}', "has 0 at stepcache_calibration; expected 1"),
        (
            '{"stepcache_calibration": 2}',
            "made by a newer version of Step Cache; this one reads",
        ),
        ('{"stepcache_calibration": 1}', "has no model; expected an object with family"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_no_calibration_is_refused(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    assert words in refusal(file)


def put(*path: Any) -> Callable[[Any], None]:
    """Replace what is at a path by its last item."""

    def change(document: Any) -> None:
        *way, last, value = path
        for step in way:
            document = document[step]
        document[last] = value

    return change


def cut(*path: Any) -> Callable[[Any], None]:
    """Remove what is at a path."""

    def change(document: Any) -> None:
        *way, last = path
        for step in way:
            document = document[step]
        del document[last]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("errors", 2, "lags", 1, 3, "x"), 'has "x" at errors 3, lag 2, step 3; expected a num'),
        (put("errors", 2, "lags", 1, 3, -1), "has -1 at errors 3, lag 2, step 3; expected a numbe"),
        (put("errors", 0, "lags", 0, 0, True), "has true at errors 1, lag 1, step 0"),
        (put("errors", 0, "lags", 0, 0, 10**300), "… at errors 1, lag 1, step 0"),
        (put("errors", 0, "lags", 0, 0, None), "has null at errors 1, lag 1, step 0"),
        (put("errors", 0, "lags", 0, 0, []), "has a list at errors 1, lag 1, step 0"),
        (put("errors", 0, "lags", 1, 7), "has 7 at errors 1, lag 2; expected a list"),
        (cut("errors", 0, "lags", 0, 0), "has 4 entries at errors 1, lag 1; expected 5 for 6 step"),
        (cut("errors", 0, "lags", 0), "has 2 entries at errors 1, lags; expected 3"),
        (cut("errors", 0, "lags"), "has no lags at errors 1; expected a list of 1 to 20 entries"),
        (put("errors", 1, "kind", []), "has a list at errors 2, kind; expected one of self_"),
        (put("errors", 1, "branch", "both"), "is about the same layers at errors 1 and 2; keep on"),
        (put("errors", 3, "index", 1.0), "has 1.0 at errors 4, index; expected a whole number"),
        (put("errors", 3, "index", -1), "has -1 at errors 4, index"),
        (put("errors", 3, 4), "has 4 at errors 4; expected an object with kind, lags"),
        (put("errors", []), "has 0 entries at errors; expected a list of 1 to 2000"),
        (put("errors", [1] * 2001), "has 2001 entries at errors; expected a list of 1 to 2000"),
        (put("errors", {}), "has an object at errors; expected a list"),
        (put("model", []), "has a list at model; expected an object with family"),
        (put("model", "family", 3), "has 3 at model, family; expected one line"),
        (put("model", "family", "a\nb"), "at model, family; expected one line"),
        (put("model", "family", "\ud800"), "at model, family; expected one line"),
        (put("model", "network", "x" * 201), "… at model, network; expected one line"),
        (cut("model", "fingerprint"), "has no fingerprint at model; expected one line"),
        (put("model", "layers", "self_attention", 10**6), 'at model, layers "self_attention"; exp'),
        (cut("run"), "has no run; expected an object with sampler"),
        (put("run", "steps", 1), "has 1 at run, steps; expected a whole number from 2 to 1000"),
        (put("run", "steps", 1001), "has 1001 at run, steps"),
        (put("run", "steps", "6"), 'has "6" at run, steps'),
        (put("run", "steps", 5), "has 7 entries at run, sigmas; expected 6 for 5 steps"),
        (put("run", "sigmas", 3, 99), "has 99 at run, sigma 3; expected falling noise levels, her"),
        (put("run", "sigmas", [1] * 7), "has 1 throughout at run, sigmas; expected falling"),
        (put("run", "sigmas", 3, None), "has null at run, sigma 3; expected a number"),
        (put("run", "cfg", None), "has null at run, cfg"),
        (put("run", "latent", []), "has 0 entries at run, latent; expected a list of 1 to 8"),
        (put("run", "latent", 0, 0), "has 0 at run, latent size 0; expected a whole number"),
        (put("run", "shift", "3"), 'has "3" at run, shift; expected null or a number'),
        (put("samples", 0), "has 0 at samples; expected a whole number from 1"),
        (put("samples", 1.5), "has 1.5 at samples"),
        (put("runs", 10**10), "has 10000000000 at runs"),
        (put("average", 3), "has 3 at average; expected one line"),
        (put("lookahead_measured", 21), "has 21 at lookahead_measured; expected a whole number"),
        (put("lookahead_measured", 2), "has 3 entries at errors 1, lags; expected 2, as lookahead"),
        (put("lookahead", 0), "has 0 at lookahead; expected a whole number from 1 to 20"),
        (put("alpha", -0.1), "has -0.1 at alpha; expected a number from 0 to 1000"),
        (put("alpha", False), "has false at alpha"),
        (put("costs", "flops", "self_attention", 1.5), 'has 1.5 at costs, flops "self_attention"'),
        (put("costs", "device", 1), "has 1 at costs, device"),
        (put("costs", None), "has null at costs; expected an object"),
        (put("noise_changes", None), "has null at noise_changes; expected an object with half"),
        (cut("noise_changes", "products"), "has no products at noise_changes; expected a list"),
        (cut("noise_changes", "products", 4), "has 4 entries at noise_changes, products; expec"),
        (cut("noise_changes", "products", 1, 0), "has 3 entries at noise_changes, row 2; expec"),
        (put("noise_changes", "products", 0, 1, None), "has null at noise_changes, row 1, prod"),
        (put("noise_changes", "products", 0, 1, 1e13), "at noise_changes, row 1, product 1; ex"),
        (put("noise_changes", "half_log_snrs", 2, -2), "has -2 at noise_changes, level 2; expe"),
        (put("noise_changes", "half_log_snrs", 2, "x"), 'has "x" at noise_changes, level 2; ex'),
        (put("influence", "layers", -1), 'has -1 at influence "layers"; expected a number'),
        (put("influence", {str(n): 1 for n in range(101)}), "has 101 entries at influence; expec"),
        (put("schedule", "self_attention", [1, 0]), 'has 2 entries at schedule "self_attention";'),
        (put("schedule", "self_attention-1", 4, 2), 'has 2 at schedule "self_attention-1", step 4'),
        (put("schedule", "self_attention-1", 4, True), 'has true at schedule "self_attention-1",'),
        (put("schedule", []), "has a list at schedule; expected an object"),
        (put("tool", None), "has null at tool"),
        (put("whole", 1), "has 1 at whole; expected true or false"),
        (cut("whole"), "has no whole; expected true or false"),
    ],
    ids=lambda value: value[:32] if isinstance(value, str) else "",
)  # fmt: skip
def test_every_field_is_checked(file: Path, change: Callable[[Any], Any], words: str) -> None:
    file.write_text(changed(change))
    assert words in refusal(file)


def test_a_number_beyond_all_is_refused(file: Path) -> None:
    file.write_text(lay_out(made()).text.replace('"alpha": 0.15', '"alpha": 1e999'))
    assert "has Infinity at alpha; expected a number from 0 to 1000" in refusal(file)


def test_a_key_may_not_occur_twice_anywhere(file: Path) -> None:
    file.write_text(lay_out(made()).text.replace('"cfg":', '"x":{"a":1,"a":1},"cfg":'))
    assert 'the key "a" occurs twice' in refusal(file)


def test_a_byte_order_mark_and_missing_extras_do_no_harm(file: Path) -> None:
    def strip(document: Any) -> None:
        for key in ("tool", "costs", "influence", "schedule"):
            del document[key]
        del document["run"]["shift"], document["run"]["resolution_class"]

    file.write_text(changed(strip), encoding="utf-8-sig")
    calibration = read(file)
    assert calibration.schedule == () and calibration.run.shift is None
    assert calibration.costs == Costs()


def test_a_noise_level_may_last_for_two_steps(file: Path) -> None:
    document = json.loads(lay_out(made()).text)
    document["run"]["sigmas"][3] = document["run"]["sigmas"][2]
    file.write_text(json.dumps(document))
    assert read(file).table.sigmas[2] == read(file).table.sigmas[3]


def test_a_huge_file_is_refused_without_reading_it(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(100_000_000)
    with opened_files() as opened:
        assert "has 95.4 MiB; calibrations have less than 200 KiB" in refusal(file)
    assert str(file) not in opened
    file.write_text("{}")
    with opened_files() as opened:
        refusal(file)
    assert str(file) in opened, "or else it would not have been heard"


def test_the_largest_allowed_file_is_read(file: Path) -> None:
    text = lay_out(made()).text
    file.write_text(text + " " * (SIZE_LIMIT - len(text)))
    assert read(file).samples == 2
    file.write_text(text + " " * (SIZE_LIMIT - len(text) + 1))
    assert "has 200.0 KiB; calibrations have less than 200 KiB" in refusal(file)


def test_a_folder_a_missing_file_and_bytes_are_refused(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "folder.json"
    folder.mkdir()
    assert "is not a file; choose the .json file itself" in refusal(folder)
    assert "does not exist; choose another calibration" in refusal(tmp_path / "gone.json")
    file.write_bytes(b"\xff\xfe\x00")
    assert "is not JSON" in refusal(file)
