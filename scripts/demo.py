"""The demo: every method against the plain run, in a genuine ComfyUI. `--help` lists options.

Needs CPython 3.10 or newer and nothing else; sets up its own environment and ComfyUI.
"""

from __future__ import annotations

import signal
import subprocess
import sys

TIDY_UP_SECONDS = 20


def main() -> int:
    """Set up, then hand over to the Python that runs ComfyUI. Returns the exit status."""
    if sys.hexversion < 0x030A0000:
        print(f"This is Python {sys.version.split()[0]}; use CPython 3.10 or newer.")
        return 2
    from demonstration.options import parse
    from setup.layout import SCRIPTS
    from setup.prepare import prepare_demo
    from setup.start import set_up

    options = parse()
    runtime = set_up(lambda: prepare_demo(options.comfyui))
    body = SCRIPTS / "demonstration" / "__main__.py"
    command = [str(runtime.python), str(body), *sys.argv[1:], "--comfyui", str(runtime.comfyui)]
    return _run(command)


def _run(command: list[str]) -> int:
    """Wait for the demo itself, also while it tidies up after Ctrl-C."""
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        return child.wait()
    except KeyboardInterrupt:
        try:
            return child.wait(TIDY_UP_SECONDS)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            child.terminate()
            return child.wait()


if __name__ == "__main__":
    sys.exit(main())
