"""The demo itself, run by the Python that also runs ComfyUI; `scripts/demo.py` starts it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import TextIOWrapper
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
    from setup.errors import StepError, explained

    from demonstration.options import parse

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(parse())
    except StepError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\n{explained(error, 'writing the results')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the server has ended", file=sys.stderr)
        return 130


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demo(options: Options) -> int:
    from setup.layout import HOSTS, ROOT

    from demonstration.checkpoint import check_checkpoint, read_header
    from demonstration.comparison import find_groups, weight_files
    from demonstration.output import Output, save_thumbnails
    from demonstration.server import require_free_port, running_server
    from demonstration.threads import use_free_cores

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
    on_cpu = options.cpu or not _has_gpu()
    if on_cpu:
        use_free_cores()
    with running_server(
        Path(sys.executable),
        options.comfyui,
        output.log,
        port=options.port,
        checkpoint=options.model,
        options=["--cpu"] if on_cpu else [],
        base=HOSTS / "serve" if options.serve else None,
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
    return 0 if options.model is not None or _passes(results) else 1


def _passes(results: Mapping[str, Sequence[Series]]) -> bool:
    """Whether every workflow ran and every picture is judged correct; says so either way."""
    from demonstration.results import fault_of, judged_pictures

    every = [one for series in results.values() for one in series]
    right, judged = judged_pictures(every)
    print(f"{right} of {judged} pictures are judged correct")
    faults = {one.name: fault for one in every if (fault := fault_of(one)) is not None}
    for name, fault in faults.items():
        print(f"FAILED      {name}: {fault}", file=sys.stderr)
    return not faults


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
