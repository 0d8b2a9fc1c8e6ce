"""Published models that draw pictures, and the method that each workflow shows on them.

Settings and file names are those of the models' publishers and of ComfyUI's own templates. How much
is kept is estimated: tokens x channels x 2 bytes for every layer and prompt.
"""

from __future__ import annotations

from dataclasses import replace

from workflow_checkpoints import NOT_MEASURED, Checkpoint
from workflow_graph import File
from workflow_methods import DEEPCACHE, GUIDANCE_ONLY, PAB, SMOOTHCACHE, STRIPS, TGATE

T5 = File(
    "text_encoders", "t5xxl_fp16.safetensors", "comfyanonymous/flux_text_encoders",
    "t5xxl_fp16.safetensors",
)  # fmt: skip
CLIP_L = File(
    "text_encoders", "clip_l.safetensors", "comfyanonymous/flux_text_encoders",
    "clip_l.safetensors",
)  # fmt: skip
PROMPT = "a lighthouse on a cliff at sunset, oil painting, detailed"
NEGATIVE = "blurry, low quality"
SENTENCES = (
    "An oil painting of a white lighthouse on a steep cliff at sunset. Waves break on the rocks "
    "below, gulls circle the lantern, and the last light colours the clouds orange and violet."
)
"""For models that were trained on whole sentences."""
LESS_MEMORY = "Short of memory: set weight_dtype of the model's loader to fp8_e4m3fn."

SD15 = Checkpoint(
    title="Stable Diffusion 1.5",
    files=(
        File(
            "checkpoints", "v1-5-pruned-emaonly-fp16.safetensors",
            "Comfy-Org/stable-diffusion-v1-5-archive", "v1-5-pruned-emaonly-fp16.safetensors",
        ),
    ),
    methods=(
        replace(
            DEEPCACHE,
            widgets=[
                5, 1, "non-uniform", 15, 1.4, 0.0, 1.0,
                "SD1.5 demo: interval 5, non-uniform (50 steps)",
            ],
            note="**DeepCache** as in its authors' demo for this model: 10 of 50 steps run the "
            "whole UNet, most of them around step 15. Their paper reports 2.1 times the speed at "
            "this interval.\n"
            "\n- preset *diffusers: interval 3, branch 0*: nearer to the plain picture, and for 20 "
            "to 30 steps"
            "\n- preset *custom*: the values on the node count" + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("deep_branch",),
    size=("EmptyLatentImage", [512, 512, 1]),
    settings=(50, 7.5, "euler", "normal", 1.0),
    prompt=PROMPT,
    negative=NEGATIVE,
)  # fmt: skip

SDXL = Checkpoint(
    title="Stable Diffusion XL",
    files=(
        File(
            "checkpoints", "sd_xl_base_1.0.safetensors",
            "stabilityai/stable-diffusion-xl-base-1.0", "sd_xl_base_1.0.safetensors",
        ),
    ),
    methods=(
        replace(
            TGATE,
            widgets=[
                "SDXL with DeepCache: gate 10 (25 steps)", 10, 0, 1, 1, "uncond (as published)",
                0.6,
            ],
            note="**Two methods on one model**, in the settings that T-GATE's authors published "
            "for the two together. T-GATE guides the first 10 of 25 steps; then attention to the "
            "prompt is frozen, and one branch finishes the picture.\n"
            "\n- details of the prompt get lost: preset *custom*, gate_step 15"
            "\n- the gate must be below the sampler's steps" + STRIPS + NOT_MEASURED,
        ),
        replace(
            DEEPCACHE,
            widgets=[3, 0, "uniform", 15, 1.4, 0.0, 1.0, "with T-GATE: interval 3, branch 0"],
            note="**DeepCache** runs the whole UNet on every third step, and on the two steps at "
            "the gate. T-GATE's authors report 53 s for a plain picture, 20 s with DeepCache and "
            "15 s with both, on a GTX 1080 Ti.\n"
            "\n- preset *custom*, interval 2: nearer to the plain picture",
        ),
    ),
    kinds=("cross_attention", "deep_branch", "guidance"),
    size=("EmptyLatentImage", [1024, 1024, 1]),
    settings=(25, 7.0, "dpmpp_2m", "karras", 1.0),
    prompt=PROMPT,
    negative=NEGATIVE,
)  # fmt: skip

SD35 = Checkpoint(
    title="Stable Diffusion 3.5",
    files=(
        File(
            "checkpoints", "sd3.5_large_fp8_scaled.safetensors",
            "Comfy-Org/stable-diffusion-3.5-fp8", "sd3.5_large_fp8_scaled.safetensors",
        ),
    ),
    methods=(
        replace(
            SMOOTHCACHE,
            widgets=["FORA: every 2nd step", 20, *SMOOTHCACHE.widgets[2:]],
            note="**SmoothCache** with the uniform schedule: attention and feed-forward layers are "
            "computed on every second step. It keeps about 3 GB.\n"
            "\n- steps must equal the sampler's"
            "\n- a schedule made for your model: run checkpoint_calibrate with it, press R, choose "
            "the new file as *schedule* and set choose_by to *speedup*" + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("joint_attention", "feed_forward"),
    size=("EmptySD3LatentImage", [1024, 1024, 1]),
    settings=(20, 4.0, "euler", "sgm_uniform", 1.0),
    prompt=SENTENCES,
)  # fmt: skip

FLUX_DEV = Checkpoint(
    title="Flux.1 dev",
    files=(
        File(
            "diffusion_models", "flux1-dev.safetensors", "Comfy-Org/flux1-dev",
            "flux1-dev.safetensors",
        ),
        CLIP_L,
        T5,
        File(
            "vae", "ae.safetensors", "Comfy-Org/Lumina_Image_2.0_Repackaged",
            "split_files/vae/ae.safetensors",
        ),
    ),
    methods=(
        replace(
            PAB,
            widgets=[*PAB.widgets[:-1], 2],
            note="**Apply PAB on whole blocks.** Flux dev is asked once per step, so there is no "
            "negative prompt to leave out, and most of its blocks fuse attention with other "
            "layers. So all blocks are reused on every second step in the middle of the run. This "
            "is no published setting. It keeps about 57 MB.\n"
            "\n- start_percent 0.3: nearer to the plain picture"
            "\n- block 3, an advanced input: faster and less exact"
            "\n- block 1: attention alone; saves little here" + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("block",),
    size=("EmptySD3LatentImage", [1024, 1024, 1]),
    settings=(20, 1.0, "euler", "simple", 1.0),
    prompt=SENTENCES,
    text="flux",
    guidance=3.5,
    advice=LESS_MEMORY,
)  # fmt: skip

PIXART_SIGMA = Checkpoint(
    title="PixArt Sigma",
    files=(
        File(
            "diffusion_models", "PixArt-Sigma-XL-2-1024-MS.pth", "PixArt-alpha/PixArt-Sigma",
        ),
        T5,
        File("vae", "sdxl_vae.safetensors", "stabilityai/sdxl-vae", "sdxl_vae.safetensors"),
    ),
    methods=(
        replace(
            TGATE,
            widgets=[
                "PixArt: gate 15, self 3 (25 steps)", 15, 2, 3, 1, "uncond (as published)", 0.6,
            ],
            note="**T-GATE** in the settings published for PixArt: 15 of 25 steps are guided, with "
            "self-attention on every 3rd of them; then attention to the prompt is frozen and one "
            "branch finishes the picture. The paper reports 1.7 times the speed on PixArt alpha.\n"
            "\n- preset *custom*, gate_step 18: nearer to the plain picture"
            "\n- the gate must be below the sampler's steps" + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("self_attention", "cross_attention", "guidance"),
    size=("EmptyLatentImage", [1024, 1024, 1]),
    settings=(25, 4.5, "dpmpp_2m", "normal", 1.0),
    prompt=SENTENCES,
    text="pixart",
)  # fmt: skip

QWEN_IMAGE = Checkpoint(
    title="Qwen-Image",
    files=(
        File(
            "diffusion_models", "qwen_image_fp8_e4m3fn.safetensors", "Comfy-Org/Qwen-Image_ComfyUI",
            "split_files/diffusion_models/qwen_image_fp8_e4m3fn.safetensors",
        ),
        File(
            "text_encoders", "qwen_2.5_vl_7b_fp8_scaled.safetensors",
            "Comfy-Org/Qwen-Image_ComfyUI",
            "split_files/text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors",
        ),
        File(
            "vae", "qwen_image_vae.safetensors", "Comfy-Org/Qwen-Image_ComfyUI",
            "split_files/vae/qwen_image_vae.safetensors",
        ),
    ),
    methods=(
        replace(
            GUIDANCE_ONLY,
            note="**FasterCache, its guidance half:** after the first third the negative prompt "
            "is asked on every 5th step only, and its answer is rebuilt in between. It keeps next "
            "to nothing, which counts with a model of this size.\n"
            "\n- guidance_interval 3: nearer to the plain picture"
            "\n- self_attention 2: attention is reused too; that keeps some 5 GB for each prompt"
            "\n- with a Lightning LoRA at cfg 1 there is no negative prompt to leave out"
            + STRIPS + NOT_MEASURED,
        ),
    ),
    kinds=("guidance",),
    size=("EmptySD3LatentImage", [1328, 1328, 1]),
    settings=(20, 4.0, "euler", "simple", 1.0),
    prompt=SENTENCES,
    text="qwen_image",
    shift=("ModelSamplingAuraFlow", 3.1),
)  # fmt: skip

PICTURE_MODELS = {
    "sd15_deepcache": SD15,
    "sdxl_tgate_deepcache": SDXL,
    "sd35_smoothcache": SD35,
    "flux_dev_blocks": FLUX_DEV,
    "pixart_sigma_tgate": PIXART_SIGMA,
    "qwen_image_fastercache": QWEN_IMAGE,
}
"""File name of the workflow -> model."""
