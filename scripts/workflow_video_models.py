"""Published models that make videos, and the method that each workflow shows on them.

Settings, file names and what is kept as in workflow_picture_models.py.
"""

from __future__ import annotations

from dataclasses import replace

from workflow_checkpoints import NOT_MEASURED, Checkpoint
from workflow_graph import File
from workflow_methods import FASTERCACHE, GUIDANCE_ONLY, PAB, STRIPS
from workflow_parts import Custom
from workflow_picture_models import CLIP_L, LESS_MEMORY, T5

SCENE = (
    "A small red fishing boat leaves a harbour at dawn. The camera follows it slowly from the "
    "pier, past moored boats and nets, while mist drifts over calm water and the first sunlight "
    "catches the wake. Gulls circle above the mast. The picture is sharp, with soft warm light and "
    "natural colours."
)
BLURRED = "blurry, low quality, distorted, jittery motion, still picture"

WAN21 = Checkpoint(
    title="Wan 2.1",
    files=(
        File(
            "diffusion_models", "wan2.1_t2v_1.3B_fp16.safetensors",
            "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
            "split_files/diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors",
        ),
        File(
            "text_encoders", "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
            "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
            "split_files/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        ),
        File(
            "vae", "wan_2.1_vae.safetensors", "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
            "split_files/vae/wan_2.1_vae.safetensors",
        ),
    ),
    methods=(
        replace(
            GUIDANCE_ONLY,
            note="**Two methods on one model.** FasterCache's guidance half: after the first third "
            "the negative prompt is asked on every 5th step only. It keeps next to nothing.\n"
            "\n- guidance_interval 3: nearer to the plain video"
            "\n- leave its self_attention at 1: PAB has those layers" + STRIPS + NOT_MEASURED,
        ),
        replace(
            PAB,
            note="**Apply PAB:** in the middle of the run self-attention is computed on every 2nd, "
            "attention to the prompt on every 6th step. It keeps about 5 GB at this size.\n"
            "\n- short of memory: self_attention 1 halves it, bypass this node and nothing is kept"
            "\n- start_percent 0.3: nearer to the plain video"
            "\n- fits Wan 2.1 14B and both experts of Wan 2.2 as well; they keep more",
        ),
    ),
    kinds=("self_attention", "cross_attention", "guidance"),
    size=("EmptyHunyuanLatentVideo", [832, 480, 33, 1]),
    settings=(30, 6.0, "uni_pc", "simple", 1.0),
    prompt=SCENE,
    negative=BLURRED,
    text="wan",
    shift=("ModelSamplingSD3", 8.0),
    fps=16.0,
)  # fmt: skip

HUNYUAN_VIDEO = Checkpoint(
    title="HunyuanVideo",
    files=(
        File(
            "diffusion_models", "hunyuan_video_t2v_720p_bf16.safetensors",
            "Comfy-Org/HunyuanVideo_repackaged",
            "split_files/diffusion_models/hunyuan_video_t2v_720p_bf16.safetensors",
        ),
        CLIP_L,
        File(
            "text_encoders", "llava_llama3_fp8_scaled.safetensors",
            "Comfy-Org/HunyuanVideo_repackaged",
            "split_files/text_encoders/llava_llama3_fp8_scaled.safetensors",
        ),
        File(
            "vae", "hunyuan_video_vae_bf16.safetensors", "Comfy-Org/HunyuanVideo_repackaged",
            "split_files/vae/hunyuan_video_vae_bf16.safetensors",
        ),
    ),
    methods=(
        replace(
            PAB,
            note="**Apply PAB:** in the middle of the run attention is computed on every 2nd step. "
            "It is about half of the arithmetic at this size, and more in longer videos. It keeps "
            "about 8 GB here; fewer frames keep less.\n"
            "\n- start_percent 0.3: nearer to the plain video"
            "\n- block 2, an advanced input: whole blocks, far more is saved; no published setting"
            "\n- the model is asked once per step, so there is no negative prompt to leave out"
            + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("joint_attention",),
    size=("EmptyHunyuanLatentVideo", [848, 480, 49, 1]),
    settings=(20, 1.0, "euler", "simple", 1.0),
    prompt=SCENE,
    text="hunyuan_video",
    shift=("ModelSamplingSD3", 7.0),
    guidance=6.0,
    advice=LESS_MEMORY,
    tiles=(256, 64, 64, 8),
    fps=24.0,
)  # fmt: skip

LTXV = Checkpoint(
    title="LTX-Video",
    files=(
        File(
            "checkpoints", "ltx-video-2b-v0.9.5.safetensors", "Lightricks/LTX-Video",
            "ltx-video-2b-v0.9.5.safetensors",
        ),
        T5,
    ),
    methods=(
        replace(
            PAB,
            note="**Apply PAB:** in the middle of the run self-attention is computed on every 2nd, "
            "attention to the prompt on every 6th step. It keeps about 2.3 GB at this size.\n"
            "\n- start_percent 0.3: nearer to the video without it"
            "\n- self_attention 3: faster and less exact"
            "\n- also try Apply FasterCache or TGATE Gate in its place: cfg is above 1, so a "
            "prompt can be left out; distilled versions at cfg 1 gain from PAB only"
            + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("self_attention", "cross_attention"),
    size=("EmptyLTXVLatentVideo", [768, 512, 97, 1]),
    settings=Custom(
        ("KSamplerSelect", ["euler"]), ("LTXVScheduler", [30, 2.05, 0.95, True, 0.1]), "latent", 3.0
    ),
    prompt=SCENE,
    negative=BLURRED,
    text="ltxv",
    frame_rate=25.0,
    fps=25.0,
)  # fmt: skip

COGVIDEOX = Checkpoint(
    title="CogVideoX 5B",
    files=(
        File("diffusion_models", "cogvideox_5b.safetensors", "zai-org/CogVideoX-5b"),
        T5,
        File(
            "vae", "cogvideox_vae.safetensors", "Comfy-Org/void-model",
            "vae/cogvideox_vae.safetensors",
        ),
    ),
    methods=(
        replace(
            FASTERCACHE,
            widgets=["CogVideoX", 3, 1, 1, 0.33, 1.0, 5, 0.33, 1.0, 1.1, 1.1, 0.7],
            note="**FasterCache** in its authors' settings for this model (50 steps): after the "
            "first third attention is computed on every 3rd step and continued in between, and the "
            "negative prompt is asked on every 5th. Their paper reports 1.6 times the speed.\n"
            "\n- it keeps two outputs of every layer: about 9 GB for each prompt at this size"
            "\n- short of memory: preset *custom*, self_attention 1. The negative prompt alone is "
            "left out, and next to nothing kept"
            "\n- Apply PAB has the preset *CogVideoX* too" + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("joint_attention", "guidance"),
    size=("EmptyHunyuanLatentVideo", [720, 480, 49, 1]),
    settings=Custom(("VOIDSampler", []), ("BasicScheduler", ["simple", 50, 1.0]), "model", 6.0),
    prompt=SCENE,
    text="cogvideox",
    fps=8.0,
    advice="**The model** has to be one file in ComfyUI's own names (blocks.0, not "
    "transformer_blocks.0). The files on its page are in diffusers' names, which the loader does "
    "not read, and we know of no converted one by its publishers.\n\n**The sampler** is the DDIM "
    "of ComfyUI's VOID nodes: VOID is a CogVideoX, and KSampler does not fit how it is noised.",
)  # fmt: skip

VIDEO_MODELS = {
    "wan21_fastercache_pab": WAN21,
    "hunyuan_video_pab": HUNYUAN_VIDEO,
    "ltxv_pab": LTXV,
    "cogvideox_fastercache": COGVIDEOX,
}
"""File name of the workflow -> model."""
