"""Does everything in a pool work? One cheap call per model and per tool, and the consequences for the pairs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.doctor.findings import Finding
from langchain_atlas.evaluation.doctor.pool_findings import find_in_pool
from langchain_atlas.evaluation.doctor.pool_probes import ModelCheck, ToolCheck, probe_model, probe_tool, unasked
from langchain_atlas.pool.pool import Pair
from langchain_atlas.progress import Progress, Steps
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from langchain_atlas.pool.pool import Model, Pool, Tool

MODEL_CALLS = 4
"""Maximum number of calls of one model: an answer, a tool call, a forced one if that fails, a reply in a JSON schema.

One more for each parameter that the pool's tools send by default, and if there are several, one for all together.
"""

_INPUT_TOKENS = 600
_OUTPUT_TOKENS = 256
"""Approximate maximum number of tokens that the calls of one model read and write."""


class PairCheck(Record):
    """Whether a pair can work, judging by its model and its tool."""

    pair: Pair
    """The pair."""
    works: bool | None = None
    """None if nothing was called."""
    reason: str | None = None
    """Why it can't work."""


class PoolCheck(Record):
    """The result of checking a pool."""

    called: bool
    """Whether models and tools were called."""
    models: tuple[ModelCheck, ...]
    """The models, in the order of the pool."""
    tools: tuple[ToolCheck, ...]
    """The tools, in the order of the pool."""
    pairs: tuple[PairCheck, ...]
    """All pairs that are not excluded in the pool."""
    findings: tuple[Finding, ...]
    """What is wrong, then what is missing, then notes."""

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.severity == "wrong" for finding in self.findings)


class CostEstimate(Record):
    """The maximum cost of a check."""

    model_calls: int
    """Number of model calls."""
    cost_usd: float
    """Dollars of the models whose prices are known."""
    unpriced: tuple[str, ...] = ()
    """Models whose prices are unknown."""


def estimate(pool: Pool) -> CostEstimate:
    """Estimate the maximum cost of `check_pool`."""
    costs = {model.name: model.price(_INPUT_TOKENS, _OUTPUT_TOKENS) for model in pool.models}
    more = len(_unasked(pool))
    return CostEstimate(
        model_calls=(MODEL_CALLS + more + (more > 1)) * len(pool.models),
        cost_usd=sum(cost for cost in costs.values() if cost is not None),
        unpriced=tuple(name for name, cost in costs.items() if cost is None),
    )


def check_pool(
    pool: Pool,
    *,
    calls: bool = True,
    timeout_s: float = 30.0,
    concurrency: int = 8,
    progress: Progress | None = None,
) -> PoolCheck:
    """Try every model and every tool of a pool.

    Args:
        pool: the pool.
        calls: whether anything is called. If not, keys and prices are checked and tools are built, except those that
            need a server to be started or reached.
        timeout_s: maximum number of seconds of one call.
        concurrency: maximum number of models and tools checked at once.
        progress: called with the number done, and the total number.

    Raises:
        SettingError: a number is out of range.
    """
    if timeout_s <= 0 or concurrency < 1:
        raise SettingError(
            f"timeout_s is {timeout_s!r} and concurrency {concurrency!r}; they must be above 0 and from 1."
        )
    with ThreadPoolExecutor(concurrency) as threads:
        defaults = _unasked(pool)
        models = [
            threads.submit(probe_model, model, timeout_s, calls=calls, defaults=defaults) for model in pool.models
        ]
        tools = [threads.submit(probe_tool, tool, timeout_s, calls=calls) for tool in pool.tools]
        running: list[Any] = [*models, *tools]
        step = Steps(len(running), progress)
        for _ in as_completed(running):
            step()
    checked = [future.result() for future in models]
    tried = [future.result() for future in tools]
    pairs = tuple(
        _pair(pool, model, tool, seen, found)
        for model, seen in zip(pool.models, checked, strict=True)
        for tool, found in zip(pool.tools, tried, strict=True)
        if Pair(model.name, tool.name) not in pool.excluded
    )
    hopeless = {str(each.pair): each.reason for each in pairs if each.reason is not None}
    return PoolCheck(
        called=calls,
        models=tuple(checked),
        tools=tuple(tried),
        pairs=pairs,
        findings=find_in_pool(pool, checked, tried, hopeless, called=calls),
    )


def _unasked(pool: Pool) -> dict[str, Any]:
    """Return the parameters that tools of a pool send by default."""
    return {name: value for tool in pool.tools for name, value in unasked(tool).items()}


def _pair(pool: Pool, model: Model, tool: Tool, seen: ModelCheck, found: ToolCheck) -> PairCheck:
    pair = Pair(model.name, tool.name)
    reason = pool.impossible.get(pair)
    if reason is None and seen.error is not None:
        reason = "the model does not answer"
    if reason is None and found.error is not None:
        reason = "the tool does not work"
    if reason is None and tool.invocation == "native":
        forced = tool.settings.get("tool_choice", "auto") != "auto"
        if seen.function_calling == "no":
            reason = "the model called no function when asked to"
        elif seen.function_calling == "forced" and not forced:
            reason = "the model calls functions only when forced; set 'tool_choice: required' or 'invocation: prompted'"
    refused = [name for name in unasked(tool) if name in seen.refuses]
    if reason is None and refused:
        reason = f"the model refuses {', '.join(refused)}, which the tool sends; set 'refuses: [{', '.join(refused)}]'"
    works = False if reason is not None else (True if seen.answers else None)
    return PairCheck(pair=pair, works=works, reason=reason)
