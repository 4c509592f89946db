"""The RL router: calls a pair, reads the answer, calls another pair or answers (section 3 of the paper)."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch

from langchain_atlas.answers import AnswerAgreement
from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import ConstraintError, PoolError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router, last_answer, reconfigured, shared_pairs
from langchain_atlas.routers.constraints import Feasible, feasible, untried
from langchain_atlas.routers.guard import DEFAULT_CONFIDENCE
from langchain_atlas.routers.policy.floor import with_floor
from langchain_atlas.routers.policy.memory_reading import read_table
from langchain_atlas.routers.policy.network import Assessment, CompactPolicy, PolicyConfig
from langchain_atlas.routers.policy.settings import (
    DEFAULT_COST_WEIGHT,
    DEFAULT_USD_PER_SECOND,
    HIGHEST_PRICE,
    SETTINGS,
    check_settings,
    price_of,
)
from langchain_atlas.routers.policy.state import (
    ANSWER_FEATURES,
    MAX_CALLS,
    PriorFeatures,
    State,
    answer_features,
)
from langchain_atlas.routers.policy.state_featurizer import EncodedQueries, StateFeaturizer, under
from langchain_atlas.routers.policy.verdict_evidence import VERDICTS, verdict_in_words
from langchain_atlas.routers.saved.artifact import Artifact, write_artifact
from langchain_atlas.routers.saved.fingerprints import fingerprints, united
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from langchain_atlas.answers import Agreement
    from langchain_atlas.outcomes import OutcomeTable

_POLICY = "policy."


class RLRouter(Router):
    """Goes round the loop up to four times: calls pairs, compares their answers, and gives the one it trusts most.

    The policy weighs the expected benefit of one more call against its cost. Turns, cost, latency and allowed pairs are
    hard limits; no policy can override them.

    Args:
        policy: the trained policy.
        featurizer: the featurizer, with the remembered outcomes.
        encoder: embeds queries; the encoder that the featurizer was made with.
        cost_weight: 0 for accuracy alone, 1 for cost alone; a query's own takes precedence. A call of the most
            expensive pair counts as ``cost_weight / (1 - cost_weight)`` of a right answer.
        max_turns: maximum number of calls in a trajectory, 1 to 4.
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
        policy: CompactPolicy,
        featurizer: StateFeaturizer,
        encoder: Encoder,
        *,
        cost_weight: float = DEFAULT_COST_WEIGHT,
        max_turns: int = MAX_CALLS,
        value_usd: float | None = None,
        usd_per_second: float = DEFAULT_USD_PER_SECOND,
        guard: float = DEFAULT_CONFIDENCE,
        always: str | None = None,
        agreement: Agreement | None = None,
    ) -> None:
        self.value_usd, self.usd_per_second, self.guard, self.always = value_usd, usd_per_second, guard, always
        self.policy = policy.eval()
        self.featurizer = featurizer
        self.encoder = encoder
        self.cost_weight, self.max_turns = cost_weight, max_turns
        check_settings(self.settings)
        self.agreement = agreement or AnswerAgreement()
        self.training: dict[str, Any] = {}

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        seen, _ = EncodedQueries.of([query], self.encoder, self.featurizer.view)
        return self._decide(query, trajectory, self.featurizer.prior(seen))

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries with one pass of the encoder."""
        if not queries:
            return []
        seen, _ = EncodedQueries.of(queries, self.encoder, self.featurizer.view)
        prior = self.featurizer.prior(seen)
        return [self._decide(query, START, prior.rows(torch.tensor([number]))) for number, query in enumerate(queries)]

    def _decide(self, query: Query, trajectory: Trajectory, prior: PriorFeatures) -> Decision:
        if self.always is not None and query.cost_weight is None:
            one = self._one_pair(query, trajectory, prior, Pair.parse(self.always))
            if one is not None:
                return one
        numbers = self.featurizer.numbers
        steps = [
            number
            for number, step in enumerate(trajectory.steps)
            if step.observation is not None and not step.observation.failed and step.observation.pair in numbers
        ][-MAX_CALLS:]
        limits = self._limits(query, trajectory, prior)
        state = self._state(query, trajectory, steps, self.priced(prior), limits)
        with torch.no_grad():
            assessed = self.policy(state)
            floored = assessed.action_values
            if self.margin is not None:
                floored = with_floor(floored, state, torch.tensor([self.default]), self.margin)
        mask = assessed.mask[0].numpy()
        values, bare = (np.where(mask, part[0].numpy(), -np.inf) for part in (floored, assessed.action_values))
        if not mask.any():
            if not trajectory.observations:
                raise ConstraintError(limits.reason)
            return last_answer(trajectory, rule="limit", reason=limits.reason)
        action = int(values.argmax())
        if action < MAX_CALLS:
            alike = int(state.same[0, action, : len(steps)].sum())
            return self._answer(trajectory, steps, action, assessed, values=values, limits=limits, agreeing=alike)
        return self._route(action - MAX_CALLS, prior, assessed, values, floor=action != int(bare.argmax()))

    def _one_pair(self, query: Query, trajectory: Trajectory, prior: PriorFeatures, pair: Pair) -> Decision | None:
        """Call one pair, and give its answer; None if the query does not allow it, or it failed."""
        made = trajectory.observations
        if made:
            answered = any(seen.pair == pair for seen in made) and any(not seen.failed for seen in made)
            return last_answer(trajectory, rule="one-pair", reason=f"Every query goes to {pair}.") if answered else None
        column = self.featurizer.numbers[pair]
        if not self._limits(query, trajectory, prior).allowed[column] or not self._turns(trajectory):
            return None
        chosen = self._candidate(column, prior, np.zeros(MAX_CALLS + len(self.pairs), dtype=np.float32))
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
        if not self.guard or self.policy.config.cautious:
            return None
        return max(0.0, NormalDist().inv_cdf(self.guard))

    @property
    def default(self) -> int:
        """Column of the default pair: the most accurate of the remembered ones."""
        return self.featurizer.default

    def _limits(self, query: Query, trajectory: Trajectory, prior: PriorFeatures) -> Feasible:
        record = self.featurizer.record
        cost = prior.cost[0].numpy().astype(np.float64) * self.featurizer.scale.dollars
        cost = np.where(np.isnan(record.cost), np.inf, cost)  # an unknown cost can't be expected to stay within limits
        latency = np.nan_to_num(record.latency.astype(np.float64), nan=np.inf)
        permitted = untried(query, trajectory, self.pairs)
        limits = feasible(query, trajectory, self.pairs, cost, latency, permitted=permitted)
        return limits if self._turns(trajectory) else replace(limits, reason=f"All {self.max_turns} turns are used.")

    def _turns(self, trajectory: Trajectory) -> int:
        """Return how many calls may still be made."""
        failed = sum(seen.failed for seen in trajectory.observations)  # each of another pair: none is called again
        calls, steps = len(trajectory.observations) - failed, len(trajectory.steps) - failed
        return max(0, min(self.max_turns - steps, MAX_CALLS - calls))

    def _state(
        self, query: Query, trajectory: Trajectory, steps: list[int], prior: PriorFeatures, limits: Feasible
    ) -> State:
        called = torch.full((1, MAX_CALLS), -1)
        answers = torch.zeros((1, MAX_CALLS, len(ANSWER_FEATURES)))
        styles = torch.full((1, MAX_CALLS), len(self.featurizer.memory.answers.style_names))
        verdicts = torch.zeros((1, MAX_CALLS), dtype=torch.int64)
        allowed = limits.allowed.copy()
        readings, known = [], self.featurizer.styles
        for slot, number in enumerate(steps):
            observation = trajectory.steps[number].observation
            if observation is None:
                continue
            column = self.featurizer.numbers[observation.pair]
            # A truncated or withheld answer agrees with none: its end, where most final answers are, is missing.
            reading = self.agreement.read(None if observation.incomplete else observation.answer or "", query)
            readings.append(reading)
            called[0, slot], allowed[column] = column, False
            answers[0, slot] = torch.from_numpy(answer_features(reading))
            if observation.verdict is not None:
                verdicts[0, slot] = VERDICTS.index(observation.verdict.status)
            styles[0, slot] = known.get(f"{reading.kind} {reading.style}", len(known))
        groups = torch.tensor([self.agreement.groups(readings, query) + [-1] * (MAX_CALLS - len(readings))])
        return State(
            prior=prior,
            allowed=torch.from_numpy(allowed)[None],
            called=called,
            same=groups[:, :, None] == groups[:, None, :],
            answers=answers,
            styles=styles,
            turns=torch.tensor([self._turns(trajectory)]),
            price=torch.tensor([self.price if query.cost_weight is None else price_of(query.cost_weight)]),
            verdicts=None if prior.by_verdict is None else verdicts,
        )

    def _answer(
        self,
        trajectory: Trajectory,
        steps: list[int],
        slot: int,
        assessed: Assessment,
        *,
        values: NDArray[np.float32],
        limits: Feasible,
        agreeing: int,
    ) -> Decision:
        source = steps[slot]
        observation = trajectory.steps[source].observation
        if observation is None:
            raise PoolError("An answer must come from a step with an observation.")
        right = float(assessed.right[0, slot])
        rest = values[MAX_CALLS:]
        best = int(rest.argmax())
        if np.isneginf(rest[best]):
            rule, why = "limit", limits.reason
        else:
            rule = "agreed" if agreeing > 1 else "enough"
            why = f"Asking {self.pairs[best]} too is not expected to be worth its cost."
        made = len(trajectory.observations)
        alike = f"{agreeing} of {len(steps)} answers agree. " if agreeing > 1 else ""
        return Decision(
            kind="answer",
            answer=observation.answer,
            source=source,
            rule=rule,
            chosen=Candidate(pair=observation.pair, expected_success=right),
            reason=f"After {made} call{'s' if made > 1 else ''}, the answer of {observation.pair} is expected to be "
            f"right with {right:.0%}{verdict_in_words(observation)}. {alike}{why}",
        )

    def _route(
        self, column: int, prior: PriorFeatures, assessed: Assessment, values: NDArray[np.float32], *, floor: bool
    ) -> Decision:
        made = bool((assessed.right[0] > 0).any())
        leading = float(assessed.right[0].max())
        chosen = self._candidate(column, prior, values)
        rest = values[MAX_CALLS:].copy()
        rest[column] = -np.inf
        second = int(rest.argmax()) if len(rest) > 1 else column
        dollars = chosen.expected_cost_usd
        cost = "at unknown cost" if dollars is None else f"for ${1000 * dollars:.3g} per 1000"
        before = "The floor keeps to the most accurate pair. " if floor else ""
        before += f"The best answer so far is expected to be right with {leading:.0%}; " if made else ""
        return Decision(
            kind="route",
            pair=chosen.pair,
            rule="floor" if floor else "ask-another" if made else "first-call",
            distance=float(prior.of_query("nearest")[0]),
            chosen=chosen,
            runner_up=None if np.isneginf(rest[second]) else self._candidate(second, prior, values),
            reason=f"{before}{chosen.pair} {'is worth asking too' if made else 'is asked first'}, {cost}: on queries "
            f"like this it solves {chosen.expected_success:.0%}.",
        )

    def _candidate(self, column: int, prior: PriorFeatures, values: NDArray[np.float32]) -> Candidate:
        record = self.featurizer.record
        known, latency = not np.isnan(record.cost[column]), float(record.latency[column])
        near = float(torch.sigmoid(prior.of_pairs("success_around")[0, column]))
        return Candidate(
            pair=self.pairs[column],
            expected_success=near,
            evidence=int(record.count[column]),
            expected_cost_usd=float(prior.cost[0, column]) * self.featurizer.scale.dollars if known else None,
            expected_latency_s=None if np.isnan(latency) else latency,
            utility=float(values[MAX_CALLS + column]),
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

    def restrict(self, pairs: Iterable[Pair]) -> Self:
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

    def add_pairs(self, probes: OutcomeTable, descriptions: Mapping[str, str] | None = None) -> Self:
        """Return a router that also knows pairs it was not trained with, from a few outcomes; nothing is trained again.

        Args:
            probes: outcomes of the new pairs, 20 to 50 each; those of known pairs are skipped.
            descriptions: descriptions of models and tools, by name.

        Raises:
            OutcomeError: the table has no score.
        """
        read = read_table(probes, self.encoder, self.agreement, descriptions, self.featurizer)
        fresh = [column for column, pair in enumerate(read.memory.pairs) if pair not in self.featurizer.numbers]
        joined = self.featurizer.memory.joined(read.memory)
        described = np.concatenate([self.featurizer.descriptions, read.descriptions[fresh]])
        router = self._with(StateFeaturizer.of(joined, self.featurizer.view, described, self.featurizer.scale))
        router.fitted_on = united(self.fitted_on, fingerprints(probes.queries))
        return router

    def with_memory(self, featurizer: StateFeaturizer) -> Self:
        """Return a router that remembers other outcomes; its policy is unchanged."""
        return self._with(featurizer)

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
        learned = {_POLICY + name: value.numpy() for name, value in self.policy.state_dict().items()}
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
        policy = CompactPolicy(PolicyConfig(**facts["policy"]))
        policy.load_state_dict({name: torch.from_numpy(value) for name, value in under(_POLICY, arrays).items()})
        featurizer = StateFeaturizer.from_arrays(arrays, facts, artifact.pairs)
        router = cls(policy, featurizer, encoder or SentenceTransformerEncoder(), **artifact.settings)
        router.training = facts["training"]
        return router
