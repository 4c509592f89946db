"""What goes round the loop: the query, decisions, observations, and the trajectory they make."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from langchain_atlas.amounts import known_dollars, known_tokens
from langchain_atlas.images import image_url
from langchain_atlas.pairs import Pair
from langchain_atlas.records import Record
from langchain_atlas.secrets import masked
from langchain_atlas.text.markup import neutral
from langchain_atlas.text.thoughts import part_thoughts

Kind = Literal["route", "think", "answer"]

Tokens = Annotated[int | None, BeforeValidator(known_tokens)]
"""A number of tokens; what can't be one is unknown."""
Dollars = Annotated[float | None, BeforeValidator(known_dollars)]
"""An amount of dollars; what can't be one is unknown."""


class Constraints(Record):
    """What a query must keep to, whichever router decides."""

    max_cost_usd: float | None = Field(default=None, ge=0)
    """Most dollars the whole trajectory may cost, by expectation; None for no limit."""
    max_latency_s: float | None = Field(default=None, gt=0)
    """Most seconds the whole trajectory may take, by expectation; None for no limit."""
    pairs: frozenset[Pair] | None = None
    """Pairs that may be asked; None for all of the router's."""


class Query(Record):
    """What somebody asks."""

    text: str
    """The ask itself."""
    id: str | None = None
    """Identifies a recorded query; replay looks outcomes up by it."""
    context: str | None = None
    """What comes with the query, such as the functions on offer, as text or JSON."""
    history: tuple[Any, ...] = Field(default=(), repr=False)
    """Messages (LangChain `BaseMessage`) that came before the ask, oldest first."""
    since: tuple[Any, ...] = Field(default=(), repr=False)
    """Messages that came after the ask, oldest first: calls of tools that were made for it, and their results."""
    images: tuple[str, ...] = Field(default=(), repr=False)
    """Images as URLs or data URLs. A `Path`, bytes or a content block is turned into one; see
    `langchain_atlas.images.image_url`."""
    content: tuple[dict[str, Any], ...] = Field(default=(), repr=False)
    """What was said in its order, where that is more than the text with images behind it: blocks of type ``text``,
    ``image`` (with ``index``, the place in `images`, and ``detail``), ``file`` (PDF) and ``input_audio``."""
    constraints: Constraints = Constraints()
    """What must be kept to."""
    cost_weight: float | None = Field(default=None, ge=0, le=1)
    """0 for accuracy alone, 1 for cost alone; None leaves it to the router."""
    avoid: frozenset[Pair] = Field(default=frozenset(), repr=False)
    """Pairs to ask only when no other is left: their provider failed on the way to this answer."""

    @field_validator("images", mode="before")
    @classmethod
    def _images_are_urls(cls, images: Any) -> Any:
        if not isinstance(images, list | tuple):
            return images
        return tuple(image if isinstance(image, str) else image_url(image) for image in images)

    @property
    def full_text(self) -> str:
        """The text with its context, in which markup of chat templates is made words: a document is data."""
        return self.text if self.context is None else f"{self.text}\n\nContext:\n{neutral(self.context)}"

    @property
    def media(self) -> frozenset[str]:
        """What it holds besides text: any of ``image``, ``pdf`` and ``audio``."""
        kinds = {"file": "pdf", "input_audio": "audio"}
        files = {kinds[block["type"]] for block in self.content if block["type"] in kinds}
        return frozenset(files | ({"image"} if self.images else set()))

    @classmethod
    def of(cls, query: Query | str) -> Query:
        """Return a query as it is, or make one of a text."""
        return query if isinstance(query, Query) else cls(text=query)


class Usage(Record):
    """Tokens of one or more model calls."""

    input_tokens: Tokens = None
    """Tokens read; None when unknown."""
    output_tokens: Tokens = None
    """Tokens written; None when unknown."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=add_known(self.input_tokens, other.input_tokens),
            output_tokens=add_known(self.output_tokens, other.output_tokens),
        )


class Spending(Record):
    """What a tool spent on models of its own; a tool that has some returns it as its artifact, or in a subclass."""

    usage: Usage = Usage()
    """Tokens of its model calls."""
    cost_usd: Dollars = None
    """Dollars of its model calls; None when unknown."""


class ToolTrace(Record):
    """One call of a tool on the way to an answer."""

    name: str
    """Name of the LangChain tool."""
    arguments: dict[str, Any]
    """What it was called with."""
    output: str | None = None
    """What it returned, as text, which says of an image that it is one; None when it failed."""
    content: tuple[Any, ...] = Field(default=(), exclude=True, repr=False)
    """What it returned, as content blocks, where that is more than text; kept out of records."""
    error: str | None = None
    """What went wrong, None when nothing did."""
    latency_s: float | None = None
    """Seconds it took."""
    spent: Spending | None = None
    """What it spent on models of its own; None when it called none. The observation's usage and cost include it."""

    @field_validator("error")
    @classmethod
    def _shows_no_key(cls, error: str | None) -> str | None:
        return None if error is None else masked(error)

    @property
    def said(self) -> str:
        """What it returned, or what went wrong."""
        return self.error if self.error is not None else self.output or ""

    @property
    def shown(self) -> str:
        """The same as models are shown it: markup of chat templates is made words, as what a tool says is data."""
        return neutral(self.said)


_INCOMPLETE = frozenset(
    {
        *("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
        *("content_filter", "content_filtered", "guardrail_intervened", "refusal"),
        *("blocklist", "prohibited_content", "recitation", "safety", "spii"),
    }
)
"""Why a reply ends before it is complete, in the words of several providers: it is too long, or it is withheld."""


class Observation(Record):
    """What came back from running a pair. It never says whether the answer is right."""

    pair: Pair
    """The pair that was run."""
    answer: str | None = None
    """The answer, without the thoughts that led to it; None when the run failed."""
    error: str | None = None
    """``ErrorType: message`` when the run failed, else None."""
    error_types: tuple[str, ...] = ()
    """What the error is, as ``module:class``: the class that was raised, and LangChain's for such failures."""
    error_status: int | None = None
    """HTTP status of the failure; None where there is none."""
    finish_reason: str | None = None
    """Why the model's reply that is the answer ended, as its provider says it: ``stop``, ``length``,
    ``content_filter``; None when unknown, or when a tool's output is the answer."""
    model_name: str | None = None
    """The model that replied, as its provider names it; None when unknown."""
    reasoning: str | None = None
    """What the model thought before the reply that is the answer, where its provider tells; None where it does not."""
    usage: Usage = Usage()
    """Tokens over all model calls of the run."""
    cost_usd: Dollars = None
    """Dollars over all model calls of the run; None when a price or a count is unknown, or can't be what it says."""
    saved_usd: Dollars = Field(default=0.0, exclude_if=lambda saved: saved == 0)
    """Dollars that the run would have cost more without a cache; None when unknown."""
    latency_s: float | None = None
    """Seconds from ask to answer; None when unknown."""
    model_calls: int = 1
    """How often the model was called."""
    tool_trace: tuple[ToolTrace, ...] = ()
    """The tool calls of the run, in order."""
    message_id: str | None = None
    """Id of the model's message that is the answer, so that a streamed answer is recognised; None when a tool's
    output or a recorded response is."""

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
        """Whether no answer came back."""
        return self.error is not None

    @property
    def incomplete(self) -> bool:
        """Whether the answer was cut off at a limit on its length, or part of it withheld by the provider."""
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
    """95% interval of the expected success."""
    expected_cost_usd: float | None = None
    """Expected dollars of the call; None when unknown."""
    expected_latency_s: float | None = None
    """Expected seconds of the call; None when unknown."""
    utility: float | None = None
    """What the router compared pairs by; higher is better."""


class Decision(Record):
    """What a router decided, and why."""

    kind: Kind
    """``route``: run a pair. ``think``: go on without a call. ``answer``: stop."""
    pair: Pair | None = None
    """The pair to run, for ``route``."""
    input: str | None = None
    """What to ask the pair, for ``route``; None asks the query as it stands."""
    answer: str | None = None
    """What to answer, for ``answer``; the thought, for ``think``."""
    source: int | None = None
    """For ``answer``: index of the trajectory's step whose answer is given; None when there is none."""
    rule: str = ""
    """The rule that fired, such as ``nearest-cluster`` or ``turn-limit``."""
    cluster: int | None = None
    """The cluster that the query fell into."""
    distance: float | None = None
    """Distance of the query to that cluster's centre, in the encoder's space."""
    chosen: Candidate | None = None
    """What is expected of the chosen pair, with the evidence."""
    runner_up: Candidate | None = None
    """The next best pair, for comparison."""
    reason: str = ""
    """The decision in one sentence."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.kind == "route") != (self.pair is not None):
            raise ValueError("a decision to route names a pair, and no other decision does")
        return self


class Assignment(Record):
    """A query with the decision what to do for it: what goes from a router to an executor in a chain."""

    query: Query
    """What is asked."""
    decision: Decision
    """What was decided; never to think."""

    @property
    def pair(self) -> Pair | None:
        """The pair to run; None where the router chose to answer without a call."""
        return self.decision.pair

    @property
    def asked(self) -> Query:
        """The query as the pair is to be asked."""
        return self.query if self.decision.input is None else self.query.replace(text=self.decision.input)


class Step(Record):
    """A decision with what it led to."""

    decision: Decision
    """What was decided."""
    observation: Observation | None = None
    """What the call returned, for ``route``."""


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
        """What the calls returned, oldest first."""
        return tuple(step.observation for step in self.steps if step.observation is not None)

    @property
    def done(self) -> bool:
        """Whether an answer was decided on."""
        return bool(self.steps) and self.steps[-1].decision.kind == "answer"

    @property
    def answer(self) -> str | None:
        """The answer given, or None while there is none or when every call failed."""
        return self.steps[-1].decision.answer if self.done else None

    @property
    def answered_by(self) -> Observation | None:
        """The observation whose answer was given; None while there is none."""
        source = self.steps[-1].decision.source if self.done else None
        return None if source is None else self.steps[source].observation

    @property
    def calls(self) -> int:
        """How many pairs were run."""
        return len(self.observations)

    @property
    def cost_usd(self) -> float | None:
        """Dollars over all calls; None when one is unknown."""
        total: float | None = add_known(0.0, *(seen.cost_usd for seen in self.observations))
        return total

    @property
    def latency_s(self) -> float | None:
        """Seconds over all calls; None when one is unknown."""
        total: float | None = add_known(0.0, *(seen.latency_s for seen in self.observations))
        return total


START = Trajectory()
"""The trajectory before anything was decided."""


def last_answer(trajectory: Trajectory, *, rule: str, reason: str) -> Decision:
    """Decide to answer with the latest call that returned an answer; with none, the answer stays empty.

    An answer that was cut off or withheld is given only where no other is there.
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


def add_known(*numbers: Any) -> Any:
    """Add numbers; the sum is None as soon as one of them is."""
    return None if any(number is None for number in numbers) else sum(numbers)
