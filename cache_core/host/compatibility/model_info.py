"""What a network is to the pack: its family, its sites, and whether a method may act in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ...calibration import ModelFacts
from ...errors import UnsupportedModelError
from ...sites import Site, SiteKind
from ..families import FAMILIES, Access, Family, family_by_structure, family_of
from ..installation import RuleSource
from .exchanged import in_words, is_exchanged
from .fingerprint import facts_of
from .method_fit import check, check_calibration

EVALUATED: Mapping[Site, Access | None] = {Site(SiteKind.EVALUATION, 0): None}
"""What every network has that is sampled."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A network without its modules: nothing here keeps them or their weights.

    Args:
        network: name of its class.
        family: None where it is of none, and shows no structure to go by.
        sites: of every kind, with the way in.
        facts: what a calibration is compared with.
        exchanged: of which pack its class is, in words, where that may have taken the place of the
            host's; empty otherwise.
    """

    network: str
    family: Family | None
    sites: Mapping[Site, Access | None]
    facts: ModelFacts
    exchanged: str = ""

    @classmethod
    def of(cls, network: nn.Module) -> ModelInfo:
        """Look at a network; one without weights, on the device "meta", will do."""
        name = type(network).__name__
        family = family_of(network) or family_by_structure(network)
        if family is None:
            exchanged = in_words("", network) if is_exchanged(network) else ""
            return cls(name, None, EVALUATED, ModelFacts("", name, "", {}), exchanged)
        sites = family.sites(network)
        facts = facts_of(network, family, sites)
        is_sampled = SiteKind.EVALUATION not in (family.lacks or {})
        return cls(name, family, {**sites, **EVALUATED} if is_sampled else sites, facts)

    def accept(self, method: RuleSource) -> tuple[Family, tuple[str, ...]]:
        """Refuse a method that cannot act in it.

        Returns:
            The family, and notes on what will be inactive.

        Raises:
            UnsupportedModelError: it has no place where the method could act.
            ConfigError: a parameter does not fit it.
        """
        kinds = {rule.where.kind for rule in method.rules()}
        if self.family is None and kinds == {SiteKind.EVALUATION}:
            return Family(name="an unknown family", model_classes=()), ()
        if self.family is None:
            hint = f". If it was of one before: {self.exchanged}" if self.exchanged else ""
            raise UnsupportedModelError(
                f"{method.name}: the model is a {self.network}, which is none of the "
                f"{len(FAMILIES)} known families, and shows no row of equal blocks with attention "
                f"in them by which it could be taken apart. Connect the model past this node; "
                f"Step Cache works on every model{hint}"
            )
        check_calibration(method, self.facts)
        counts = Counter(site.kind for site in self.sites)
        return self.family, check(method, self.family, self.network, counts)
