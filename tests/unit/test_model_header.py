"""Headers of files that are what they say, and of files that somebody has made to do harm."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_files import header_of, write
from stepcache.previews.model_header import MAX_TENSORS, Header, UnreadableHeader

SHAPES = {"a.weight": (2, 3), "a.bias": (2,), "scalar": (), "nothing": (0, 4)}
Change = Callable[[dict[str, Any]], object]


def test_names_shapes_types_and_metadata_are_read(tmp_path: Path) -> None:
    file = write(tmp_path / "f", header_of(SHAPES) | {"__metadata__": {"made by": "somebody"}})
    header = Header.read(file)
    assert header.tensors == {name: ("F16", shape) for name, shape in SHAPES.items()}
    assert header.metadata == {"made by": "somebody"}


def _put(name: str, key: str, value: Any) -> Change:
    return lambda header: header[name].__setitem__(key, value)


@pytest.mark.parametrize(
    "change",
    [
        _put("a.weight", "shape", [2, 4]),
        _put("a.weight", "shape", [10**9, 10**9]),
        _put("a.weight", "shape", [-2, -3]),
        _put("a.weight", "shape", [2.0, 3]),
        _put("a.weight", "shape", [True, 6]),
        _put("a.weight", "shape", [1] * 9 + [6]),
        _put("a.weight", "shape", "23"),
        _put("a.weight", "shape", [math.inf]),
        _put("a.weight", "dtype", "F3"),
        _put("a.weight", "dtype", ["F16"]),
        _put("a.weight", "data_offsets", [0]),
        _put("a.weight", "data_offsets", [12, 0]),
        _put("a.bias", "data_offsets", [8, 12]),
        _put("a.bias", "data_offsets", [16, 20]),
        _put("a.bias", "data_offsets", None),
        lambda header: header.pop("a.weight"),
        lambda header: header.pop("scalar"),
        lambda header: header.update({"a.weight": 3}),
        lambda header: header.update({"__metadata__": {"config": 3}}),
        lambda header: header.update({"__metadata__": []}),
        lambda header: header.update({"blocks.512.bias": header["nothing"]}),
        lambda header: header.update({f"blocks.{'1' * 5000}": header["nothing"]}),
        lambda header: header.update({f"x{i}": header["nothing"] for i in range(MAX_TENSORS)}),
    ],
)
def test_what_is_not_true_to_the_file_is_refused(tmp_path: Path, change: Change) -> None:
    whole = header_of(SHAPES)
    header = json.loads(json.dumps(whole))
    change(header)
    with pytest.raises(UnreadableHeader):
        Header.read(write(tmp_path / "f", json.dumps(header).encode(), 18))
    Header.read(write(tmp_path / "f", whole, 18))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 10**5, b'{"a":' * 10**5, b"9" * 5000,
        b'{"a": 1, "a": 2}', b'{"__metadata__": {"a": "", "a": ""}}',
    ],
    ids=lambda text: f"{text[:20]!r}, {len(text)}",
)  # fmt: skip
def test_what_is_no_object_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UnreadableHeader):
        Header.read(write(tmp_path / "f", text))


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**40, 2**64 - 1])
def test_a_length_beyond_the_file_or_reason_is_refused(tmp_path: Path, length: int) -> None:
    file = tmp_path / "f"
    file.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(UnreadableHeader):
        Header.read(file)
    with file.open("r+b") as grown:
        grown.truncate(2**33)
    with pytest.raises(UnreadableHeader):
        Header.read(file)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04", b"GGUF\x03\x00\x00\x00\x10\x00"):
        file = tmp_path / "f"
        file.write_bytes(content)
        with pytest.raises(UnreadableHeader):
            Header.read(file)
