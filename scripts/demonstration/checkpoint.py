"""Looks at a checkpoint before anything is started. Reads the header only, never a tensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from setup.errors import StepError

STEP = "the checkpoint"
PARTS = {
    "a diffusion model": ("model.diffusion_model.",),
    "a text encoder": ("cond_stage_model.", "conditioner.", "text_encoders."),
    "a VAE": ("first_stage_model.", "vae."),
}
LONGEST_HEADER = 100_000_000
REMEDY = "check the path after --model, or download the file again"


def check_checkpoint(file: Path) -> None:
    """Refuse what ComfyUI could not load as a whole checkpoint.

    Args:
        file: a .safetensors file.

    Raises:
        StepError: it is missing, truncated, not safetensors, or lacks a part.
    """
    names = read_header(file).keys()
    missing = [
        part
        for part, prefixes in PARTS.items()
        if not any(name.startswith(prefixes) for name in names)
    ]
    if missing:
        raise StepError(
            STEP,
            f"{file.name} has no {' and no '.join(part.split(' ', 1)[1] for part in missing)}",
            "name a full checkpoint (diffusion model, text encoder and VAE in one file); for a "
            "separate diffusion model put the node into your own workflow instead",
        )


def read_header(file: Path, step: str = STEP, remedy: str = REMEDY) -> dict[str, Any]:
    """The tensors that a safetensors file describes, once it is sure that it holds them all.

    Args:
        file: what to look at.
        step, remedy: what the error says was being done, and what to do about it.

    Raises:
        StepError: missing, truncated, or another format.
    """
    if not file.is_file():
        raise StepError(step, f"there is no file {file}", remedy)
    if file.suffix != ".safetensors":
        raise StepError(
            step, f"{file.name} is not a .safetensors file", "convert it, or name another one"
        )
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > LONGEST_HEADER:
            raise StepError(step, f"{file.name} is not a safetensors file", remedy)
        text = stream.read(length)
    if len(text) < length:
        promised = 8 + length
        raise StepError(step, f"{file.name} is truncated: {_sizes(promised, size)}", remedy)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        promised = 8 + length + max(entry["data_offsets"][1] for entry in header.values())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise StepError(step, f"{file.name} has a damaged header: {error}", remedy) from error
    if promised != size:
        word = "is truncated" if size < promised else "has bytes that nothing describes"
        raise StepError(step, f"{file.name} {word}: {_sizes(promised, size)}", remedy)
    return header


def _sizes(promised: int, found: int) -> str:
    return f"its header promises {promised:,} bytes, the file has {found:,}"
