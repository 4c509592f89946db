"""The records of the loop: query, decisions, observations, and the trajectory that they form."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from langchain_atlas.amounts import add_known
from langchain_atlas.images import image_url
from langchain_atlas.masking import masked
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.records import Record
from langchain_atlas.text.markup import neutral
from langchain_atlas.text.thoughts import part_thoughts
from langchain_atlas.usage import Dollars, Spending, Usage

Kind = Literal["route", "think", "answer"]


class Constraints(Record):
    """Limits that a query sets, whichever router decides."""

    max_cost_usd: float | None = Field(default=None, ge=0)
    """Maximum expected cost of the whole trajectory, in dollars; None for no limit."""
    max_latency_s: float | None = Field(default=None, gt=0)
    """Maximum expected duration of the whole trajectory, in seconds; None for no limit."""
    pairs: frozenset[Pair] | None = None
    """Pairs that may be called; None for all of the router's."""


class Query(Record):
    """What is routed: a text with its context, history, files and constraints."""

    text: str
    """The text of the user message."""
    id: str | None = None
    """Identifies a recorded query; replay looks outcomes up by it."""
    context: str | None = None
    """Additional context, such as the available functions, as text or JSON."""
    history: tuple[Any, ...] = Field(default=(), repr=False)
    """Messages (LangChain `BaseMessage`) before the user message, oldest first."""
    since: tuple[Any, ...] = Field(default=(), repr=False)
    """Messages after the user message, oldest first: tool calls that were made for it, and their results."""
    images: tuple[str, ...] = Field(default=(), repr=False)
    """Images as URLs or data URLs. A `Path`, bytes or a content block is converted; see `images.image_url`."""
    content: tuple[dict[str, Any], ...] = Field(default=(), repr=False)
    """The content blocks in order, if they are more than the text followed by images: blocks of type ``text``,
    ``image`` (with ``index``, the position in `images`, and ``detail``), ``file`` (PDF) and ``input_audio``."""
    constraints: Constraints = Constraints()
    """Limits on cost, latency and pairs."""
    cost_weight: float | None = Field(default=None, ge=0, le=1)
    """0 for accuracy alone, 1 for cost alone; None leaves it to the router."""
    private: bool = Field(default=False, repr=False, exclude_if=lambda private: not private)
    """Whether it may be sent only to the members that `Limits.private_members` names."""
    seen_by: frozenset[str] = Field(default=frozenset(), repr=False, exclude_if=lambda seers: not seers)
    """Names of the pairs, models and services that may see it if it is private, from `Limits`."""
    avoid: frozenset[Pair] = Field(default=frozenset(), repr=False)
    """Pairs to call only when no other is left: their provider failed earlier in this trajectory."""

    @field_validator("images", mode="before")
    @classmethod
    def _images_are_urls(cls, images: Any) -> Any:
        if not isinstance(images, list | tuple):
            return images
        return tuple(image if isinstance(image, str) else image_url(image) for image in images)

    @property
    def full_text(self) -> str:
        """The text with its context; chat template markup in the context becomes plain words, because it is data."""
        return self.text if self.context is None else f"{self.text}\n\nContext:\n{neutral(self.context)}"

    @property
    def media(self) -> frozenset[str]:
        """The media that it holds besides text: any of ``image``, ``pdf`` and ``audio``."""
        kinds = {"file": "pdf", "input_audio": "audio"}
        files = {kinds[block["type"]] for block in self.content if block["type"] in kinds}
        return frozenset(files | ({"image"} if self.images else set()))

    @classmethod
    def of(cls, query: Query | str) -> Query:
        """Return a query unchanged, or make one from a text."""
        return query if isinstance(query, Query) else cls(text=query)


class ToolTrace(Record):
    """One tool call made in the run of a pair."""

    name: str
    """Name of the LangChain tool."""
    arguments: dict[str, Any]
    """The arguments of the call."""
    output: str | None = None
    """Its result as text, in which media are described in words; None when it failed."""
    content: tuple[Any, ...] = Field(default=(), exclude=True, repr=False)
    """Its result as content blocks, if it is more than text; not serialized."""
    error: str | None = None
    """The error; None when the call succeeded."""
    latency_s: float | None = None
    """Duration of the call, in seconds; None when unknown."""
    spent: Spending | None = None
    """What it spent on models of its own; None if it called none. The observation's usage and cost include it."""

    @field_validator("error")
    @classmethod
    def _shows_no_key(cls, error: str | None) -> str | None:
        return None if error is None else masked(error)

    @property
    def said(self) -> str:
        """The result, or the error if it failed."""
        return self.error if self.error is not None else self.output or ""

    @property
    def shown(self) -> str:
        """The same as shown to models: chat template markup becomes plain words, because tool output is data."""
        return neutral(self.said)


_INCOMPLETE = frozenset(
    {
        *("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
        *("content_filter", "content_filtered", "guardrail_intervened", "refusal"),
        *("blocklist", "prohibited_content", "recitation", "safety", "spii"),
    }
)
"""Finish reasons of incomplete replies, as several providers name them: too long, or withheld."""


class Verdict(Record):
    """What a verifier says of an answer. It may err; how often, policies learn from outcomes."""

    status: Literal["passed", "failed", "unknown"]
    """Whether the answer passed the check; ``unknown`` if the check does not apply, or could not be made."""
    reason: str = ""
    """Why, in one sentence."""
    verifier: str = ""
    """Name of the verifier."""
    latency_s: float | None = None
    """Duration of the check, in seconds; None when unknown."""
    spent: Spending | None = None
    """What it spent on models; None if it called none."""

    @field_validator("reason")
    @classmethod
    def _shows_no_key(cls, reason: str) -> str:
        return masked(reason)


class Observation(Record):
    """The result of running a pair. It never says whether the answer is right."""

    pair: Pair
    """The pair that was run."""
    answer: str | None = None
    """The answer, without the model's reasoning; None when the run failed."""
    error: str | None = None
    """``ErrorType: message`` when the run failed, else None."""
    error_types: tuple[str, ...] = ()
    """Kinds of the error, as ``module:class``: the class that was raised, and LangChain's class for such failures."""
    error_status: int | None = None
    """HTTP status of the failure; None if it has none."""
    finish_reason: str | None = None
    """Finish reason of the model's reply that is the answer, as its provider reports it: ``stop``, ``length``,
    ``content_filter``; None when unknown, or when a tool's output is the answer."""
    model_name: str | None = None
    """The model that replied, as its provider names it; None when unknown."""
    reasoning: str | None = None
    """The model's reasoning before its reply; None if its provider does not return it."""
    usage: Usage = Usage()
    """Tokens over all model calls of the run."""
    cost_usd: Dollars = None
    """Cost of all model calls of the run, in dollars; None when a price or a count is unknown or implausible."""
    saved_usd: Dollars = Field(default=0.0, exclude_if=lambda saved: saved == 0)
    """Dollars that caches saved in the run; None when unknown."""
    latency_s: float | None = None
    """Seconds from request to answer; None when unknown."""
    model_calls: int = 1
    """Number of model calls."""
    tool_trace: tuple[ToolTrace, ...] = ()
    """The tool calls of the run, in order."""
    messages: tuple[dict[str, Any], ...] = Field(default=(), repr=False, exclude_if=lambda messages: not messages)
    """What an agent's models and tools said, oldest first, for `messages_from_dict`; empty for other pairs."""
    verdict: Verdict | None = Field(default=None, exclude_if=lambda verdict: verdict is None)
    """What a verifier says of the answer, if anything. Usage and cost include the check's."""
    message_id: str | None = None
    """Id of the model's message that is the answer; None when that is a tool's output or a recorded response."""

    @field_validator("error")
    @classmethod
    def _shows_no_key(cls, error: str | None) -> str | None:
        return None if error is None else masked(error)

    @field_validator("answer")
    @classmethod
    def _holds_no_thoughts(cls, answer: str | None) -> str | None:
        parted = None if answer is None else part_thoughts(answer)
        return answer if parted is None or parted.is_whole else parted.answer

    @property
    def failed(self) -> bool:
        """Whether the run returned no answer."""
        return self.error is not None

    @property
    def incomplete(self) -> bool:
        """Whether the answer was cut off at a length limit or partly withheld by the provider."""
        return self.finish_reason is not None and self.finish_reason.lower() in _INCOMPLETE


class Candidate(Record):
    """What a router expects of one pair on one query."""

    pair: Pair
    """The pair."""
    expected_success: float
    """Expected score, 0 to 1."""
    evidence: int | None = None
    """Number of recorded outcomes behind the expectation."""
    interval: tuple[float, float] | None = None
    """95% confidence interval of the expected score."""
    expected_cost_usd: float | None = None
    """Expected cost of the call, in dollars; None when unknown."""
    expected_latency_s: float | None = None
    """Expected latency of the call, in seconds; None when unknown."""
    utility: float | None = None
    """The value by which the router ranked pairs; higher is better."""


class Decision(Record):
    """What a router decided, and why."""

    kind: Kind
    """``route``: run a pair. ``think``: continue without a call. ``answer``: stop."""
    pair: Pair | None = None
    """The pair to run, for ``route``."""
    input: str | None = None
    """The text to send to the pair, for ``route``; None sends the query's own."""
    answer: str | None = None
    """The answer, for ``answer``; the thought, for ``think``."""
    source: int | None = None
    """For ``answer``: index of the trajectory's step whose answer is given; None when there is none."""
    rule: str = ""
    """The rule that led to the decision, such as ``nearest-cluster`` or ``turn-limit``."""
    cluster: int | None = None
    """The cluster that the query was assigned to."""
    distance: float | None = None
    """Distance of the query from that cluster's centre, in the encoder's space."""
    chosen: Candidate | None = None
    """What is expected of the chosen pair, with the evidence."""
    runner_up: Candidate | None = None
    """The next best pair, for comparison."""
    reason: str = ""
    """The decision in one sentence."""
    id: str | None = Field(default=None, exclude_if=lambda name: name is None)
    """Identifies the decision in a store; None if nothing is stored."""
    propensity: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda value: value is None)
    """Probability with which the router chose this pair for this query; None if unknown, or if nothing is stored."""
    spent: Spending | None = Field(default=None, exclude_if=lambda spent: spent is None)
    """What the router spent on models of its own to decide; None if it called none."""
    decided_at: float | None = Field(default=None, exclude_if=lambda seconds: seconds is None)
    """When it was decided, in seconds since 1970, for routers that reckon with providers' caches; None otherwise."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.kind == "route") != (self.pair is not None):
            raise ValueError("a decision to route names a pair, and no other decision does")
        return self


class Assignment(Record):
    """A query with a decision: what a router passes to an executor in a chain."""

    query: Query
    """The query."""
    decision: Decision
    """The decision; never to think."""

    @property
    def pair(self) -> Pair | None:
        """The pair to run; None if the router chose to answer without a call."""
        return self.decision.pair

    @property
    def asked(self) -> Query:
        """The query to run the pair on."""
        return self.query if self.decision.input is None else self.query.replace(text=self.decision.input)


class Step(Record):
    """A decision with the observation that followed."""

    decision: Decision
    """The decision."""
    observation: Observation | None = None
    """The observation of the call, for ``route``."""


class Trajectory(Record):
    """The steps taken for one query, oldest first."""

    steps: tuple[Step, ...] = ()
    """The steps."""

    def then(self, decision: Decision, observation: Observation | None = None) -> Trajectory:
        """Return the trajectory with one more step."""
        return Trajectory.model_construct(
            steps=(*self.steps, Step.model_construct(decision=decision, observation=observation))
        )

    @property
    def observations(self) -> tuple[Observation, ...]:
        """The observations of the calls, oldest first."""
        return tuple(step.observation for step in self.steps if step.observation is not None)

    @property
    def done(self) -> bool:
        """Whether the last decision is to answer."""
        return bool(self.steps) and self.steps[-1].decision.kind == "answer"

    @property
    def answer(self) -> str | None:
        """The answer; None while there is none, or when every call failed."""
        return self.steps[-1].decision.answer if self.done else None

    @property
    def answered_by(self) -> Observation | None:
        """The observation whose answer was given; None while there is none."""
        source = self.steps[-1].decision.source if self.done else None
        return None if source is None else self.steps[source].observation

    @property
    def calls(self) -> int:
        """Number of runs of pairs."""
        return len(self.observations)

    @property
    def cost_usd(self) -> float | None:
        """Cost of all calls, in dollars; None when one is unknown."""
        total: float | None = add_known(0.0, *(seen.cost_usd for seen in self.observations))
        return total

    @property
    def deciding_usd(self) -> float | None:
        """Cost of the models that the router called to decide, in dollars; None when one is unknown."""
        spent = [step.decision.spent for step in self.steps]
        total: float | None = add_known(0.0, *(one.cost_usd for one in spent if one is not None))
        return total

    @property
    def latency_s(self) -> float | None:
        """Latency of all calls, in seconds; None when one is unknown."""
        total: float | None = add_known(0.0, *(seen.latency_s for seen in self.observations))
        return total


START = Trajectory()
"""The empty trajectory, before any decision."""


def last_answer(trajectory: Trajectory, *, rule: str, reason: str) -> Decision:
    """Decide to answer with the latest answer that a call returned; without one, the answer is empty.

    An answer that was cut off or withheld is used only if there is no other.
    """
    answered = [
        (not step.observation.incomplete, index, step.observation)
        for index, step in enumerate(trajectory.steps)
        if step.observation is not None and not step.observation.failed
    ]
    if answered:
        _, index, observation = max(answered, key=lambda one: one[:2])
        return Decision(kind="answer", answer=observation.answer, source=index, rule=rule, reason=reason)
    return Decision(kind="answer", rule=rule, reason=f"{reason} No call returned an answer.")


def with_all_spent(decision: Decision, *made: Decision | None) -> Decision:
    """Return a decision with what was spent on all decisions that were made for it, by routers' models of their own."""
    spent = [one.spent for one in made if one is not None and one.spent is not None]
    return decision.replace(spent=reduce(add, spent)) if spent else decision
