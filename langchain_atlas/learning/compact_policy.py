"""The policy as torch learns it; its formulas are `Policy`'s, in ``routers/policy/network.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from langchain_atlas.routers.policy.network import INPUTS, Assessment, Part, PlainPolicy, Policy, PolicyConfig

if TYPE_CHECKING:
    from langchain_atlas.routers.policy.state_features import State


class CompactPolicy(nn.Module, Policy):
    """A policy of torch modules, which learns.

    Args:
        config: its shape; by default, the usual one.
    """

    def __init__(self, config: PolicyConfig | None = None) -> None:
        super().__init__()
        self.config = config or PolicyConfig()
        self.belief = _network(INPUTS["belief"], self.config)
        self.gain = _network(INPUTS["gain"], self.config)
        self.value = _network(INPUTS["value"], self.config)

    @classmethod
    def of(cls, policy: PlainPolicy) -> Self:
        """Return a policy with the weights of one that decides, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):  # its first weights are replaced, and must not cost a training its seed
            found = cls(policy.config)
        found.load_state_dict({name: torch.from_numpy(value) for name, value in policy.weights.items()})
        return found.eval()

    def forward(self, state: State) -> Assessment:
        """Assess a batch of states."""
        return self.assess(state)

    def score(self, part: Part, seen: Tensor) -> Tensor:
        """Apply a network; see `Policy.score`."""
        if part == "value":
            seen = seen.detach()  # learning the value does not change its inputs
        found: Tensor = getattr(self, part)(seen)
        return found.squeeze(-1)

    def plain(self) -> PlainPolicy:
        """Return a copy of the policy as it is now, for deciding."""
        weights = {name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}
        return PlainPolicy(self.config, weights)


def _network(inputs: int, config: PolicyConfig) -> nn.Sequential:
    last = nn.Linear(config.width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(inputs, config.width),
        nn.SiLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.width, config.width),
        nn.SiLU(),
        nn.Dropout(config.dropout),
        last,
    )
