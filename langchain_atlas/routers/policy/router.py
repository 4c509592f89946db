"""The RL router: calls a pair, reads the answer, calls another pair or answers (section 3 of the paper)."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from langchain_atlas.answers import AnswerAgreement
from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import ConstraintError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router, decided, last_answer, reconfigured, shared_pairs
from langchain_atlas.routers.constraints import Feasible, feasible, untried
from langchain_atlas.routers.policy.deciding import AssessedStep, LookedUp, OpenStep, answer, candidate, route
from langchain_atlas.routers.policy.experience.memory_reading import read_table
from langchain_atlas.routers.policy.experience.newcomers import with_predecessors
from langchain_atlas.routers.policy.experience.verdict_evidence import VERDICTS
from langchain_atlas.routers.policy.floor import with_floor
from langchain_atlas.routers.policy.least_gain import with_least_gain
from langchain_atlas.routers.policy.network import PlainPolicy, PolicyConfig
from langchain_atlas.routers.policy.settings import (
    DEFAULT_COST_WEIGHT,
    DEFAULT_LEAST_GAIN,
    DEFAULT_USD_PER_SECOND,
    HIGHEST_PRICE,
    SETTINGS,
    check_settings,
    price_of,
)
from langchain_atlas.routers.policy.state_features import (
    ANSWER_FEATURES,
    MAX_CALLS,
    PriorFeatures,
    State,
    answer_features,
)
from langchain_atlas.routers.policy.state_featurizer import StateFeaturizer, under
from langchain_atlas.routers.saved.artifact import Artifact, write_artifact
from langchain_atlas.routers.saved.fingerprints import fingerprints, united
from langchain_atlas.routers.utility.guard import DEFAULT_CONFIDENCE
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from langchain_atlas.answers import Agreement
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.policy.network import Policy

_POLICY = "policy."

_MOST_CELLS = 100_000
"""Number of states times pairs that the policy assesses at once."""


class RLRouter(Router):
    """Goes round the loop up to four times: calls pairs, compares their answers, and gives the one it trusts most.

    The policy weighs the expected benefit of one more call against its cost. Turns, cost, latency and allowed pairs are
    hard limits; no policy can override them.

    Args:
        policy: the trained policy; the router keeps it as it is now, in plain arrays, and decides without torch.
        featurizer: the featurizer, with the remembered outcomes.
        encoder: embeds queries; the encoder that the featurizer was made with.
        cost_weight: 0 for accuracy alone, 1 for cost alone; a query's own takes precedence. A call of the most
            expensive pair counts as ``cost_weight / (1 - cost_weight)`` of a right answer.
        max_turns: maximum number of calls in a trajectory, 1 to 4.
        least_gain: least gain that another call must be expected to bring beyond its cost, as a fraction of a right
            answer; 0 for any gain. A cautious policy stops where two answers agree, whatever this is.
        value_usd: dollars that a right answer is worth, above 0; None uses `cost_weight`.
        usd_per_second: dollars that a second of waiting counts as.
        guard: one-sided confidence with which the policy's own answer must beat the default pair, 0 to below 1; up to
            0.5, the error of its estimates favours neither, and at 0 there is no floor. See `floor.py`.
        always: a pair that answers everything, written ``model@@tool``; None leaves it to the policy.
        agreement: compares answers.

    Raises:
        SettingError: a parameter is out of range.
    """

    kind: ClassVar[str] = "rl"
    is_deterministic = True

    def __init__(
        self,
        policy: Policy,
        featurizer: StateFeaturizer,
        encoder: Encoder,
        *,
        cost_weight: float = DEFAULT_COST_WEIGHT,
        max_turns: int = MAX_CALLS,
        least_gain: float = DEFAULT_LEAST_GAIN,
        value_usd: float | None = None,
        usd_per_second: float = DEFAULT_USD_PER_SECOND,
        guard: float = DEFAULT_CONFIDENCE,
        always: str | None = None,
        agreement: Agreement | None = None,
    ) -> None:
        self.value_usd, self.usd_per_second, self.guard, self.always = value_usd, usd_per_second, guard, always
        self.policy = policy.plain()
        self.featurizer = featurizer
        self.encoder = encoder
        self.cost_weight, self.max_turns, self.least_gain = cost_weight, max_turns, least_gain
        check_settings(self.settings)
        self.agreement = agreement or AnswerAgreement()
        self.training: dict[str, Any] = {}

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        return decided(self.decide_steps([(query, trajectory)])[0])

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries with one pass of the encoder."""
        return [decided(each) for each in self.decide_steps([(query, START) for query in queries])]

    def decide_steps(self, asked: Sequence[tuple[Query, Trajectory]]) -> list[Decision | ConstraintError]:
        """Decide the next step of many trajectories with one pass of encoder and policy.

        Args:
            asked: each query with what was decided and seen for it so far.

        Returns:
            The decisions; in the place of one that can't be made, its error.
        """
        found: list[Decision | ConstraintError] = []
        at_once = max(1, _MOST_CELLS // len(self.pairs))
        for start in range(0, len(asked), at_once):
            found += self._decide(asked[start : start + at_once])
        return found

    def _decide(self, asked: Sequence[tuple[Query, Trajectory]]) -> list[Decision | ConstraintError]:
        prior = self.featurizer.prior_of([query for query, _ in asked], self.encoder)
        looked_up = LookedUp.of(prior)
        found: list[Decision | ConstraintError | None] = [None] * len(asked)
        left: list[OpenStep] = []
        for row, (query, trajectory) in enumerate(asked):
            if self.always is not None and query.cost_weight is None:
                found[row] = self._one_pair(query, trajectory, looked_up[row], Pair.parse(self.always))
            if found[row] is None:
                limits = self._limits(query, trajectory, looked_up[row])
                left.append(OpenStep(row, query, trajectory, self._answered(trajectory), limits))
        if left:
            chosen = prior if len(left) == len(asked) else prior.rows(np.array([each.row for each in left]))
            state = self._state(left, self.priced(chosen))
            assessed = self.policy.assess(state)
            floored = assessed.action_values
            if self.margin is not None:
                floored = with_floor(floored, state, np.full(len(left), self.default), self.margin)
            mask, right, same = assessed.mask, assessed.right, state.same
            both = (with_least_gain(part, state, self.least_gain) for part in (floored, assessed.action_values))
            values, bare = (np.where(mask, part, -np.inf) for part in both)
            for number, each in enumerate(left):
                part = AssessedStep(mask[number], values[number], bare[number], right[number], same[number])
                found[each.row] = self._chosen(each, part, looked_up[each.row])
        return [each for each in found if each is not None]

    def _chosen(self, each: OpenStep, assessed: AssessedStep, looked_up: LookedUp) -> Decision | ConstraintError:
        """Return the decision of the highest value."""
        if not assessed.mask.any():
            if not each.trajectory.observations:
                return ConstraintError(each.limits.reason)
            return last_answer(each.trajectory, rule="limit", reason=each.limits.reason)
        action = int(assessed.values.argmax())
        if action < MAX_CALLS:
            return answer(each, action, assessed, self.pairs)
        return route(action - MAX_CALLS, assessed, looked_up, self.featurizer)

    def _answered(self, trajectory: Trajectory) -> list[int]:
        """Return the latest steps with an answer of a known pair, by index."""
        numbers = self.featurizer.numbers
        return [
            number
            for number, step in enumerate(trajectory.steps)
            if step.observation is not None and not step.observation.failed and step.observation.pair in numbers
        ][-MAX_CALLS:]

    def _one_pair(self, query: Query, trajectory: Trajectory, looked_up: LookedUp, pair: Pair) -> Decision | None:
        """Call one pair, and give its answer; None if the query does not allow it, or it failed."""
        made = trajectory.observations
        if made:
            answered = any(seen.pair == pair for seen in made) and any(not seen.failed for seen in made)
            return last_answer(trajectory, rule="one-pair", reason=f"Every query goes to {pair}.") if answered else None
        column = self.featurizer.numbers[pair]
        if not self._limits(query, trajectory, looked_up).allowed[column] or not self._turns(trajectory):
            return None
        chosen = candidate(column, looked_up, 0.0, self.featurizer)
        reason = f"Every query goes to {pair}."
        return Decision(kind="route", pair=pair, rule="one-pair", chosen=chosen, reason=reason)

    def priced(self, prior: PriorFeatures) -> PriorFeatures:
        """Return a prior whose costs also include the expected seconds of a call."""
        return self.featurizer.priced(prior, self.usd_per_second) if self.usd_per_second else prior

    @property
    def price(self) -> float:
        """Score that one unit of cost, a call of the most expensive pair, is worth."""
        return price_of(self.cost_weight) if self.value_usd is None else self.price_at(self.value_usd)

    def price_at(self, value_usd: float) -> float:
        """Return the price if a right answer is worth `value_usd` dollars."""
        return min(self.featurizer.scale.dollars / value_usd, HIGHEST_PRICE)

    @property
    def margin(self) -> float | None:
        """Standard errors that favour the default pair; None if there is no floor."""
        return None if not self.guard or self.policy.config.cautious else self._errors

    @property
    def _errors(self) -> float:
        """Standard errors by which something must be ahead, by `guard`; minus infinity if there is no guard."""
        return max(0.0, NormalDist().inv_cdf(self.guard)) if self.guard else -math.inf

    @property
    def supported(self) -> tuple[Pair, ...]:
        """The pairs that it takes over others: all but the newcomers whose probes don't support it yet."""
        taken = self.featurizer.supported(self._errors)
        return tuple(pair for pair, is_taken in zip(self.pairs, taken, strict=True) if is_taken)

    @property
    def default(self) -> int:
        """Column of the default pair: the most accurate of the remembered ones."""
        return self.featurizer.default

    def _limits(self, query: Query, trajectory: Trajectory, looked_up: LookedUp) -> Feasible:
        record = self.featurizer.record
        cost = looked_up.cost.astype(np.float64) * self.featurizer.scale.dollars
        cost = np.where(np.isnan(record.cost), np.inf, cost)  # an unknown cost can't be expected to stay within limits
        latency = np.nan_to_num(record.latency.astype(np.float64), nan=np.inf)
        permitted = untried(query, trajectory, self.pairs)
        limits = feasible(query, trajectory, self.pairs, cost, latency, permitted=permitted)
        taken = limits.allowed & self.featurizer.supported(self._errors)
        if taken.any() or any(not seen.failed for seen in trajectory.observations):
            limits = replace(limits, allowed=taken)
        return limits if self._turns(trajectory) else replace(limits, reason=f"All {self.max_turns} turns are used.")

    def _turns(self, trajectory: Trajectory) -> int:
        """Return how many calls may still be made."""
        failed = sum(seen.failed for seen in trajectory.observations)  # each of another pair: none is called again
        calls, steps = len(trajectory.observations) - failed, len(trajectory.steps) - failed
        return max(0, min(self.max_turns - steps, MAX_CALLS - calls))

    def _state(self, left: Sequence[OpenStep], prior: PriorFeatures) -> State:
        n_states, known = len(left), self.featurizer.styles
        called = np.full((n_states, MAX_CALLS), -1)
        answers = np.zeros((n_states, MAX_CALLS, len(ANSWER_FEATURES)), dtype=np.float32)
        styles = np.full((n_states, MAX_CALLS), len(self.featurizer.memory.answers.style_names))
        verdicts = np.zeros((n_states, MAX_CALLS), dtype=np.int64)
        groups = np.full((n_states, MAX_CALLS), -1)
        allowed = np.stack([each.limits.allowed for each in left])
        for row, each in enumerate(left):
            readings = []
            for slot, number in enumerate(each.steps):
                observation = each.trajectory.steps[number].observation
                if observation is None:
                    continue
                column = self.featurizer.numbers[observation.pair]
                # A truncated or withheld answer agrees with none: its end, where most final answers are, is missing.
                reading = self.agreement.read(None if observation.incomplete else observation.answer or "", each.query)
                readings.append(reading)
                called[row, slot], allowed[row, column] = column, False
                answers[row, slot] = answer_features(reading)
                if observation.verdict is not None:
                    verdicts[row, slot] = VERDICTS.index(observation.verdict.status)
                styles[row, slot] = known.get(f"{reading.kind} {reading.style}", len(known))
            groups[row, : len(readings)] = self.agreement.groups(readings, each.query)
        weights = [each.query.cost_weight for each in left]
        return State(
            prior=prior,
            allowed=allowed,
            called=called,
            same=groups[:, :, None] == groups[:, None, :],
            answers=answers,
            styles=styles,
            turns=np.array([self._turns(each.trajectory) for each in left]),
            price=np.array(
                [self.price if weight is None else price_of(weight) for weight in weights], dtype=np.float32
            ),
            verdicts=None if prior.by_verdict is None else verdicts,
        )

    @property
    def failures_are_turns(self) -> bool:
        """Whether a failed call uses up a turn: no."""
        return False

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self.featurizer.pairs

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {name: getattr(self, name) for name in SETTINGS}

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        check_settings(settings)
        return reconfigured(self, settings)

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a router that chooses only from these of its pairs; nothing is trained again.

        Raises:
            PoolError: none of them is one of its pairs.
        """
        kept = shared_pairs(self.pairs, pairs)
        if len(kept) == len(self.pairs):
            return self
        router = self._with(self.featurizer.restrict(kept))
        if router.always is not None and router.always not in map(str, kept):
            router.always = str(router.pairs[router.default])
        return router

    def add_pairs(
        self,
        probes: OutcomeTable,
        descriptions: Mapping[str, str] | None = None,
        predecessors: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a router that also knows pairs it was not trained with, from a few outcomes; nothing is trained again.

        A new pair is taken over others only if its probes support that, see `newcomers.py`; at a `guard` of 0, always.

        Args:
            probes: outcomes of the new pairs, 20 to 50 each; those of known pairs are skipped.
            descriptions: descriptions of models and tools, by name.
            predecessors: model by new model from whose record it begins, where names don't tell.

        Raises:
            OutcomeError: the table has no score.
            PoolError: a predecessor is not known, or one is given of a model that is not new.
        """
        read = read_table(probes, self.encoder, self.agreement, descriptions, self.featurizer)
        fresh = [column for column, pair in enumerate(read.memory.pairs) if pair not in self.featurizer.numbers]
        joined = self.featurizer.memory.joined(read.memory)
        described = np.concatenate([self.featurizer.descriptions, read.descriptions[fresh]])
        new = with_predecessors([read.memory.pairs[column] for column in fresh], self.pairs, predecessors)
        newcomers = {**self.featurizer.newcomers, **new}
        featurizer = StateFeaturizer.of(joined, self.featurizer.view, described, self.featurizer.scale, newcomers)
        router = self._with(featurizer)
        router.fitted_on = united(self.fitted_on, fingerprints(probes.queries))
        return router

    def with_memory(self, featurizer: StateFeaturizer) -> Self:
        """Return a router that remembers other outcomes; its policy is unchanged."""
        return self._with(featurizer)

    def with_policy(self, policy: Policy) -> Self:
        """Return a router that decides by a policy as it is now; everything else is unchanged."""
        router = copy.copy(self)
        router.policy = policy.plain()
        return router

    def _with(self, featurizer: StateFeaturizer) -> Self:
        router = copy.copy(self)
        router.featurizer = featurizer
        return router

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        write_artifact(folder, self.artifact())

    def artifact(self) -> Artifact:
        """Return everything that `save` writes."""
        featurizer = self.featurizer
        learned = {_POLICY + name: value for name, value in self.policy.weights.items()}
        return Artifact(
            kind=self.kind,
            pairs=self.pairs,
            encoder=self.encoder.identity(),
            settings=dict(self.settings),
            facts={"policy": asdict(self.policy.config), **featurizer.facts(), "training": self.training},
            arrays={**learned, **featurizer.arrays()},
            fitted_on=self.fitted_on,
            curve=self.curve,
            held_out=self.held_out,
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        facts, arrays = artifact.facts, artifact.arrays
        policy = PlainPolicy(PolicyConfig(**facts["policy"]), under(_POLICY, arrays))
        featurizer = StateFeaturizer.from_arrays(arrays, facts, artifact.pairs)
        router = cls(policy, featurizer, encoder or SentenceTransformerEncoder(), **artifact.settings)
        router.training = facts["training"]
        return router
