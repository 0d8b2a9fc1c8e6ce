"""These tests run inside a genuine ComfyUI."""

import host

host.boot(cpu=True)
