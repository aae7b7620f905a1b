"""One mode, always: what the charger would do without us, and the yardstick of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

from optimizer.domain import Mode, Proposal, Reason, Situation


@dataclass(frozen=True, slots=True)
class FixedParams:
    """Parameters of `fixed`."""

    mode: Mode = field(default=Mode.GREEN, metadata={"doc": "the mode that always holds"})


class Fixed:
    """Proposes the same mode in every situation, whatever a goal says."""

    name = "fixed"
    serves_goals = False
    Params = FixedParams

    def __init__(self, params: FixedParams) -> None:
        self.params = params

    def propose(self, situation: Situation) -> Proposal:  # noqa: ARG002 - that is the point of it
        """Return the configured mode."""
        mode = self.params.mode
        reason = Reason("fixed", "{mode} is set to stand always", MappingProxyType({"mode": mode.name}))
        return Proposal(mode, reason)
