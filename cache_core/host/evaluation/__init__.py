"""Between sampler and network: whole evaluations, guidance, parts of latents, the noise scale."""
