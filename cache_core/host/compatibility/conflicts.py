"""What other nodes attach that cannot work beside some of our sites: refused before sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError
from ...rules import Rule
from ...sites import Site, SiteKind

Options = Mapping[str, Any]
"""``model_options`` of a model; those of its transformer stand in them."""

GUIDANCE = frozenset({SiteKind.GUIDANCE})
EVALUATION = frozenset({SiteKind.EVALUATION})
EVERYTHING = frozenset(SiteKind)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another node's patch that some kinds of site would break.

    Args:
        name: what people call it.
        kinds: sites that it cannot stand beside.
        reason: what would happen, and what to do; goes on from "the model also carries …".
        is_present: whether the options hold it.
        clashes: whether a rule breaks it; by default every one that may reuse.
    """

    name: str
    kinds: frozenset[SiteKind]
    reason: str
    is_present: Callable[[Options], bool]
    clashes: Callable[[Rule], bool] = lambda rule: True


def _transformer(options: Options) -> Options:
    return options.get("transformer_options", {})


def _patches(options: Options, name: str) -> Iterable[Any]:
    return _transformer(options).get("patches", {}).get(name, ())


def _has_easycache(name: str) -> Callable[[Options], bool]:
    """Whether the host's cache of this name is there; both stand under one key."""
    return lambda options: getattr(_transformer(options).get("easycache"), "name", "") == name


def _has_nag(options: Options) -> bool:
    patches = _patches(options, "attn1_output_patch")
    return any(getattr(p, "__qualname__", "").startswith("NAGuidance.") for p in patches)


def _has_reference_cache(options: Options) -> bool:
    return any(type(p).__name__ == "KV_Attn_Input" for p in _patches(options, "attn1_patch"))


def _has_supir(options: Options) -> bool:
    patches = _patches(options, "middle_block_after_patch")
    return any(type(getattr(p, "__self__", None)).__name__ == "SUPIRPatch" for p in patches)


def _keys(*names: str) -> Callable[[Options], bool]:
    """Whether one of these stands in the transformer's options, which packs use as their own."""
    return lambda options: any(name in _transformer(options) for name in names)


def _wrapped_by(*names: str) -> Callable[[Options], bool]:
    """Whether the call of the model, or what joins its branches, is a function of such a class."""

    def is_present(options: Options) -> bool:
        return any(_qualname(each).split(".")[0] in names for each in _functions(options))

    return is_present


def _functions(options: Options) -> Iterator[Any]:
    """What other nodes have put around the call of the model, and around guidance."""
    for place in ("model_function_wrapper", "sampler_cfg_function", "sampler_pre_cfg_function"):
        found = options.get(place)
        yield from found if isinstance(found, list | tuple) else (found,)


def _qualname(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _either(*tests: Callable[[Options], bool]) -> Callable[[Options], bool]:
    return lambda options: any(test(options) for test in tests)


_MIXES = (
    "which answers for each branch by itself from what that said last, so that branches of "
    "different steps would be mixed into the difference that this node keeps. Remove {0}, or set "
    "guidance_interval to 1"
)
_ANSWERS = (
    "which leaves out evaluations by itself, so that forecasts would be made of its guesses. Take "
    "one of the two nodes out"
)
_COUNTS = (
    "which counts or joins the calls of both branches, and this node leaves one of them out. "
    "Remove {0}, or use Apply PAB or Apply FasterCache with guidance_interval 1 beside it"
)

_HAS_TEACACHE = _keys("rel_l1_thresh", "teacache_device")
_HAS_MAGCACHE = _keys("magcache_thresh", "mag_ratios")
_HAS_CACHEDIT = _keys("cache_dit_turbo", "cache_dit")
_HAS_SPECTRUM = _either(_keys("spectrum"), _wrapped_by("SpectrumSDXL"))

CONFLICTS = (
    *(
        Conflict(name, EVALUATION, _ANSWERS, is_present)
        for name, is_present in {
            "EasyCache": _has_easycache("EasyCache"), "LazyCache": _has_easycache("LazyCache"),
            "TeaCache": _HAS_TEACACHE, "MagCache": _HAS_MAGCACHE, "CacheDiT": _HAS_CACHEDIT,
            "Spectrum": _HAS_SPECTRUM,
        }.items()
    ),
    # They answer for the network branch by branch from what each said last.
    Conflict(
        "EasyCache", GUIDANCE, _MIXES.format("EasyCache"), _has_easycache("EasyCache"),
        lambda rule: rule.what.min_history > 0,
    ),
    Conflict(
        "TeaCache", GUIDANCE, _MIXES.format("TeaCache"), _HAS_TEACACHE,
        lambda rule: rule.what.min_history > 0,
    ),
    # They count calls, or keep what both branches answered in one batch.
    Conflict("MagCache", GUIDANCE, _COUNTS.format("MagCache"), _HAS_MAGCACHE),
    Conflict("CacheDiT", GUIDANCE, _COUNTS.format("CacheDiT"), _HAS_CACHEDIT),
    Conflict("Spectrum", GUIDANCE, _COUNTS.format("Spectrum"), _HAS_SPECTRUM),
    # It lets the first block decide, whose change a reused layer hides, and exchanges the rows of
    # blocks for a module of its own while the model runs.
    Conflict(
        "Apply First Block Cache", EVERYTHING,
        "which decides by how much the output of the first block changes, and calls the blocks "
        "from a module of its own. Where layers are reused, that change is not seen: take one of "
        "the two nodes out",
        _wrapped_by("ApplyFBCacheOnModel"),
    ),
    # It numbers the rows of a batch anew, and freezes the same layers by itself.
    Conflict(
        "TGate Apply", EVERYTHING,
        "which freezes attention and ends guidance by itself, and hides from other nodes which "
        "branch is asked: what is kept of one would answer for the other. Take one of the two "
        "nodes out; TGATE Gate does the same, and works beside the other Step Cache nodes",
        _either(
            _keys("tgate_enable"),
            _wrapped_by("TGateProxy", "TGateSamplerCFG", "TGateSamplerCfgRescaler"),
        ),
    ),
    # It runs the UNet by a copy of the host's code, so that nothing is asked of us.
    Conflict(
        "Deep Cache", EVERYTHING,
        "which runs the network by itself and asks no other node. Take one of the two nodes out; "
        "DeepCache UNet does the same, and works beside the other Step Cache nodes",
        _wrapped_by("DeepCache"),
    ),
    # It mixes both branches inside attention, and does nothing in a call that holds one of them.
    Conflict(
        "NAGuidance", GUIDANCE,
        "which needs both branches in every step, and this node leaves one out. Remove "
        "NAGuidance, or use Apply PAB or Apply FasterCache with guidance_interval 1 beside it",
        _has_nag,
    ),
    # It keeps keys and values of both branches in one batch, and cuts it to the rows of a call.
    Conflict(
        "FluxKVCache", GUIDANCE,
        "which keeps the references of both branches in one batch, and this node leaves one out. "
        "Remove FluxKVCache, or use Apply PAB or Apply FasterCache with guidance_interval 1 "
        "beside it",
        _has_reference_cache,
    ),
    # It counts its adapters from the middle block on, which a step without deep branch leaves out.
    Conflict(
        "SUPIR", frozenset({SiteKind.DEEP_BRANCH}),
        "which follows the network block by block and would lose its place where this node leaves "
        "blocks out. Use Apply PAB beside SUPIR",
        _has_supir,
    ),
)  # fmt: skip


def refuse_neighbours(assigned: Mapping[Site, Rule], options: Options) -> None:
    """Refuse what cannot work beside us.

    Args:
        assigned: the rule of every site of the run.
        options: those of the model that is about to sample.

    Raises:
        ConfigError: another node's patch and one of our rules break each other.
    """
    present = [neighbour for neighbour in CONFLICTS if neighbour.is_present(options)]
    for site, rule in assigned.items() if present else ():
        for neighbour in present:
            is_met = site.kind in neighbour.kinds and neighbour.clashes(rule)
            if is_met and not rule.when.never_reuses:
                raise ConfigError(
                    f"{rule.owner}: the model also carries {neighbour.name}, {neighbour.reason}"
                )
