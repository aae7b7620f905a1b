"""One mode, always: what the charger would do without us, and the yardstick of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from optimizer.ahead import Ahead
from optimizer.domain import ChargerSpec, Mode, Proposal, Reason, Situation
from optimizer.params import doc
from optimizer.sensed import Sensed


@dataclass(frozen=True, slots=True)
class FixedParams:
    """Parameters of `fixed`."""

    mode: Mode = field(default=Mode.GREEN, metadata=doc("the mode that always holds"))


class Setting(NamedTuple):
    """The one mode."""

    mode: int


def kernel(
    _seen: Sensed, _ahead: Ahead, setting: Setting, _memory: tuple[float]
) -> tuple[int, int, float, tuple[float]]:
    """Return the mode, and nothing to explain or to remember."""
    return setting.mode, 0, math.inf, (0.0,)


class Fixed:
    """Proposes the same mode in every situation, whatever a goal says."""

    name = "fixed"
    serves_goals = False
    Params = FixedParams
    kernel = staticmethod(kernel)

    def __init__(self, params: FixedParams) -> None:
        self.params = params

    def setting(self, charger: ChargerSpec) -> Setting:  # noqa: ARG002 - the same for every charger
        """Return the configured mode as the kernel takes it."""
        return Setting(int(self.params.mode))

    def first_memory(self, mode: Mode) -> tuple[float]:  # noqa: ARG002 - nothing is remembered
        """Return a memory that says nothing."""
        return (0.0,)

    def propose(self, situation: Situation) -> Proposal:  # noqa: ARG002 - that is the point of it
        """Return the configured mode."""
        mode = self.params.mode
        reason = Reason("fixed", "{mode} is set to stand always", MappingProxyType({"mode": mode.name}))
        return Proposal(mode, reason)
