"""The demo itself, run by the Python that also runs ComfyUI; `scripts/demo.py` starts it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

# Embedded Pythons ignore PYTHONPATH and the script's own folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from demonstration.comparison import Group
    from demonstration.options import Options
    from demonstration.output import Output
    from demonstration.results import Series


def main() -> int:
    """Check, start the server, compare, write. Returns the exit status."""
    from setup.errors import StepError

    from demonstration.options import parse

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(parse())
    except StepError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        remedy = "check the free space and the rights of the folder output"
        print(f"\n{StepError('writing the results', str(error), remedy)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the server has ended", file=sys.stderr)
        return 130


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demo(options: Options) -> int:
    from setup.layout import ROOT

    from demonstration.checkpoint import check_checkpoint, read_header
    from demonstration.comparison import find_groups, weight_files
    from demonstration.output import Output, save_thumbnails
    from demonstration.server import require_free_port, running_server

    groups = find_groups(options)
    if options.port is not None:
        require_free_port(options.port)
    if options.model is not None:
        model = options.model.resolve()
        check_checkpoint(model)
        options = replace(options, model=model)
    else:
        models = ROOT / "demo" / "models"
        names = weight_files(groups) | {path.name for path in models.glob("*.safetensors")}
        for name in sorted(names):
            read_header(models / name, "the demo's weights", "get the whole repository again")
    assert options.comfyui is not None, "scripts/demo.py says where ComfyUI is"
    output = Output()
    with running_server(
        Path(sys.executable),
        options.comfyui,
        output.log,
        port=options.port,
        checkpoints=options.model.parent if options.model else None,
        options=["--cpu"] if options.cpu or not _has_gpu() else [],
    ) as address:
        results = asyncio.run(_compare(address, groups, options, output))
        print(f"\n{output.save_results(results)}")
        print(f"pictures, contact sheet, reports and log: {output.folder}")
        if options.thumbnails:
            save_thumbnails(results)
        if options.serve:
            print(f"\nComfyUI is at {address} until you press Ctrl-C here.", flush=True)
            while True:
                time.sleep(1)
    failed = any(one.failure for series in results.values() for one in series)
    return 1 if failed and options.model is None else 0


async def _compare(
    address: str, groups: Sequence[Group], options: Options, output: Output
) -> Mapping[str, list[Series]]:
    import aiohttp
    from setup.errors import StepError

    from demonstration.client import Client
    from demonstration.comparison import compare, missing_nodes
    from demonstration.server import log_tail

    remedy = f"read the lines above; the whole log is {output.log}"
    try:
        async with Client(address) as client:
            missing = missing_nodes(groups, await client.object_info())
            if missing:
                tail = log_tail(output.log, ("Traceback", "comfy_entrypoint", "Cannot import"))
                raise StepError(
                    "nodes of the pack and the demo",
                    f"the server has no {', '.join(missing)}; its log says\n{tail}",
                    remedy,
                )
            return await compare(client, groups, options, output)
    except (aiohttp.ClientError, asyncio.TimeoutError) as error:
        why = f"the connection broke ({error!r}); the log ends with\n{log_tail(output.log)}"
        raise StepError("ComfyUI server", why, remedy) from error


def _has_gpu() -> bool:
    import torch

    xpu = getattr(torch, "xpu", None)
    has_xpu = xpu is not None and xpu.is_available()
    return torch.cuda.is_available() or torch.backends.mps.is_available() or has_xpu


if __name__ == "__main__":
    sys.exit(main())
