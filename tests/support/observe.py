"""What laws look at: marks on modules, values left in stores, FLOPs, and inputs held still."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import comfy.model_patcher
import torch
from comfy.model_management import InterruptProcessingException
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import last_report
from stepcache.cache_core.host.evaluation.sampling_scale import scale_at
from stepcache.cache_core.report import Report
from stepcache.cache_core.store import Store
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


def report_of(model: Any) -> Report:
    """The report of the run that this model has had."""
    report = last_report(model)
    assert report is not None, "the model has not run"
    return report


def fingerprint(model: Any) -> dict[str, Any]:
    """Identity of every module, of its children and of its instance attributes."""
    network = model.model.diffusion_model
    return {
        path: (
            id(module),
            frozenset(module.__dict__),
            tuple((name, id(child)) for name, child in module._modules.items()),
        )
        for path, module in network.named_modules()
    }


STORES: WeakSet[Store] = WeakSet()
"""Every store of this process that is alive."""


def _note_stores() -> None:
    make = Store.__init__

    def made(self: Store, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        STORES.add(self)

    Store.__init__ = made


_note_stores()


def stored_bytes() -> int:
    """Bytes held by all stores that are alive in this process."""
    if any(store.nbytes for store in STORES):
        # Seconds among all that a ComfyUI holds; what was cleared need not be found.
        gc.collect()
    return sum(store.nbytes for store in STORES)


def cancelling(step: int) -> Callable[..., None]:
    """A callback of a run, which cancels it in this step."""

    def cancel(done: int, *_: Any) -> None:
        if done == step:
            raise InterruptProcessingException

    return cancel


def hold_inputs_still(model: Any) -> Any:
    """A clone whose every evaluation gets the latents and sigma of the first one.

    The wrapper is added last, so it stands inside ours: our clock sees the sampler's sigmas move
    while the network is asked the same question again and again.
    """
    clone = model.clone()
    first: list[Any] = []

    def hold(executor: Any, x: torch.Tensor, sigma: torch.Tensor, *args: Any) -> Any:
        if not first:
            first.extend((x.clone(), sigma.clone()))
        return executor(first[0].clone(), first[1].clone(), *args)

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "hold_inputs_still", hold)
    return clone


def hold_noise_still(model: Any) -> Any:
    """A clone that takes the same noise out of its latents in every evaluation, prompt by prompt.

    What each prompt says first is as the network says it. The wrapper is added last, as that of
    `hold_inputs_still`.
    """
    clone = model.clone()
    noise: dict[int, torch.Tensor] = {}

    def hold(executor: Any, asked: Any, conds: Any, x: Any, sigma: Any, options: Any) -> Any:
        said = executor(asked, conds, x, sigma, options)
        alpha, level = scale_at(asked.model_sampling, float(sigma[0]))
        for number, denoised in enumerate(said):
            noise.setdefault(number, (x - alpha * denoised) / level)
        if alpha == 0:
            return said
        return [(x - level * noise[number]) / alpha for number in range(len(said))]

    clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "hold_noise_still", hold)
    return clone


def hold_network_still(model: Any, in_denoised: bool = False) -> Any:
    """A clone whose network meets, for each prompt, the latents and timestep of its first call.

    Unlike `hold_inputs_still`, the host sees its sigmas move: prompts, weights and windows change
    when they should, and guidance answers as it does.

    Args:
        in_denoised: whether the denoised latents are the same in every call, and not the output.
    """
    clone = model.clone()
    first: dict[Any, Any] = {}

    def hold(executor: Any, x: Any, t: Any, concat: Any, text: Any, control: Any, options: Any,
             **conds: Any) -> Any:  # fmt: skip
        window = options.get("context_window")
        frames = tuple(window.index_list) if window is not None else None
        frames = frames or tuple(options.get("ad_params", {}).get("sub_idxs") or ())
        which_pass = (frames, tuple(options.get("patches_replace", ())))
        whose = list(zip(options["cond_or_uncond"], options["uuids"], strict=True))
        held: list[tuple[torch.Tensor, torch.Tensor]] = []
        for who, rows, times in zip(whose, x.chunk(len(whose)), t.chunk(len(whose)), strict=True):
            first.setdefault((who, which_pass, rows.shape), (rows.clone(), times.clone()))
            held.append(first[who, which_pass, rows.shape])
        still_x, still_t = (torch.cat(part) for part in zip(*held, strict=True))
        if control is not None:
            first.setdefault(tuple(whose), _copied(control))
            control = _held_control(first[tuple(whose)], control)
        answer = executor(still_x, still_t, concat, text, control, options, **conds)
        if in_denoised:
            return answer
        # The host answers in denoised latents: what the network said is told at this noise level.
        denoise = executor.class_obj.model_sampling.calculate_denoised
        zero = torch.zeros_like(x)
        said = answer - denoise(still_t, zero, still_x)
        slope = denoise(t, zero + 1, zero) / denoise(still_t, zero + 1, zero)
        return denoise(t, zero, x) + said * slope

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "hold_network_still", hold)
    return clone


Control = dict[str, list[Any]]
"""Residuals of a ControlNet. The network empties the lists and writes into the tensors."""


def _copied(control: Control) -> Control:
    return {
        place: [None if residual is None else residual.clone() for residual in residuals]
        for place, residuals in control.items()
    }


def _held_control(first: Control, now: Control) -> Control:
    """The first residuals, without those that are left out now."""
    return {
        place: [
            None if residual is None else old
            for old, residual in zip(residuals, now[place], strict=True)
        ]
        for place, residuals in _copied(first).items()
    }


def record_answers(model: Any) -> tuple[Any, list[torch.Tensor]]:
    """A clone that lists what every evaluation answered."""
    clone = model.clone()
    answers: list[torch.Tensor] = []

    def record(executor: Any, *args: Any) -> Any:
        answer = executor(*args)
        answers.append(answer.clone())
        return answer

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "record_answers", record)
    return clone, answers


@contextmanager
def memory_for(batched: Any) -> Iterator[None]:
    """Let the host believe that it can batch cond and uncond, or not, call by call.

    Args:
        batched: called before every decision; True if both fit into one batch.
    """
    original = comfy.model_patcher.ModelPatcher.get_free_memory
    comfy.model_patcher.ModelPatcher.get_free_memory = lambda *args, **kwargs: (
        1e15 if batched() else 1
    )
    try:
        yield
    finally:
        comfy.model_patcher.ModelPatcher.get_free_memory = original


Shape = tuple[int, ...]


def flop_counter() -> FlopCounterMode:
    """PyTorch's counter, which by itself does not know its attention on a CPU."""

    def attention(q: Shape, k: Shape, v: Shape, *_: object, **__: object) -> int:
        return sdpa_flop_count(q, k, v)

    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={on_cpu: attention})


def flops_per_evaluation(model: Any, sample: Callable[[Any], Any]) -> list[int]:
    """FLOPs of every model evaluation of a run, in order."""
    clone = model.clone()
    counts: list[int] = []

    def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
        with flop_counter() as counter:
            answer = executor(*args, **kwargs)
        counts.append(counter.get_total_flops())
        return answer

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "count_flops", count)
    sample(clone)
    return counts


Hear = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""Told of a call: the module's path, what computes it, and its arguments; returns its answer."""


@contextmanager
def overheard(network: torch.nn.Module, paths: Iterable[str], hear: Hear) -> Iterator[None]:
    """Let `hear` answer for modules, which it may let compute; afterwards all is as it was."""
    modules = {path: network.get_submodule(path) for path in paths}
    before = {path: module.__dict__.get("forward") for path, module in modules.items()}
    for path, module in modules.items():
        module.__dict__["forward"] = _told(hear, path, module.forward)
    try:
        yield
    finally:
        for path, module in modules.items():
            if before[path] is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = before[path]


def _told(hear: Hear, path: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: hear(path, compute, args, kwargs)


def changes_its_arguments(
    compute: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, bool]:
    """What a call returned, and whether it wrote into a tensor that it was given."""
    given = list(_tensors((*args, *kwargs.values())))
    before = [tensor.clone() for tensor in given]
    answer = compute(*args, **kwargs)
    return answer, not all(map(torch.equal, given, before))


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


def calls_per_pass(model: Any, run: Callable[[], Any]) -> Counter[str]:
    """How often each module is called in one pass through the network, by path.

    Args:
        run: asks the network once.
    """
    calls = Counter[str]()
    hooks = [
        module.register_forward_hook(lambda *_, path=path: calls.update((path,)))
        for path, module in model.model.diffusion_model.named_modules()
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return calls
