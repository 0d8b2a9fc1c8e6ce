"""Import it first: this process becomes a ComfyUI that computes on what the machine has."""

from __future__ import annotations

import paths

import host

host.boot(cpu=False)
