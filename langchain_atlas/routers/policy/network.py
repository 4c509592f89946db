"""The compact policy: from states to the value of each action. See ``docs/rl-learning.md``.

Three small networks, each applied to every pair or answer alike, so that their number and order do not matter:

- `belief`: the chance that each answer so far is right, from its pair's record, its style, and which answers agree;
- `gain`: how much better the answer given is expected to be after calling a pair;
- `value`: the expected return of the rest of the trajectory; used in training only.

The formulas are `Policy`'s. `PlainPolicy` decides with NumPy; `CompactPolicy`, in `learning/`, learns with torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from langchain_atlas.engines.products import product
from langchain_atlas.routers.arrays import Array, highest, library_of, logit, numbers, sigmoid, taken
from langchain_atlas.routers.policy.cascade import cascade_values
from langchain_atlas.routers.policy.state_features import ANSWER_FEATURES, KINDS, PAIR_FEATURES, QUERY_FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from langchain_atlas.routers.policy.state_features import PriorFeatures, State

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

Part: TypeAlias = Literal["belief", "gain", "value"]
"""Name of one of the networks."""

INPUTS: dict[Part, int] = {
    "belief": len(PAIR_FEATURES) + len(QUERY_FEATURES) + len(ANSWER_FEATURES) + 1 + len(EVIDENCE_FEATURES),
    "gain": len(PAIR_FEATURES) + len(QUERY_FEATURES) + len(PROGRESS_FEATURES) + len(RELATION_FEATURES),
    "value": len(QUERY_FEATURES) + len(PROGRESS_FEATURES) + 2,
}
"""Number of inputs of each network."""

LAYERS = (0, 3, 6)
"""Numbers of the layers in the names of their weights, such as ``belief.0.weight``; activation and dropout between."""


@dataclass(frozen=True)
class Assessment:
    """The policy's assessment of a batch of states."""

    right: Array
    """Chance that each answer is right, shape [B, T]; 0 where no call was made."""
    action_values: Array
    """Value of each action, answers first, then pairs, shape [B, T + P]; meaningless outside `mask`."""
    mask: Array
    """Which actions can be taken, shape [B, T + P]."""
    value: Array
    """Expected return from here on, shape [B]."""

    @property
    def logits(self) -> Array:
        """Logits of the actions, shape [B, T + P]; minus infinity outside the mask, all equal where it is empty."""
        library = library_of(self.mask)
        logits = library.where(self.mask, self.action_values * SHARPNESS, -library.inf)
        return library.where(self.mask.any(axis=1)[:, None], logits, 0.0)

    @property
    def best_value(self) -> Array:
        """Highest value among the actions that can be taken, shape [B]."""
        library = library_of(self.mask)
        return highest(library.where(self.mask, self.action_values, -library.inf), axis=1)


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


class Policy(ABC):
    """Scores every action from features alone; it does not know pairs by index."""

    config: PolicyConfig

    @abstractmethod
    def score(self, part: Part, seen: Array) -> Array:
        """Apply a network to its inputs, shape [..., `INPUTS`]; shape [...]."""

    @abstractmethod
    def plain(self) -> PlainPolicy:
        """Return the policy as it is now, for deciding."""

    def assess(self, state: State) -> Assessment:
        """Assess a batch of states."""
        library, made = library_of(state.called), state.made
        right = library.where(made, sigmoid(self.right_logits(state)), 0.0)
        progress = _progress(state, right)
        best = highest(right, axis=1)
        if self.config.cautious:
            answers, routes = cascade_values(state)
            routes = routes + _REACH * library.tanh(self._gain_scores(state, right, progress)[0])
        else:
            price = state.price[:, None] * state.prior.cost
            answers, routes = right, best[:, None] + self.gains(state, right, progress) - price
        mask = state.mask
        open_ = library.where(mask[:, made.shape[1] :], routes, -library.inf)
        ahead = [state.prior.query, progress, highest(open_, axis=1)[:, None].clip(-1, 2), best[:, None]]
        value = self.score("value", library.concatenate(ahead, axis=1))
        values = library.concatenate([answers, routes], axis=1)
        return Assessment(right=right, action_values=values, mask=mask, value=value)

    def right_logits(self, state: State) -> Array:
        """Return the logits of the chance that each answer is right, shape [B, T]."""
        library, prior, called = library_of(state.called), state.prior, state.called.clip(min=0)
        about = taken(self._seen(prior), called[..., None], 1)
        query = library.zeros_like(prior.query) if self.config.cautious else prior.query
        query = library.broadcast_to(query[:, None], (*called.shape, query.shape[1]))
        style = state.style
        evidence = _evidence(state, style)
        if not self.config.agreement:
            evidence = library.zeros_like(evidence)
        seen = library.concatenate([about, query, state.answers, style[..., None], evidence], axis=-1)
        told = evidence[..., EVIDENCE_FEATURES.index("told")]
        first = taken(prior.of_pairs("success"), called, 1) + style + 0.5 * told
        return first + self.score("belief", seen)

    def gains(self, state: State, right: Array, progress: Array | None = None) -> Array:
        """Return how much better the answer is expected to be after asking each pair, shape [B, P]."""
        progress = _progress(state, right) if progress is None else progress
        scores, guess = self._gain_scores(state, right, progress)
        # An initial estimate: the chance that the leading answer is wrong, times the chance that the pair is then
        # right.
        doubt = 1 - highest(right, axis=1)[:, None]
        return doubt * sigmoid(logit(guess.clip(0.02, 0.98)) + scores)

    def _gain_scores(self, state: State, right: Array, progress: Array) -> tuple[Array, Array]:
        """Return the network's scores of each pair, and the initial estimate of its rescue, shape [B, P] each."""
        library, prior = library_of(state.called), state.prior
        relation, guess = _relation(state, right)
        query = library.zeros_like(prior.query) if self.config.cautious else prior.query
        broad = library.concatenate([query, progress], axis=1)
        broad = library.broadcast_to(broad[:, None], (*prior.cost.shape, broad.shape[1]))
        return self.score("gain", library.concatenate([self._seen(prior), relation, broad], axis=-1)), guess

    def _seen(self, prior: PriorFeatures) -> Array:
        if self.config.nearby and not self.config.cautious:
            return prior.pairs
        library = library_of(prior.pairs)
        hidden = library.asarray([name in _NEARBY_FEATURES for name in PAIR_FEATURES])
        return library.where(hidden, prior.of_pairs("success")[..., None], prior.pairs)


class PlainPolicy(Policy):
    """A policy whose weights are plain arrays: NumPy decides, and torch is not needed.

    Args:
        config: its shape.
        weights: its weights by name, as `CompactPolicy.state_dict` names them: ``belief.0.weight`` and so on.

    Raises:
        ValueError: the weights don't have the shape.
    """

    def __init__(self, config: PolicyConfig, weights: Mapping[str, NDArray[np.float32]]) -> None:
        shapes = weight_shapes(config)
        found = {name: value.shape for name, value in weights.items()}
        if found != shapes:
            odd = sorted(name for name in found.keys() | shapes.keys() if found.get(name) != shapes.get(name))
            raise ValueError(f"its policy's weights don't fit its configuration: {', '.join(odd)}")
        self.config, self.weights = config, dict(weights)

    def plain(self) -> Self:
        """Return the policy itself."""
        return self

    def score(self, part: Part, seen: Array) -> Array:
        """Apply a network; see `Policy.score`."""
        hidden = seen
        for layer in LAYERS:
            hidden = product(hidden, self.weights[f"{part}.{layer}.weight"].T) + self.weights[f"{part}.{layer}.bias"]
            if layer != LAYERS[-1]:
                hidden = hidden * sigmoid(hidden)
        return hidden.squeeze(-1)


def weight_shapes(config: PolicyConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of a policy, by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for part, inputs in INPUTS.items():
        for layer, (rows, columns) in zip(
            LAYERS, ((config.width, inputs), (config.width, config.width), (1, config.width)), strict=True
        ):
            shapes[f"{part}.{layer}.weight"], shapes[f"{part}.{layer}.bias"] = (rows, columns), (rows,)
    return shapes


def _found(state: State, lead: Array) -> Array | float:
    """Return the share of the right answers after a wrong one that are also recognised, shape [B, P].

    After a failed check, an answer that passes stands out, the more so the better verdicts tell its pair's right
    answers from its wrong ones; after a passed check, another that passes does not.
    """
    verdict, by_verdict = state.verdict, state.prior.by_verdict
    if verdict is None or by_verdict is None:
        return _FOUND
    failed, passed = by_verdict[state.prior.record, :, 1], by_verdict[state.prior.record, :, 2]
    library = library_of(lead)
    telling = library.tanh(library.minimum(-failed, passed).clip(min=0) / 2)
    doubted = library.tanh(-taken(verdict, lead[:, None], 1) / 2)
    return _FOUND + library.where(doubted > 0, (1 - _FOUND) * telling * doubted, _FOUND * doubted)


def _evidence(state: State, style: Array) -> Array:
    """Return what the other answers imply about each answer, shape [B, T, len(EVIDENCE_FEATURES)]."""
    library, prior, made = library_of(state.called), state.prior, state.made
    called = state.called.clip(min=0)
    record = prior.record[:, None, None]
    first, second = called[:, :, None], called[:, None, :]
    eye = library.eye(called.shape[1]) > 0
    other = made[:, :, None] & made[:, None, :] & ~eye
    same, apart = numbers(state.same & other), numbers(~state.same & other)
    agreed, differed = prior.if_agreed[record, first, second], prior.if_differed[record, first, second]
    told = same * agreed + apart * differed
    elsewhere = 1 - prior.same_model[first, second]
    by_other_tool = 1 - prior.same_tool[first, second]
    strength = taken(prior.of_pairs("success"), called, 1) + style
    theirs = strength[:, None, :]
    total = told.sum(axis=-1)
    kinds = state.kinds
    other_kind = 1 - (kinds[:, :, None] * kinds[:, None, :]).sum(axis=-1)
    found = {
        "told": total.clip(-6, 6),
        "told_elsewhere": (told * elsewhere).sum(axis=-1).clip(-6, 6),
        "agreeing": (same * elsewhere).sum(axis=-1),
        "differing": (apart * elsewhere).sum(axis=-1),
        "agreeing_by_other_tool": (same * elsewhere * by_other_tool).sum(axis=-1),
        "differing_by_other_tool": (apart * elsewhere * by_other_tool).sum(axis=-1),
        "agreeing_of_own_model": (same * (1 - elsewhere)).sum(axis=-1),
        "differing_of_own_model": (apart * (1 - elsewhere)).sum(axis=-1),
        "strongest_agreeing": _strongest(theirs, same),
        "strongest_differing": _strongest(theirs, apart),
        "most_told_differing": _strongest(total[:, None, :].clip(-6, 6), apart),
        "differing_in_kind": (apart * other_kind).sum(axis=-1),
        "likeness_of_agreeing": (same * prior.likeness[first, second]).sum(axis=-1),
        "calls": library.broadcast_to(numbers(made).sum(axis=1)[:, None], called.shape) / 2,
    }
    return _stacked(found, EVIDENCE_FEATURES) / 2


def _stacked(found: Mapping[str, Array], names: Sequence[str]) -> Array:
    """Stack numbers in the order of their names, along a new last axis."""
    values = [found[name] for name in names]
    return library_of(values[0]).stack(values, axis=-1)


def _strongest(values: Array, where: Array) -> Array:
    """Return the highest allowed value along the last axis, -3 if none is allowed."""
    library = library_of(where)
    return highest(library.where(where > 0, values, -3.0), axis=-1)


def _progress(state: State, right: Array) -> Array:
    """Return numbers that describe the trajectory's progress, shape [B, len(PROGRESS_FEATURES)]."""
    library, made = library_of(right), state.made
    lead, rows = right.argmax(axis=1), library.arange(len(right))
    with_lead = state.same[rows, lead] & made
    rival = highest(library.where(made & ~with_lead, right, 0.0), axis=1)
    count = numbers(made).sum(axis=1)
    some = numbers(count > 0)
    kinds = state.kinds[rows, lead] * some[:, None]
    found = {
        "success_of_leader": highest(right, axis=1),
        "success_of_rival": rival,
        "any_call": some,
        "calls": count / 4,
        "turns": numbers(state.turns) / 4,
        "agreeing_with_leader": (numbers(with_lead).sum(axis=1) - 1).clip(min=0) / 2,
        "leader_calls": kinds[:, KINDS.index("calls")],
        "leader_calls_nothing": kinds[:, KINDS.index("no-call")],
        "log_price": library.log(state.price + 0.01) / 3,
        "price": state.price.clip(max=3),
    }
    return _stacked(found, PROGRESS_FEATURES)


def _relation(state: State, right: Array) -> tuple[Array, Array]:
    """Return numbers that relate each pair to the calls made, and an initial estimate of its rescue.

    Returns:
        Shape [B, P, len(RELATION_FEATURES)], and [B, P].
    """
    library, prior, made = library_of(right), state.prior, state.made
    called = state.called.clip(min=0)
    lead = right.argmax(axis=1)
    leader = called[library.arange(len(called)), lead]
    some = numbers(made.any(axis=1))[:, None]
    by_any = numbers(made)[..., None]
    columns = library.arange(prior.pairs.shape[1])[None]
    found = {
        "model_of_leader": prior.same_model[leader] * some,
        "tool_of_leader": prior.same_tool[leader] * some,
        "likeness_to_leader": prior.likeness[leader] * some,
        "model_called": highest(prior.same_model[called] * by_any, axis=1),
        "tool_called": highest(prior.same_tool[called] * by_any, axis=1),
        "rescue_of_leader": prior.rescue[prior.record, leader] * some,
        "leader_if_agreed": prior.if_agreed[prior.record, leader] * some,
        "leader_if_differed": prior.if_differed[prior.record, leader] * some,
        "own_if_agreed": prior.if_agreed[prior.record[:, None], columns, leader[:, None]] * some,
    }
    relation = _stacked(found, RELATION_FEATURES)
    success = sigmoid(prior.of_pairs("success"))
    rescue = sigmoid(prior.rescue[prior.record, leader])
    return relation, library.where(some > 0, _found(state, lead) * rescue, success)
