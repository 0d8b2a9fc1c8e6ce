"""What the demo refuses before it samples, and that its server never outlives it."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from demonstration import server
from demonstration.checkpoint import PARTS, check_checkpoint, read_header
from demonstration.options import parse
from demonstration.output import Output
from demonstration.results import MIN_ROUNDS
from patience import HANG
from setup import tools
from setup.errors import StepError

SERVER = """
import argparse, http.server, json, os, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--base-directory", type=pathlib.Path)
options, _ = parser.parse_known_args()
packs = sorted(path.name for path in (options.base_directory / "custom_nodes").iterdir())
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        system = {"comfyui_version": "0", "packs": packs, "base": str(options.base_directory)}
        self.wfile.write(json.dumps({"system": system}).encode())
http.server.HTTPServer(("127.0.0.1", options.port), Answer).serve_forever()
"""


def write_checkpoint(path: Path, names: list[str]) -> Path:
    header = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
        for i, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4 * len(names)))
    return path


def whole_checkpoint(folder: Path) -> Path:
    names = [f"{prefixes[0]}weight" for prefixes in PARTS.values()]
    return write_checkpoint(folder / "whole.safetensors", names)


def fake_comfyui(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "main.py").write_text(text)
    return folder


def stats_of(address: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{address}/system_stats", timeout=HANG) as answer:
        return json.load(answer)["system"]


def test_a_whole_checkpoint_passes(tmp_path: Path) -> None:
    check_checkpoint(whole_checkpoint(tmp_path))


def test_a_truncated_checkpoint_is_refused_with_both_sizes(tmp_path: Path) -> None:
    file = whole_checkpoint(tmp_path)
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(StepError, match=f"promises {size:,} bytes, the file has {size - 5:,}"):
        check_checkpoint(file)


@pytest.mark.parametrize(
    ("length", "words"),
    [(0, "not a safetensors"), (5, "not a safetensors"), (8, "truncated"), (40, "truncated")],
)
def test_a_checkpoint_cut_inside_its_header_is_refused(
    tmp_path: Path, length: int, words: str
) -> None:
    file = whole_checkpoint(tmp_path)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(StepError, match=words):
        read_header(file)


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '{"a": {}}', '{"a": 1}'])
def test_a_damaged_header_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text.encode())
    with pytest.raises(StepError, match="damaged header"):
        read_header(file)


def test_a_diffusion_model_alone_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path / "unet.safetensors", ["model.diffusion_model.weight"])
    with pytest.raises(StepError, match="no text encoder and no VAE"):
        check_checkpoint(file)


def test_another_format_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    pickle = tmp_path / "model.ckpt"
    pickle.write_bytes(b"x" * 100)
    with pytest.raises(StepError, match=r"not a \.safetensors file"):
        check_checkpoint(pickle)
    with pytest.raises(StepError, match="there is no file"):
        check_checkpoint(tmp_path / "nothing.safetensors")


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StepError, match=f"port {port} .* in use"):
            server.require_free_port(port)
    server.require_free_port(port)


def test_a_full_disk_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StepError, match=r"0\.0 GB free"):
        Output(tmp_path / "output")
    assert not any((tmp_path / "output").iterdir())


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_the_server_ends_with_the_block(tmp_path: Path, error: type[BaseException] | None) -> None:
    comfyui = fake_comfyui(tmp_path / "comfyui", SERVER)

    def use() -> str:
        with server.running_server(Path(sys.executable), comfyui, tmp_path / "log") as address:
            seen = stats_of(address)
            addresses.append((address, Path(str(seen["base"]))))
            assert seen["packs"] == ["ComfyUI-StepCache", "stepcache_demo"]
            if error is not None:
                raise error
        return address

    addresses: list[tuple[str, Path]] = []
    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    ((address, base),) = addresses
    assert not base.exists()
    with pytest.raises(urllib.error.URLError):
        stats_of(address)


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    comfyui = fake_comfyui(tmp_path / "comfyui", "raise SystemExit('no such device')")
    with (
        pytest.raises(StepError, match="no such device"),
        server.running_server(Path(sys.executable), comfyui, tmp_path / "log"),
    ):
        pass


def test_a_port_taken_in_between_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comfyui = fake_comfyui(tmp_path / "comfyui", SERVER)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free = server.free_port()
        ports = iter([other.getsockname()[1], free])
        monkeypatch.setattr(server, "free_port", lambda: next(ports))
        with server.running_server(Path(sys.executable), comfyui, tmp_path / "log") as address:
            assert address.endswith(f":{free}")
            assert stats_of(address)


def test_options_of_the_persons_model_need_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--width", "512"])
    assert "--width goes with --model" in capsys.readouterr().err
    assert parse(["--model", "a.safetensors", "--width", "512"]).width == 512


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--port", "70000"], ["--seed", "-1"]])
def test_values_out_of_range_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(wrong)


def test_quick_is_as_few_rounds_as_can_tell_a_speedup() -> None:
    assert parse(["--quick", "--rounds", "5"]).rounds == MIN_ROUNDS


def test_the_log_is_quoted_from_the_telling_line_on_and_without_colours(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "start\n\x1b[32m[INFO]\x1b[0m ready\nTraceback (most recent call last):\n  why\n"
    )
    assert server.log_tail(log, ["Traceback"]) == "Traceback (most recent call last):\n  why"
    assert server.log_tail(log, ["nothing"]).startswith("start\n[INFO] ready\n")
