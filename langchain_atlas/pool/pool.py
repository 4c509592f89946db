"""Models, tools, and pools of pairs."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.pool.option_secrets import check_variable, without_secrets
from langchain_atlas.pool.pairs import SEPARATOR, Pair, as_pairs, check_name, read_pairs
from langchain_atlas.pool.prices import find_facts, table_price
from langchain_atlas.pool.tool_sources import ToolSources
from langchain_atlas.pool.variants import described
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["NO_TOOL", "SEPARATOR", "Modality", "Model", "Pair", "Pool", "Tool", "read_pairs"]

_NEED_TOOLS = ("native", "prompted", "grounded", "backtracked", "debugged")
_NEED_NONE = ("none", "refined", "segmented")

_LOCAL = frozenset({"calculator", "python", "ocr"})  # they show what they get to nobody
AGENT = "agent"
"""Name of the tool, and of the invocation, that is an agent built around the pair's model."""

Modality = Literal["text", "image", "pdf", "audio"]

IMAGE_INVOCATIONS = frozenset({"chart", "counting", "geometry", "ocr"})
"""Invocations that need a query with an image; the model must be able to read images unless a tool does it."""

_PRICES = ("input_cost_per_token", "cached_input_cost_per_token", "output_cost_per_token")


class Model(Record):
    """A language model of the pool."""

    name: str
    """Its name in the pool; part of every pair's name."""
    litellm: str = ""
    """LiteLLM's id, such as ``openai/gpt-4o-mini``; by default the name."""
    base: str | None = None
    """The model of which it is a variant, with other `options`; see `variant`."""
    description: str = ""
    """What it is and what it is good at, for people and for policies that use descriptions."""
    input_cost_per_token: float | None = Field(default=None, ge=0)
    """Dollars per input token; by default from LiteLLM's table, None when unknown there."""
    cached_input_cost_per_token: float | None = Field(default=None, ge=0)
    """Dollars per input token that the provider had cached; None means the same price as other input tokens (by default
    from LiteLLM's table, if the input price is too)."""
    output_cost_per_token: float | None = Field(default=None, ge=0)
    """Dollars per output token; by default from LiteLLM's table, None when unknown there."""
    modalities: frozenset[Modality] = frozenset({"text"})
    """What it can read."""
    function_calling: bool | None = None
    """Whether it supports native function calling; None when unknown, which is treated as yes."""
    structured_output: bool | None = None
    """Whether it supports structured output by JSON schema; None when unknown, which is treated as no."""
    max_input_tokens: int | None = Field(default=None, gt=0)
    """Longest prompt in tokens; None when unknown."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to `ChatLiteLLM`, such as ``{"temperature": 0, "api_base": "..."}``. Never keys; ``${NAME}`` is replaced
    with the value of an environment variable, as in ``{"extra_headers": {"X-Gateway": "${GATEWAY_KEY}"}}``."""
    refuses: frozenset[str] = frozenset()
    """Parameters that it does not accept, such as ``{"temperature", "stop"}``, if LiteLLM does not know that. This
    library then leaves them out of its own defaults."""
    api_key_env: str | None = None
    """Environment variable that holds the key, if it is not LiteLLM's usual one."""

    @classmethod
    def _error(cls, message: str) -> PoolError:
        return PoolError(message)

    @field_validator("name")
    @classmethod
    def _name_is_writable(cls, name: str) -> str:
        return check_name("model", name)

    @field_validator("options")
    @classmethod
    def _holds_no_secret(cls, options: dict[str, Any]) -> dict[str, Any]:
        return without_secrets(options, fills=True)

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, variable: str | None) -> str | None:
        return check_variable(variable)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_litellm(cls, data: Any) -> Any:
        """Fill fields that the caller left out from LiteLLM's local table; what it lacks stays unknown."""
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            return data
        filled = {**data, "litellm": data.get("litellm") or data["name"]}
        if not isinstance(filled["litellm"], str):
            return data
        own_price = filled.get("input_cost_per_token") is not None  # a discount on another price does not apply
        for field, value in find_facts(filled["litellm"]).items():
            if filled.get(field) is None and not (own_price and field == "cached_input_cost_per_token"):
                filled[field] = value
        return filled

    def variant(self, name: str, description: str = "", **options: Any) -> Model:
        """Return this model with other parameters, such as ``reasoning_effort="low"``, under a name of its own."""
        about, merged = described(self.description, description, options), {**self.options, **options}
        return self.replace(name=name, base=self.base or self.name, description=about, options=merged)

    @property
    def has_own_prices(self) -> bool:
        """Whether the pool gives its own prices in place of those in LiteLLM's table."""
        facts = find_facts(self.litellm)
        return any(getattr(self, name) != facts.get(name) for name in _PRICES)

    def price(self, input_tokens: int | None, output_tokens: int | None, cached_tokens: int = 0) -> float | None:
        """Return the cost of a call in dollars, or None if a price or a count is unknown.

        Args:
            input_tokens: input tokens, including cached ones.
            output_tokens: output tokens.
            cached_tokens: how many of the input tokens the provider had cached.
        """
        read, written = self.input_cost_per_token, self.output_cost_per_token
        if read is None or written is None or input_tokens is None or output_tokens is None:
            return None
        if not self.has_own_prices:
            return table_price(self.litellm, input_tokens, output_tokens, cached_tokens)
        kept = read if self.cached_input_cost_per_token is None else self.cached_input_cost_per_token
        return (input_tokens - cached_tokens) * read + cached_tokens * kept + output_tokens * written


class Tool(ToolSources):
    """A tool, and how a model uses it.

    A tool is named in one of two ways: `tools` holds LangChain tools, or `use` names one that can be built
    (``calculator``, ``python``, ``search``, or ``package.module:attribute``) with `arguments`. `Tool.of`,
    `Tool.from_retriever`, `Tool.from_graph` and `Tool.from_mcp` make one from existing objects; `Tool.agent` makes one
    of a function that builds a whole agent around the pair's model.
    """

    name: str
    """Its name in the pool; part of every pair's name."""
    description: str = ""
    """What it does, for people and for policies that use descriptions."""
    tools: tuple[Any, ...] = Field(default=(), exclude=True, repr=False)
    """LangChain tools (`BaseTool`) or plain functions that it wraps."""
    use: str | None = None
    """Name of a tool to build."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Arguments to build `use` with, such as ``{"folder": "docs"}``."""
    invocation: str = "native"
    """How a model uses it: ``none``, ``native``, ``prompted``, ``grounded``, ``ranked``, ``refined``, ``backtracked``,
    ``debugged``, ``segmented``, ``agent``, or a custom one given to the executor."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the invocation, such as worked examples; see `langchain_atlas.execution.invocations`."""
    needs: frozenset[Modality] = frozenset()
    """What a model must be able to read, beyond text, to be paired with it. ``image`` is added for one of
    `IMAGE_INVOCATIONS` without a tool that reads images for the model."""
    check: dict[str, dict[str, Any]] | None = None
    """Harmless calls with which ``doctor --pool`` checks that it works: arguments by name of the LangChain tool."""

    @classmethod
    def _error(cls, message: str) -> PoolError:
        return PoolError(message)

    @field_validator("name")
    @classmethod
    def _name_is_writable(cls, name: str) -> str:
        return check_name("tool", name)

    @model_validator(mode="before")
    @classmethod
    def _agents_run_themselves(cls, data: Any) -> Any:
        is_agent = isinstance(data, dict) and data.get("use") == AGENT
        return {"invocation": AGENT, **data} if is_agent else data

    @model_validator(mode="before")
    @classmethod
    def _looking_needs_eyes(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("invocation") not in IMAGE_INVOCATIONS:
            return data
        needs = data.get("needs") or ()
        if data.get("tools") or data.get("use") or not isinstance(needs, list | tuple | set | frozenset):
            return data
        return {**data, "needs": frozenset({*needs, "image"})}

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        if self.use != "mcp":  # which has its own check, because it substitutes variables
            without_secrets(self.arguments)
        without_secrets(self.settings)
        return self

    @property
    def takes_images(self) -> bool:
        """Whether it is only useful for queries with an image."""
        return self.invocation in IMAGE_INVOCATIONS or "image" in self.needs

    @property
    def stays_here(self) -> bool:
        """Whether what it is asked is known to stay here; LangChain tools of yours say so by ``stays_here = True``."""
        found = [getattr(tool, "stays_here", False) is True for tool in self.tools]
        return all(found) if found else self.use in _LOCAL if self.use is not None else self.invocation == "none"

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.use is not None and self.tools:
            raise ValueError(f"tool {self.name!r} has both 'tools' and 'use'; give one")
        if (self.use == AGENT) != (self.invocation == AGENT):
            raise ValueError(
                f"tool {self.name!r} has use {self.use!r} and invocation {self.invocation!r}; an agent has {AGENT!r} "
                "for both"
            )
        if self.invocation in _NEED_NONE and (self.tools or self.use):
            raise ValueError(
                f"tool {self.name!r} wraps tools, but its invocation {self.invocation!r} would never call them"
            )
        if self.invocation in _NEED_TOOLS and not (self.tools or self.use):
            raise ValueError(
                f"tool {self.name!r} with invocation {self.invocation!r} wraps no tool; give 'tools' or 'use'"
            )
        return self


NO_TOOL = Tool(name="none", description="The model by itself, without a tool.", invocation="none")
"""The model alone, as a member of a pool's tools."""


class Pool(Record):
    """All combinations of models and tools, except those that are excluded or can't work. Immutable."""

    models: tuple[Model, ...]
    """The models, in the order of their pairs."""
    tools: tuple[Tool, ...] = (NO_TOOL,)
    """The tools; `NO_TOOL` is a tool like any other."""
    excluded: frozenset[Pair] = frozenset()
    """Pairs that are excluded."""
    pair_options: dict[Pair, dict[str, Any]] = Field(default_factory=dict)
    """Parameters of the model calls of one pair, such as ``{"temperature": 0.2, "reasoning_effort": "low"}``; they
    override those of the model and of the tool."""

    @classmethod
    def _error(cls, message: str) -> PoolError:
        return PoolError(message)

    @field_validator("pair_options")
    @classmethod
    def _pairs_hold_no_secret(cls, options: dict[Pair, dict[str, Any]]) -> dict[Pair, dict[str, Any]]:
        return {pair: without_secrets(given) for pair, given in options.items()}

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for kind, members in (("model", self.models), ("tool", self.tools)):
            names = [member.name for member in members]
            if not names:
                raise ValueError(f"a pool needs at least one {kind}")
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ValueError(f"{kind} names must be unique; {doubled[0]!r} appears twice")
        for pair in (*self.excluded, *self.pair_options):
            self.model(pair.model)
            self.tool(pair.tool)
        if not self.pairs:
            raise ValueError("no pair is left: every one is excluded or impossible")
        return self

    @classmethod
    def load(cls, path: str | Path) -> Pool:
        """Read a pool from a YAML file; the format is in ``docs/pools.md``.

        Raises:
            PoolError: the file can't be read, or an entry is invalid; the message names the file and the entry.
        """
        from langchain_atlas.pool.files import read_pool

        return read_pool(Path(path))

    @cached_property
    def impossible(self) -> dict[Pair, str]:
        """Pairs that can't work, each with the reason."""
        reasons: dict[Pair, str] = {}
        for model in self.models:
            for tool in self.tools:
                missing = tool.needs - model.modalities
                if missing:
                    reasons[Pair(model.name, tool.name)] = f"the model can't read {', '.join(sorted(missing))}"
                elif tool.invocation in ("native", "backtracked") and model.function_calling is False:
                    reasons[Pair(model.name, tool.name)] = "the model has no native function calling"
        return reasons

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs that may be called, in the order of the models."""
        product = (Pair(model.name, tool.name) for model in self.models for tool in self.tools)
        return tuple(pair for pair in product if pair not in self.excluded and pair not in self.impossible)

    def __contains__(self, pair: object) -> bool:
        return pair in self.pairs

    def __iter__(self) -> Iterator[Pair]:  # type: ignore[override]  # a pool is the set of its pairs
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def model(self, name: str) -> Model:
        """Return the model with the given name.

        Raises:
            PoolError: it does not exist; the message lists the valid names.
        """
        return _find("model", name, self.models)

    def tool(self, name: str) -> Tool:
        """Return the tool with the given name.

        Raises:
            PoolError: it does not exist; the message lists the valid names.
        """
        return _find("tool", name, self.tools)

    def suited(self, *, images: bool) -> frozenset[Pair]:
        """Return the pairs that can answer a query with, or without, images.

        Without images, these are all pairs except those whose tool needs one. With images, those whose model or tool
        reads them.
        """
        seeing = {model.name for model in self.models if "image" in model.modalities}
        looking = {tool.name for tool in self.tools if tool.takes_images}
        if images:
            return frozenset(pair for pair in self.pairs if pair.model in seeing or pair.tool in looking)
        return frozenset(pair for pair in self.pairs if pair.tool not in looking)

    def check(self, pair: Pair) -> Pair:
        """Return `pair` if it may be called.

        Raises:
            PoolError: it may not; the message says why.
        """
        if pair in self.pairs:
            return pair
        if pair in self.impossible:
            raise PoolError(f"Pair {str(pair)!r} can't work: {self.impossible[pair]}.")
        if pair in self.excluded:
            raise PoolError(f"Pair {str(pair)!r} is excluded from this pool.")
        raise PoolError(f"Unknown pair {str(pair)!r}. {suggest(str(pair), map(str, self.pairs))}")

    def extend(self, models: Iterable[Model] = (), tools: Iterable[Tool] = ()) -> Pool:
        """Return a new pool with these models and tools added.

        Raises:
            PoolError: a name is already taken.
        """
        return self.replace(models=(*self.models, *models), tools=(*self.tools, *tools))

    def restrict(self, pairs: Iterable[Pair | str]) -> Pool:
        """Return a new pool of only these pairs; models and tools that no pair uses are dropped.

        Raises:
            PoolError: a pair is not in this pool.
        """
        kept = {self.check(pair) for pair in as_pairs(pairs)}
        models = tuple(model for model in self.models if any(pair.model == model.name for pair in kept))
        tools = tuple(tool for tool in self.tools if any(pair.tool == tool.name for pair in kept))
        product = {Pair(model.name, tool.name) for model in models for tool in tools}
        excluded = frozenset(product - kept - set(self.impossible))
        options = {pair: given for pair, given in self.pair_options.items() if pair in kept}
        return Pool(models=models, tools=tools, excluded=excluded, pair_options=options)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when a pair, its options, a model's id or a tool's invocation changes."""
        members: list[Any] = [
            [[model.name, model.litellm] for model in self.models],
            [[tool.name, tool.use, tool.invocation] for tool in self.tools],
            [str(pair) for pair in self.pairs],
        ]
        options = {str(pair): given for pair, given in self.pair_options.items() if given}
        if options:
            members.append(
                sorted((pair, json.dumps(given, sort_keys=True, default=str)) for pair, given in options.items())
            )
        return hashlib.sha256(json.dumps(members).encode()).hexdigest()[:16]


_Member = TypeVar("_Member", Model, Tool)


def _find(kind: str, name: str, members: tuple[_Member, ...]) -> _Member:
    for member in members:
        if member.name == name:
            return member
    raise PoolError(f"Unknown {kind} {name!r}. {suggest(name, (member.name for member in members))}")
