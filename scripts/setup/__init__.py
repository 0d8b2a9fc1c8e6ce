"""Set-up of the two commands: a virtual environment, a pinned ComfyUI, and stamps that say whole.

Runs under a bare CPython: nothing outside the standard library is imported here.
"""
