"""What a safetensors file says it holds: names, shapes and types, and none of the weights.

Files of models come from strangers. A header counts only where it is true to the file, byte for
byte, as those of real files are, and where it is no larger than they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

MAX_BYTES = 8 * 2**20
"""Of a header. Real ones have less than one; what trainers and pictures add to them is a few."""
MAX_TENSORS = 2**14
MAX_AXES = 8
MAX_LAYERS = 512
"""Numbers in names of tensors: hosts count layers by looking all names through for each."""

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
            # Opening it checks that tensors are as large as their shapes, and fill the file without
            # a gap. Asking it for shapes takes time that grows with the square of their number in
            # safetensors 0.4.2, 26 s for 16,000; and of two equal names it tells the last.
            with safe_open(path, "np"):
                pass
        except (ValueError, RecursionError, SafetensorError) as error:
            raise UnreadableHeader(str(error)) from error
        metadata = found.pop(_METADATA, None) or {}
        if len(found) > MAX_TENSORS:
            raise UnreadableHeader(f"{len(found)} tensors; expected at most {MAX_TENSORS}")
        return cls({name: _tensor(name, entry) for name, entry in found.items()}, metadata)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnreadableHeader("a name that stands twice")
    return found


def _tensor(name: str, entry: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
    if any(_is_beyond_layers(part) for part in name.split(".")):
        raise UnreadableHeader(f"more than {MAX_LAYERS} layers: {name[:100]}")
    if len(entry["shape"]) > MAX_AXES:
        raise UnreadableHeader(f"{name[:100]} has {len(entry['shape'])} axes")
    return entry["dtype"], tuple(entry["shape"])


def _is_beyond_layers(part: str) -> bool:
    return part.isdecimal() and (len(part) > len(str(MAX_LAYERS)) or int(part) >= MAX_LAYERS)
