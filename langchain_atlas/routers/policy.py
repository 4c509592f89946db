"""The compact policy: from situations to what each action is worth. See ``docs/rl.md``.

Three small networks, each applied to every pair or answer alike, so that any number of them, in any order, will do:

- `belief`: the chance that each answer got so far is right, from its pair's record, its looks, and who agrees with it;
- `gain`: how much better the answer given is expected to be after asking a pair;
- `value`: what the rest of the trajectory is expected to bring; used in training only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from langchain_atlas.routers.cascade import cascade_worth
from langchain_atlas.routers.situation import N_ANSWER_FEATURES, PAIR_FEATURES, QUERY_FEATURES

if TYPE_CHECKING:
    from torch import Tensor

    from langchain_atlas.routers.situation import Situation

SHARPNESS = 100.0
"""How strongly the policy prefers what is worth more: logits are worth times this."""

_NEVER = -1e9
_REACH = 0.01
_N_EVIDENCE = 14
_N_STATE = 10
_N_RELATION = 9


@dataclass(frozen=True)
class Assessment:
    """What the policy makes of a batch of situations."""

    right: Tensor
    """Chance that each answer is right, shape [B, T]; 0 where no call was made."""
    worth: Tensor
    """What each action is worth, answers first, then pairs, shape [B, T + P]; very low where it can't be taken."""
    value: Tensor
    """Expected return from here on, shape [B]."""

    @property
    def logits(self) -> Tensor:
        """Logits of the actions, shape [B, T + P]."""
        return self.worth * SHARPNESS


@dataclass(frozen=True)
class PolicyConfig:
    """The shape of the policy, and which signals it is given."""

    width: int = 64
    """Width of the hidden layers."""
    dropout: float = 0.1
    """Share of hidden units left out in training."""
    agreement: bool = True
    """Whether it sees which answers say the same."""
    nearby: bool = True
    """Whether it sees records near the query, beside overall ones."""
    cautious: bool = False
    """Whether it expects queries unlike those remembered: it then starts from `cascade_worth` and does not look at
    what is remembered nearby."""


class CompactPolicy(nn.Module):
    """Scores every action from features alone; no pair is known by its index."""

    def __init__(self, config: PolicyConfig | None = None) -> None:
        super().__init__()
        self.config = config or PolicyConfig()
        about = len(PAIR_FEATURES) + len(QUERY_FEATURES)
        self.belief = _network(about + N_ANSWER_FEATURES + 1 + _N_EVIDENCE, self.config)
        self.gain = _network(about + _N_STATE + _N_RELATION, self.config)
        self.value = _network(len(QUERY_FEATURES) + _N_STATE + 2, self.config)

    def forward(self, situation: Situation) -> Assessment:
        """Assess a batch of situations."""
        made = situation.made
        right = torch.where(made, torch.sigmoid(self.right_logits(situation)), 0.0)
        state = _state(situation, right)
        best = right.max(dim=1).values
        if self.config.cautious:
            answers, routes = cascade_worth(situation)
            routes = routes + _REACH * torch.tanh(self._gain_scores(situation, right, state)[0])
        else:
            price = situation.price[:, None] * situation.prospect.cost
            answers, routes = right, best[:, None] + self.gains(situation, right, state) - price
        routes = torch.where(situation.allowed & (situation.turns > 0)[:, None], routes, _NEVER)
        worth = torch.cat([torch.where(made, answers, _NEVER), routes], dim=1)
        ahead = [situation.prospect.query, state, routes.max(dim=1, keepdim=True).values.clamp(-1, 2), best[:, None]]
        value = self.value(torch.cat(ahead, dim=1).detach())  # learning it leaves what it is made from alone
        return Assessment(right=right, worth=worth, value=value.squeeze(-1))

    def right_logits(self, situation: Situation) -> Tensor:
        """Return the logits of the chance that each answer is right, shape [B, T]."""
        prospect, called = situation.prospect, situation.called.clamp(min=0)
        about = _take(self._seen(prospect.pairs), called)
        query = torch.zeros_like(prospect.query) if self.config.cautious else prospect.query
        query = query[:, None].expand(-1, called.shape[1], -1)
        style = prospect.by_style[prospect.record[:, None], called, situation.styles]
        evidence = _evidence(situation, style)
        if not self.config.agreement:
            evidence = torch.zeros_like(evidence)
        seen = torch.cat([about, query, situation.answers, style[..., None], evidence], dim=-1)
        prior = _take(prospect.pairs, called)[..., 0] + style + 0.5 * evidence[..., 0]
        logits: Tensor = prior + self.belief(seen).squeeze(-1)
        return logits

    def gains(self, situation: Situation, right: Tensor, state: Tensor | None = None) -> Tensor:
        """Return how much better the answer is expected to be after asking each pair, shape [B, P]."""
        state = _state(situation, right) if state is None else state
        scores, guess = self._gain_scores(situation, right, state)
        # A guess to start from: the chance that what leads is wrong, times the chance that the pair is then right.
        doubt = 1 - right.max(dim=1, keepdim=True).values
        gain: Tensor = doubt * torch.sigmoid(torch.logit(guess.clamp(0.02, 0.98)) + scores)
        return gain

    def _gain_scores(self, situation: Situation, right: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network says of each pair, and the first guess of its rescue, shape [B, P] each."""
        prospect = situation.prospect
        relation, guess = _relation(situation, right)
        query = torch.zeros_like(prospect.query) if self.config.cautious else prospect.query
        broad = torch.cat([query, state], dim=1)[:, None].expand(-1, prospect.pairs.shape[1], -1)
        seen = torch.cat([self._seen(prospect.pairs), relation, broad], dim=-1)
        return self.gain(seen).squeeze(-1), guess

    def _seen(self, pairs: Tensor) -> Tensor:
        if self.config.nearby and not self.config.cautious:
            return pairs
        hidden = torch.tensor([name in ("success_near", "success_around", "count_around") for name in PAIR_FEATURES])
        return torch.where(hidden, pairs[..., :1], pairs)


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
    """Take rows of [B, P, F] by [B, T]."""
    return torch.gather(values, 1, columns[..., None].expand(-1, -1, values.shape[-1]))


def _evidence(situation: Situation, style: Tensor) -> Tensor:
    """Return what the other answers say about each answer, shape [B, T, _N_EVIDENCE]."""
    prospect, made = situation.prospect, situation.made
    called = situation.called.clamp(min=0)
    record = prospect.record[:, None, None]
    first, second = called[:, :, None], called[:, None, :]
    eye = torch.eye(called.shape[1], dtype=torch.bool)
    other = made[:, :, None] & made[:, None, :] & ~eye
    same = (situation.same & other).float()
    apart = (~situation.same & other).float()
    agreed, differed = prospect.if_agreed[record, first, second], prospect.if_differed[record, first, second]
    told = same * agreed + apart * differed
    elsewhere = 1 - prospect.same_model[first, second]
    by_other_tool = 1 - prospect.same_tool[first, second]
    strength = _take(prospect.pairs, called)[..., 0] + style
    theirs = strength[:, None, :]
    total = told.sum(-1)
    kinds = situation.answers[..., -4:]
    other_kind = 1 - (kinds[:, :, None] * kinds[:, None, :]).sum(-1)
    numbers = [
        total.clamp(-6, 6),
        (told * elsewhere).sum(-1).clamp(-6, 6),
        (same * elsewhere).sum(-1),
        (apart * elsewhere).sum(-1),
        (same * elsewhere * by_other_tool).sum(-1),
        (apart * elsewhere * by_other_tool).sum(-1),
        (same * (1 - elsewhere)).sum(-1),
        (apart * (1 - elsewhere)).sum(-1),
        _highest(theirs, same),
        _highest(theirs, apart),
        _highest(total[:, None, :].clamp(-6, 6), apart),
        (apart * other_kind).sum(-1),
        (same * prospect.likeness[first, second]).sum(-1),
        made.float().sum(1, keepdim=True).expand(-1, called.shape[1]) / 2,
    ]
    return torch.stack(numbers, dim=-1) / 2


def _highest(values: Tensor, where: Tensor) -> Tensor:
    """Return the highest value where allowed along the last axis, -3 where there is none."""
    there = where > 0
    highest: Tensor = torch.where(there, values.expand_as(where), -3.0).max(dim=-1).values
    return highest


def _state(situation: Situation, right: Tensor) -> Tensor:
    """Return numbers about where the trajectory stands, shape [B, _N_STATE]."""
    made = situation.made
    lead = right.max(dim=1)
    rows = torch.arange(len(right))
    with_lead = situation.same[rows, lead.indices] & made
    rival = torch.where(made & ~with_lead, right, 0.0).max(dim=1).values
    count = made.float().sum(1)
    some = (count > 0).float()
    kinds = situation.answers[rows, lead.indices, -4:] * some[:, None]
    return torch.stack(
        [
            lead.values,
            rival,
            some,
            count / 4,
            situation.turns.float() / 4,
            (with_lead.float().sum(1) - 1).clamp(min=0) / 2,
            kinds[:, 0],
            kinds[:, 1],
            torch.log(situation.price + 0.01) / 3,
            situation.price.clamp(max=3),
        ],
        dim=1,
    )


def _relation(situation: Situation, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return how each pair relates to what was called, shape [B, P, _N_RELATION], and a first guess of its rescue."""
    prospect, made = situation.prospect, situation.made
    called = situation.called.clamp(min=0)
    lead = right.argmax(dim=1)
    leader = called[torch.arange(len(called)), lead]
    some = made.any(dim=1).float()[:, None]
    by_any = made.float()[..., None]
    columns = torch.arange(prospect.pairs.shape[1])[None]
    relation = torch.stack(
        [
            prospect.same_model[leader] * some,
            prospect.same_tool[leader] * some,
            prospect.likeness[leader] * some,
            (prospect.same_model[called] * by_any).max(dim=1).values,
            (prospect.same_tool[called] * by_any).max(dim=1).values,
            prospect.rescue[prospect.record, leader] * some,
            prospect.if_agreed[prospect.record, leader] * some,
            prospect.if_differed[prospect.record, leader] * some,
            prospect.if_agreed[prospect.record[:, None], columns, leader[:, None]] * some,
        ],
        dim=-1,
    )
    success = torch.sigmoid(prospect.pairs[..., 0])
    rescue = torch.sigmoid(prospect.rescue[prospect.record, leader])
    guess = torch.where(some > 0, 0.4 * rescue, success)
    return relation, guess
