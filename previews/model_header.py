"""What a safetensors file says it holds: names, shapes and types, and none of the weights.

Files of models come from strangers. A header counts only where it is true to the file, byte for
byte, as those of real files are, and where it is no larger than they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 8 * 2**20
"""Of a header. Real ones have less than one; what trainers and pictures add to them is a few."""
MAX_TENSORS = 2**14
MAX_AXES = 8
MAX_LAYERS = 512
"""Numbers in names of tensors: hosts count layers by looking all names through for each."""

BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Of one number of a type. A file with other types is left to those who know them."""

_METADATA = "__metadata__"


class UnreadableHeader(ValueError):
    """The file is no safetensors file, or none that is true to itself."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file holds.

    Args:
        tensors: type and shape by name.
        metadata: texts that whoever wrote the file has added.
    """

    tensors: dict[str, tuple[str, tuple[int, ...]]]
    metadata: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Header:
        """The header of a file; nothing behind it is read.

        Raises:
            UnreadableHeader: it is none, or not true to the file.
            OSError: the file cannot be read.
        """
        size = path.stat().st_size
        # Pipes and devices have no size, and reading from one may never end.
        if size < 10:
            raise UnreadableHeader(f"a file of {size} bytes")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_BYTES, size - 8):
                raise UnreadableHeader(f"a header of {length} bytes in a file of {size}")
            text = file.read(length)
        try:
            found = json.loads(text, object_pairs_hook=_without_twins)
        except (ValueError, RecursionError) as error:
            raise UnreadableHeader(f"no JSON: {error}") from error
        if not isinstance(found, dict):
            raise UnreadableHeader("no object")
        metadata = found.pop(_METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise UnreadableHeader("metadata that are no texts")
        return cls(_tensors(found, size - 8 - length), metadata)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnreadableHeader("a name that stands twice")
    return found


def _tensors(found: dict[str, Any], size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape by name, where together they fill so many bytes without a gap."""
    if len(found) > MAX_TENSORS:
        raise UnreadableHeader(f"{len(found)} tensors; expected at most {MAX_TENSORS}")
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    places: list[tuple[int, int]] = []
    for name, entry in found.items():
        if any(_is_beyond_layers(part) for part in name.split(".")):
            raise UnreadableHeader(f"more than {MAX_LAYERS} layers: {name[:100]}")
        try:
            dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            one = BYTES[dtype]
        except (TypeError, KeyError, ValueError) as error:
            raise UnreadableHeader(f"{name[:100]} is no tensor that is known") from error
        if not isinstance(shape, list) or len(shape) > MAX_AXES:
            raise UnreadableHeader(f"{name[:100]} has no shape")
        if not _are_whole((begin, end, *shape), size) or math.prod(shape) * one != end - begin:
            raise UnreadableHeader(f"{name[:100]} is not as large as its shape")
        tensors[name] = (dtype, tuple(shape))
        places.append((begin, end))
    at = 0
    for begin, end in sorted(places):
        if begin != at:
            raise UnreadableHeader("tensors that overlap or leave gaps")
        at = end
    if at != size:
        raise UnreadableHeader(f"tensors of {at} bytes in {size}")
    return tensors


def _is_beyond_layers(part: str) -> bool:
    return part.isdecimal() and (len(part) > len(str(MAX_LAYERS)) or int(part) >= MAX_LAYERS)


def _are_whole(numbers: Iterable[Any], most: int) -> bool:
    return all(type(number) is int and 0 <= number <= most for number in numbers)
