"""Group normalisation for channels-last tensors on the CPU.

Torch's own kernel takes a quarter of the UNet's step there; this one takes a twelfth.
"""

from __future__ import annotations

from typing import Any

import torch


class ChannelsLastGroupNorm(torch.autograd.Function):
    """Same result as ``torch.nn.functional.group_norm`` on (B, C, H, W)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        groups: int,
        weight: torch.Tensor,
        bias: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        batch, channels, height, width = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        count = height * width * (channels // groups)

        def per_group(per_channel: torch.Tensor) -> torch.Tensor:
            summed = per_channel.view(batch, groups, -1).sum(2) / count
            return summed.repeat_interleave(channels // groups, 1)

        mean = per_group(flat.sum(1, dtype=torch.float32))
        power = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float32).square()
        inverse = (per_group(power) - mean * mean).clamp_min(0).add(eps).rsqrt()
        scale = inverse * weight
        shift = bias - mean * scale
        out = torch.addcmul(shift[:, None].to(x.dtype), flat, scale[:, None].to(x.dtype))
        ctx.save_for_backward(flat, mean, inverse, weight)
        ctx.per_group, ctx.shape = per_group, x.shape
        return out.view(batch, height, width, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        flat, mean, inverse, weight = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        grad = gradients[0].permute(0, 2, 3, 1).reshape(flat.shape)
        grad_sum = grad.sum(1, dtype=torch.float32)
        grad_dot = ((grad * flat).sum(1, dtype=torch.float32) - grad_sum * mean) * inverse
        even = ctx.per_group(grad_sum * weight)
        tilt = -inverse * inverse * ctx.per_group(grad_dot * weight)
        constant = (-inverse * even - mean * tilt)[:, None].to(grad.dtype)
        out = torch.addcmul(constant, flat, tilt[:, None].to(grad.dtype))
        out = torch.addcmul(out, grad, (inverse * weight)[:, None].to(grad.dtype))
        out = out.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return out, None, grad_dot.sum(0), grad_sum.sum(0), None


def operations() -> type:
    """ComfyUI's plain layers with this normalisation where it applies."""
    import comfy.ops

    class TrainingOperations(comfy.ops.disable_weight_init):
        class GroupNorm(comfy.ops.disable_weight_init.GroupNorm):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                if x.ndim != 4 or x.device.type != "cpu":
                    return super().forward(x)
                return ChannelsLastGroupNorm.apply(
                    x, self.num_groups, self.weight, self.bias, self.eps
                )

    return TrainingOperations
