"""The calls that show whether a model or a tool works: bounded in tokens and time, and harmless."""

from __future__ import annotations

import json
import os
import re
import time
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool

from langchain_atlas.amounts import add_known
from langchain_atlas.costs.billing import billed
from langchain_atlas.errors import AtlasError, PoolError, suggest
from langchain_atlas.execution.invocations.calls.formats import FORMATS
from langchain_atlas.execution.invocations.ranked import RankedSettings
from langchain_atlas.execution.live import LiveExecutor
from langchain_atlas.execution.models.chat_models import build_chat_model, check_key, schema_format
from langchain_atlas.masking import masked
from langchain_atlas.pool.embedded import is_embedded
from langchain_atlas.pool.parameters import taken
from langchain_atlas.pool.pool import Model, Pool, Tool
from langchain_atlas.records import Record
from langchain_atlas.tools.deadlines import within
from langchain_atlas.tools.event_loop import invoke

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.tools import BaseTool

ANSWER_TOKENS = 32
CALL_TOKENS = 64
"""Maximum number of tokens in a probe's reply; a model that reasons first may need more for a call than for a word."""

HARMLESS = {"calculator": "6*7", "python": "print(6 * 7)", "search": "test", "retriever": "test"}
"""Arguments with which harmless tools are called."""

_REFUSED = frozenset({400, 404, 405, 415, 422, 501})
"""HTTP statuses that mean: not supported. Others may be temporary."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"state": {"type": "string", "enum": ["ready", "busy"]}},
    "required": ["state"],
    "additionalProperties": False,
}
_SECRET = re.compile(r"\b(sk|pk|rk|key|xoxb|ghp)[-_][\w*-]{6,}|(?<=Bearer )\S+", re.IGNORECASE)
_TWICE = re.compile(r"^(\w+): (?:litellm\.)?\1: (?:\1: )?")
"""LiteLLM repeats an error's name up to three times."""
_LONGEST_ERROR = 300


class ModelCheck(Record):
    """The results of checking one model."""

    name: str
    """Its name in the pool."""
    litellm: str
    """LiteLLM's id."""
    answers: bool | None = None
    """Whether it answered; None if it was not called."""
    error: str | None = None
    """Why it does not work; keys are masked."""
    latency_s: float | None = None
    """Seconds of its answer to one short question."""
    input_cost_per_token: float | None = None
    """Dollars per token read; None when unknown."""
    output_cost_per_token: float | None = None
    """Dollars per token written; None when unknown."""
    function_calling: Literal["yes", "forced", "no"] | None = None
    """Whether it calls a function when asked in words, only when forced, or never; None when unknown."""
    structured_output: bool | None = None
    """Whether it follows a given JSON schema; None when unknown."""
    refuses: tuple[str, ...] = ()
    """Parameters that the pool's tools send by default, and that the model refuses."""
    notes: tuple[str, ...] = ()
    """Why something is unknown, or what the provider said."""
    calls: int = 0
    """Number of calls made."""
    cost_usd: float | None = None
    """Dollars of these calls; None when unknown."""


class ToolCheck(Record):
    """The results of checking one tool."""

    name: str
    """Its name in the pool."""
    invocation: str
    """How models use it."""
    offers: tuple[str, ...] = ()
    """The LangChain tools that it wraps."""
    called: tuple[str, ...] = ()
    """Those of them that were called."""
    works: bool | None = None
    """Whether it was built and the calls succeeded; None if nothing was called."""
    error: str | None = None
    """Why it does not work."""
    latency_s: float | None = None
    """Seconds of the slowest call."""


def unasked(tool: Tool) -> dict[str, Any]:
    """Return the parameters that a tool's calls send by default; empty for most."""
    options = tool.settings.get("options") or {}
    sent: dict[str, Any] = {}
    if tool.invocation == "ranked" and "temperature" not in tool.settings:
        sent = {"temperature": RankedSettings().temperature}
    elif tool.invocation == "prompted":
        stop = FORMATS[tool.settings.get("format", "json")].stop
        sent = {"stop": list(stop)} if stop else {}
    return {name: value for name, value in sent.items() if name not in options}


def probe_model(
    model: Model, timeout_s: float, *, calls: bool = True, defaults: Mapping[str, Any] | None = None
) -> ModelCheck:
    """Request a word, a tool call, and a reply in a JSON schema from a model.

    Args:
        model: the model.
        timeout_s: maximum number of seconds of one call.
        calls: whether anything is called.
        defaults: parameters that the pool's tools send by default; one more call shows whether the model accepts them.
    """
    known: dict[str, Any] = {
        "name": model.name,
        "litellm": model.litellm,
        "input_cost_per_token": model.input_cost_per_token,
        "output_cost_per_token": model.output_cost_per_token,
    }
    try:
        check_key(model)
        if not calls:
            return ModelCheck(**known, error=_unknown_provider(model) or _missing_key(model))
        probe = _Probe(model, build_chat_model(model, timeout_s=timeout_s, retries=1))
    except Exception as error:  # noqa: BLE001  # any error is a result of the check
        return ModelCheck(**known, answers=False if calls else None, error=short_error(error, model.api_key_env))
    start = time.perf_counter()
    try:
        probe.ask("Reply with the word: ready", ANSWER_TOKENS)
    except Exception as error:  # noqa: BLE001  # any error is a result of the check
        return ModelCheck(**known, answers=False, error=short_error(error, model.api_key_env), calls=probe.calls)
    latency = time.perf_counter() - start
    functions, schema = probe.function_calling(), probe.structured_output()
    refuses = probe.refused(taken(model.litellm, defaults or {}, given=model.options, refuses=model.refuses))
    return ModelCheck(
        **known,
        answers=True,
        latency_s=latency,
        function_calling=functions,
        structured_output=schema,
        refuses=refuses,
        notes=tuple(probe.notes),
        calls=probe.calls,
        cost_usd=probe.cost_usd,
    )


def _unknown_provider(model: Model) -> str | None:
    """Return a message if LiteLLM does not know the provider in a model's id."""
    if is_embedded(model.litellm) or "custom_llm_provider" in model.options:
        return None
    litellm = _litellm()
    try:
        litellm.get_llm_provider(model=model.litellm, api_base=model.options.get("api_base"))
    except Exception:  # noqa: BLE001  # it raises what a provider would
        provider, slash, _ = model.litellm.partition("/")
        custom = [entry["provider"] for entry in litellm.custom_provider_map]
        known = sorted({*(str(getattr(one, "value", one)) for one in litellm.provider_list), *custom})
        if not slash:
            return f"LiteLLM knows no model {model.litellm!r}; write its provider before it, as in 'openai/{provider}'."
        close = get_close_matches(provider.lower(), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else " See https://docs.litellm.ai/docs/providers for all."
        return f"LiteLLM knows no provider {provider!r}, which {model.litellm!r} begins with.{hint}"
    return None


def _litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # as in `build_chat_model`
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True  # as in `build_chat_model`; it prints a lot about unknown providers
    return litellm


def _missing_key(model: Model) -> str | None:
    """Return a message about a missing key that LiteLLM would look for; a local server may need none."""
    embedded = is_embedded(model.litellm)  # LiteLLM does not know it before a model of it is built
    if embedded or model.api_key_env is not None or "api_base" in model.options:
        return None
    missing = _litellm().validate_environment(model=model.litellm)["missing_keys"]
    return f"LiteLLM looks for the environment variable {' or '.join(missing)}, which is not set." if missing else None


class _Probe:
    """Calls one model, and adds up the cost."""

    def __init__(self, model: Model, chat_model: BaseChatModel) -> None:
        self._model = model
        self._chat_model = chat_model
        self._limit = "max_completion_tokens" if "max_completion_tokens" in model.options else "max_tokens"
        self.calls = 0
        self.cost_usd: float | None = 0.0
        self.notes: list[str] = []

    def ask(self, text: str, tokens: int, *, tool_choice: str | None = None, **options: Any) -> AIMessage:
        options[self._limit] = tokens
        bound: Any = self._chat_model.bind(**options)
        if tool_choice is not None:
            bound = self._chat_model.bind_tools([_report()], tool_choice=tool_choice, **options)
        self.calls += 1
        try:
            reply: AIMessage = bound.invoke([HumanMessage(text)])
        except Exception:
            self.cost_usd = None
            raise
        self.cost_usd = add_known(self.cost_usd, billed(reply, self._model).cost_usd)
        return reply

    def function_calling(self) -> Literal["yes", "forced", "no"] | None:
        answers: tuple[tuple[str, Literal["yes", "forced"]], ...] = (("auto", "yes"), ("required", "forced"))
        for choice, answer in answers:
            try:
                reply = self.ask("Use the tool 'report' to report that you are ready.", CALL_TOKENS, tool_choice=choice)
            except Exception as error:  # noqa: BLE001  # providers refuse tools in many ways
                self.notes.append(f"function calling: {short_error(error, self._model.api_key_env)}")
                return "no" if _is_refusal(error) else None
            if reply.tool_calls or reply.invalid_tool_calls:
                return answer
        return "no"

    def refused(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the parameters that the model refuses: tried together, and one by one if that fails."""
        if not parameters:
            return ()
        try:
            self.ask("Reply with the word: ready", ANSWER_TOKENS, **parameters)
        except Exception as error:  # noqa: BLE001  # providers refuse parameters in many ways
            self.notes.append(f"{', '.join(parameters)}: {short_error(error, self._model.api_key_env)}")
            if not _is_refusal(error) or len(parameters) == 1:
                return tuple(parameters) if _is_refusal(error) else ()
            return tuple(name for name, value in parameters.items() if self.refused({name: value}))
        return ()

    def structured_output(self) -> bool | None:
        try:
            reply = self.ask("How are you?", CALL_TOKENS, response_format=schema_format(_SCHEMA))
        except Exception as error:  # noqa: BLE001  # providers refuse schemas in many ways
            self.notes.append(f"JSON schema: {short_error(error, self._model.api_key_env)}")
            return False if _is_refusal(error) else None
        try:
            value = json.loads(str(reply.text))
        except ValueError:
            return False
        return value in ({"state": "ready"}, {"state": "busy"})


def _report() -> BaseTool:
    return StructuredTool(name="report", description="Reports a state.", args_schema=_SCHEMA, func=str)


def probe_tool(tool: Tool, timeout_s: float, *, calls: bool = True) -> ToolCheck:
    """Build a tool, and call those parts that are harmless or have arguments for a check."""
    check = ToolCheck(name=tool.name, invocation=tool.invocation)
    if not calls and tool.use == "mcp":
        return check  # building it would start the server
    try:
        offered = _built(tool)
        wanted = _wanted(tool, offered)
    except Exception as error:  # noqa: BLE001  # any error is a result of the check
        return check.replace(works=False, error=short_error(error))
    check = check.replace(offers=tuple(offered))
    if not calls:
        return check
    longest, called = None, []
    for name, arguments in wanted.items():
        start = time.perf_counter()
        problem = _call(offered[name], arguments, timeout_s)
        longest = max(longest or 0.0, time.perf_counter() - start)
        called.append(name)
        if problem is not None:
            return check.replace(works=False, error=f"{name}: {problem}", called=tuple(called), latency_s=longest)
    works = True if called or not offered else None
    return check.replace(works=works, called=tuple(called), latency_s=longest)


def _built(tool: Tool) -> dict[str, BaseTool]:
    executor = LiveExecutor(Pool(models=(_anybody(tool),), tools=(tool,)))
    return {member.name: member for member in executor.tools_of(tool.name)}


def _anybody(tool: Tool) -> Model:
    """Return a model that suits any tool, so that only the tool is tested."""
    return Model(name="anybody", modalities=frozenset({"text", *tool.needs}))


def _wanted(tool: Tool, offered: dict[str, BaseTool]) -> dict[str, dict[str, Any]]:
    """Return the calls to make: those that the pool names, else a harmless one of a built-in tool.

    Raises:
        PoolError: the pool names a tool that does not exist.
    """
    for name in tool.check or {}:
        if name not in offered:
            raise PoolError(f"'check' of tool {tool.name!r} names {name!r}. {suggest(name, offered)}")
    if tool.check is not None:
        return tool.check
    if tool.use not in HARMLESS:
        return {}
    return {name: {next(iter(member.args)): HARMLESS[tool.use]} for name, member in offered.items()}


def _call(tool: BaseTool, arguments: dict[str, Any], timeout_s: float) -> str | None:
    """Call a tool; return the error, if any."""
    wanted = {"name": tool.name, "args": arguments, "id": "check", "type": "tool_call"}
    try:
        message = within(timeout_s, lambda: invoke(tool, wanted))
    except Exception as error:  # noqa: BLE001  # any error of a tool is a result of the check
        return short_error(error)
    return short_error(str(message.text)) if getattr(message, "status", "success") == "error" else None


def _is_refusal(error: Exception) -> bool:
    return getattr(error, "status_code", None) in _REFUSED or isinstance(error, NotImplementedError)


def short_error(error: Exception | str, key_env: str | None = None) -> str:
    """Write an error in one short line without secrets.

    Args:
        error: the error.
        key_env: name of an environment variable that contains a secret, even if its name does not look like it.
    """
    name = "" if isinstance(error, str | AtlasError) else f"{type(error).__name__}: "
    text = _SECRET.sub("***", masked(_TWICE.sub(r"\1: ", " ".join(f"{name}{error}".split())), key_env))
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}..."
