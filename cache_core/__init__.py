"""Step-indexed caches for diffusion samplers, independent of any host.

The parts and who may know whom are described in ARCHITECTURE.md.
"""
