"""Import it first: this process becomes a ComfyUI that computes on one CPU thread, as in tests."""

from __future__ import annotations

import paths

import host

host.boot(cpu=True)
