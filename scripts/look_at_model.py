"""Shows what a tiny model's modules do in one call: `python scripts/look_at_model.py mochi`.

The first step in adding a family. Needs the environment of `python scripts/test.py`, and the tiny
model's configuration in tests/support/zoo.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from typing import Any

import booted_on_cpu

import observe
import torch
import toys
from comfy.patcher_extension import WrappersMP

HEADER = ("module", "class", "calls", "returns", "changes what it gets")


def look(name: str) -> list[tuple[str, ...]]:
    """One line per kind of module in repeated blocks: calls in one pass, what it returns, and
    whether it writes into its arguments. Cond and uncond share the pass, so the batch is 2."""
    model = toys.load(name)
    seen: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"calls": 0, "places": set(), "writes": False}
    )

    def hear(path: str, compute: Any, args: Any, kwargs: Any) -> Any:
        line = seen[re.sub(r"\d+", "N", path)]
        output, has_written = observe.changes_its_arguments(compute, args, kwargs)
        line["class"] = type(compute.__self__).__name__
        line["calls"] += 1
        line["places"].add(path)
        line["returns"] = _shape(output)
        line["writes"] |= has_written
        return output

    def watch(executor: Any, *args: Any, **kwargs: Any) -> Any:
        network = executor.class_obj.diffusion_model
        repeated = [path for path, _ in network.named_modules() if re.search(r"\.\d+", path)]
        with observe.overheard(network, repeated, hear):
            return executor(*args, **kwargs)

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "look", watch)
    toys.sample(clone, name, steps=1)
    return [
        (path, found["class"], f"{found['calls'] / len(found['places']):g}", found["returns"],
         "yes" if found["writes"] else "")
        for path, found in seen.items()
    ]  # fmt: skip


def _shape(output: Any) -> str:
    if isinstance(output, torch.Tensor):
        return "×".join(map(str, output.shape))
    if isinstance(output, tuple | list):
        return f"({', '.join(map(_shape, output))})"
    return type(output).__name__


def main() -> int:
    """Print the table for the model named on the command line."""
    if len(sys.argv) != 2 or sys.argv[1] not in toys.TOYS:
        print(f"expected one of: {', '.join(toys.TOYS)}")
        return 2
    lines = [HEADER, *look(sys.argv[1])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    for line in lines:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
