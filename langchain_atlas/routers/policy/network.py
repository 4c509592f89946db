"""The compact policy: from states to the value of each action. See ``docs/rl.md``.

Three small networks, each applied to every pair or answer alike, so that their number and order do not matter:

- `belief`: the chance that each answer so far is right, from its pair's record, its style, and which answers agree;
- `gain`: how much better the answer given is expected to be after calling a pair;
- `value`: the expected return of the rest of the trajectory; used in training only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from langchain_atlas.routers.policy.cascade import cascade_values
from langchain_atlas.routers.policy.state import ANSWER_FEATURES, KINDS, PAIR_FEATURES, QUERY_FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from langchain_atlas.routers.policy.state import PriorFeatures, State

SHARPNESS = 100.0
"""How strongly the policy prefers higher values: logits are values times this."""

_REACH = 0.01

_FOUND = 0.4
"""Share of the right answers after a wrong one that are also recognised as right, where there are no verdicts."""

EVIDENCE_FEATURES = (
    "told",
    "told_elsewhere",
    "agreeing",
    "differing",
    "agreeing_by_other_tool",
    "differing_by_other_tool",
    "agreeing_of_own_model",
    "differing_of_own_model",
    "strongest_agreeing",
    "strongest_differing",
    "most_told_differing",
    "differing_in_kind",
    "likeness_of_agreeing",
    "calls",
)
"""Names of the numbers that describe what the other answers imply about an answer, in order."""

PROGRESS_FEATURES = (
    "success_of_leader",
    "success_of_rival",
    "any_call",
    "calls",
    "turns",
    "agreeing_with_leader",
    "leader_calls",
    "leader_calls_nothing",
    "log_price",
    "price",
)
"""Names of the numbers that describe the progress of the trajectory, in order."""

RELATION_FEATURES = (
    "model_of_leader",
    "tool_of_leader",
    "likeness_to_leader",
    "model_called",
    "tool_called",
    "rescue_of_leader",
    "leader_if_agreed",
    "leader_if_differed",
    "own_if_agreed",
)
"""Names of the numbers that relate a pair to the calls made, in order."""

_NEARBY_FEATURES = ("success_near", "success_around", "count_around")


@dataclass(frozen=True)
class Assessment:
    """The policy's assessment of a batch of states."""

    right: Tensor
    """Chance that each answer is right, shape [B, T]; 0 where no call was made."""
    action_values: Tensor
    """Value of each action, answers first, then pairs, shape [B, T + P]; meaningless outside `mask`."""
    mask: Tensor
    """Which actions can be taken, shape [B, T + P]."""
    value: Tensor
    """Expected return from here on, shape [B]."""

    @property
    def logits(self) -> Tensor:
        """Logits of the actions, shape [B, T + P]; minus infinity outside the mask, all equal where it is empty."""
        logits = torch.where(self.mask, self.action_values * SHARPNESS, -torch.inf)
        return torch.where(self.mask.any(dim=1, keepdim=True), logits, 0.0)

    @property
    def best_value(self) -> Tensor:
        """Highest value among the actions that can be taken, shape [B]."""
        return torch.where(self.mask, self.action_values, -torch.inf).max(dim=1).values


@dataclass(frozen=True)
class PolicyConfig:
    """The shape of the policy, and the signals it receives."""

    width: int = 64
    """Width of the hidden layers."""
    dropout: float = 0.1
    """Dropout rate of the hidden units in training."""
    agreement: bool = True
    """Whether it sees which answers agree."""
    nearby: bool = True
    """Whether it sees records near the query, in addition to overall ones."""
    cautious: bool = False
    """Whether it expects queries unlike the remembered ones: it then starts from `cascade_values` and ignores records
    near the query."""


class CompactPolicy(nn.Module):
    """Scores every action from features alone; it does not know pairs by index."""

    def __init__(self, config: PolicyConfig | None = None) -> None:
        super().__init__()
        self.config = config or PolicyConfig()
        about = len(PAIR_FEATURES) + len(QUERY_FEATURES)
        self.belief = _network(about + len(ANSWER_FEATURES) + 1 + len(EVIDENCE_FEATURES), self.config)
        self.gain = _network(about + len(PROGRESS_FEATURES) + len(RELATION_FEATURES), self.config)
        self.value = _network(len(QUERY_FEATURES) + len(PROGRESS_FEATURES) + 2, self.config)

    def forward(self, state: State) -> Assessment:
        """Assess a batch of states."""
        made = state.made
        right = torch.where(made, torch.sigmoid(self.right_logits(state)), 0.0)
        progress = _progress(state, right)
        best = right.max(dim=1).values
        if self.config.cautious:
            answers, routes = cascade_values(state)
            routes = routes + _REACH * torch.tanh(self._gain_scores(state, right, progress)[0])
        else:
            price = state.price[:, None] * state.prior.cost
            answers, routes = right, best[:, None] + self.gains(state, right, progress) - price
        mask = state.mask
        open_ = torch.where(mask[:, made.shape[1] :], routes, -torch.inf)
        ahead = [state.prior.query, progress, open_.max(dim=1, keepdim=True).values.clamp(-1, 2), best[:, None]]
        value = self.value(torch.cat(ahead, dim=1).detach())  # learning the value does not change its inputs
        values = torch.cat([answers, routes], dim=1)
        return Assessment(right=right, action_values=values, mask=mask, value=value.squeeze(-1))

    def right_logits(self, state: State) -> Tensor:
        """Return the logits of the chance that each answer is right, shape [B, T]."""
        prior, called = state.prior, state.called.clamp(min=0)
        about = _take(self._seen(prior), called)
        query = torch.zeros_like(prior.query) if self.config.cautious else prior.query
        query = query[:, None].expand(-1, called.shape[1], -1)
        style = state.style
        evidence = _evidence(state, style)
        if not self.config.agreement:
            evidence = torch.zeros_like(evidence)
        seen = torch.cat([about, query, state.answers, style[..., None], evidence], dim=-1)
        told = evidence[..., EVIDENCE_FEATURES.index("told")]
        first = prior.of_pairs("success").gather(1, called) + style + 0.5 * told
        logits: Tensor = first + self.belief(seen).squeeze(-1)
        return logits

    def gains(self, state: State, right: Tensor, progress: Tensor | None = None) -> Tensor:
        """Return how much better the answer is expected to be after asking each pair, shape [B, P]."""
        progress = _progress(state, right) if progress is None else progress
        scores, guess = self._gain_scores(state, right, progress)
        # An initial estimate: the chance that the leading answer is wrong, times the chance that the pair is then
        # right.
        doubt = 1 - right.max(dim=1, keepdim=True).values
        gain: Tensor = doubt * torch.sigmoid(torch.logit(guess.clamp(0.02, 0.98)) + scores)
        return gain

    def _gain_scores(self, state: State, right: Tensor, progress: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's scores of each pair, and the initial estimate of its rescue, shape [B, P] each."""
        prior = state.prior
        relation, guess = _relation(state, right)
        query = torch.zeros_like(prior.query) if self.config.cautious else prior.query
        broad = torch.cat([query, progress], dim=1)[:, None].expand(-1, prior.pairs.shape[1], -1)
        seen = torch.cat([self._seen(prior), relation, broad], dim=-1)
        return self.gain(seen).squeeze(-1), guess

    def _seen(self, prior: PriorFeatures) -> Tensor:
        if self.config.nearby and not self.config.cautious:
            return prior.pairs
        hidden = torch.tensor([name in _NEARBY_FEATURES for name in PAIR_FEATURES])
        return torch.where(hidden, prior.of_pairs("success")[..., None], prior.pairs)


def _found(state: State, lead: Tensor) -> Tensor | float:
    """Return the share of the right answers after a wrong one that are also recognised, shape [B, P].

    After a failed check, an answer that passes stands out, the more so the better verdicts tell its pair's right
    answers from its wrong ones; after a passed check, another that passes does not.
    """
    verdict, by_verdict = state.verdict, state.prior.by_verdict
    if verdict is None or by_verdict is None:
        return _FOUND
    failed, passed = by_verdict[state.prior.record, :, 1], by_verdict[state.prior.record, :, 2]
    telling = torch.tanh(torch.minimum(-failed, passed).clamp(min=0) / 2)
    doubted = torch.tanh(-verdict.gather(1, lead[:, None]) / 2)
    return _FOUND + torch.where(doubted > 0, (1 - _FOUND) * telling * doubted, _FOUND * doubted)


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


def _take(values: Tensor, columns: Tensor) -> Tensor:
    """Select rows of [B, P, F] by [B, T]."""
    return torch.gather(values, 1, columns[..., None].expand(-1, -1, values.shape[-1]))


def _evidence(state: State, style: Tensor) -> Tensor:
    """Return what the other answers imply about each answer, shape [B, T, len(EVIDENCE_FEATURES)]."""
    prior, made = state.prior, state.made
    called = state.called.clamp(min=0)
    record = prior.record[:, None, None]
    first, second = called[:, :, None], called[:, None, :]
    eye = torch.eye(called.shape[1], dtype=torch.bool)
    other = made[:, :, None] & made[:, None, :] & ~eye
    same = (state.same & other).float()
    apart = (~state.same & other).float()
    agreed, differed = prior.if_agreed[record, first, second], prior.if_differed[record, first, second]
    told = same * agreed + apart * differed
    elsewhere = 1 - prior.same_model[first, second]
    by_other_tool = 1 - prior.same_tool[first, second]
    strength = prior.of_pairs("success").gather(1, called) + style
    theirs = strength[:, None, :]
    total = told.sum(-1)
    kinds = state.kinds
    other_kind = 1 - (kinds[:, :, None] * kinds[:, None, :]).sum(-1)
    numbers = {
        "told": total.clamp(-6, 6),
        "told_elsewhere": (told * elsewhere).sum(-1).clamp(-6, 6),
        "agreeing": (same * elsewhere).sum(-1),
        "differing": (apart * elsewhere).sum(-1),
        "agreeing_by_other_tool": (same * elsewhere * by_other_tool).sum(-1),
        "differing_by_other_tool": (apart * elsewhere * by_other_tool).sum(-1),
        "agreeing_of_own_model": (same * (1 - elsewhere)).sum(-1),
        "differing_of_own_model": (apart * (1 - elsewhere)).sum(-1),
        "strongest_agreeing": _highest(theirs, same),
        "strongest_differing": _highest(theirs, apart),
        "most_told_differing": _highest(total[:, None, :].clamp(-6, 6), apart),
        "differing_in_kind": (apart * other_kind).sum(-1),
        "likeness_of_agreeing": (same * prior.likeness[first, second]).sum(-1),
        "calls": made.float().sum(1, keepdim=True).expand(-1, called.shape[1]) / 2,
    }
    return _stacked(numbers, EVIDENCE_FEATURES) / 2


def _stacked(numbers: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """Stack numbers in the order of their names, along a new last axis."""
    return torch.stack([numbers[name] for name in names], dim=-1)


def _highest(values: Tensor, where: Tensor) -> Tensor:
    """Return the highest allowed value along the last axis, -3 if none is allowed."""
    there = where > 0
    highest: Tensor = torch.where(there, values.expand_as(where), -3.0).max(dim=-1).values
    return highest


def _progress(state: State, right: Tensor) -> Tensor:
    """Return numbers that describe the trajectory's progress, shape [B, len(PROGRESS_FEATURES)]."""
    made = state.made
    lead = right.max(dim=1)
    rows = torch.arange(len(right))
    with_lead = state.same[rows, lead.indices] & made
    rival = torch.where(made & ~with_lead, right, 0.0).max(dim=1).values
    count = made.float().sum(1)
    some = (count > 0).float()
    kinds = state.kinds[rows, lead.indices] * some[:, None]
    numbers = {
        "success_of_leader": lead.values,
        "success_of_rival": rival,
        "any_call": some,
        "calls": count / 4,
        "turns": state.turns.float() / 4,
        "agreeing_with_leader": (with_lead.float().sum(1) - 1).clamp(min=0) / 2,
        "leader_calls": kinds[:, KINDS.index("calls")],
        "leader_calls_nothing": kinds[:, KINDS.index("no-call")],
        "log_price": torch.log(state.price + 0.01) / 3,
        "price": state.price.clamp(max=3),
    }
    return _stacked(numbers, PROGRESS_FEATURES)


def _relation(state: State, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers that relate each pair to the calls made, and an initial estimate of its rescue.

    Returns:
        Shape [B, P, len(RELATION_FEATURES)], and [B, P].
    """
    prior, made = state.prior, state.made
    called = state.called.clamp(min=0)
    lead = right.argmax(dim=1)
    leader = called[torch.arange(len(called)), lead]
    some = made.any(dim=1).float()[:, None]
    by_any = made.float()[..., None]
    columns = torch.arange(prior.pairs.shape[1])[None]
    numbers = {
        "model_of_leader": prior.same_model[leader] * some,
        "tool_of_leader": prior.same_tool[leader] * some,
        "likeness_to_leader": prior.likeness[leader] * some,
        "model_called": (prior.same_model[called] * by_any).max(dim=1).values,
        "tool_called": (prior.same_tool[called] * by_any).max(dim=1).values,
        "rescue_of_leader": prior.rescue[prior.record, leader] * some,
        "leader_if_agreed": prior.if_agreed[prior.record, leader] * some,
        "leader_if_differed": prior.if_differed[prior.record, leader] * some,
        "own_if_agreed": prior.if_agreed[prior.record[:, None], columns, leader[:, None]] * some,
    }
    relation = _stacked(numbers, RELATION_FEATURES)
    success = torch.sigmoid(prior.of_pairs("success"))
    rescue = torch.sigmoid(prior.rescue[prior.record, leader])
    found = _found(state, lead)
    guess = torch.where(some > 0, found * rescue, success)
    return relation, guess
