"""The problems that a check of a pool found, and what to do about each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.evaluation.doctor.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_atlas.evaluation.doctor.pool_probes import ModelCheck, ToolCheck
    from langchain_atlas.pool.pool import Model, Pool

_RANK: dict[Severity, int] = {"wrong": 0, "missing": 1, "note": 2}


def find_in_pool(
    pool: Pool,
    models: Sequence[ModelCheck],
    tools: Sequence[ToolCheck],
    hopeless: Mapping[str, str | None],
    *,
    called: bool = True,
) -> tuple[Finding, ...]:
    """Return what is wrong, missing, or worth knowing.

    Args:
        pool: the pool.
        models: the results of its models.
        tools: the results of its tools.
        hopeless: the pairs that can't work, each with the reason.
        called: whether anything was called.
    """
    found = [
        *(_finding("model-fails", "wrong", f"{each.name}: {each.error}", each.name) for each in models if each.error),
        *(_finding("tool-fails", "wrong", f"{each.name}: {each.error}", each.name) for each in tools if each.error),
        *_abilities(pool, models),
        *_prices(models),
        *_notes(models, tools if called else ()),
        *_hopeless(pool, hopeless),
    ]
    return tuple(sorted(found, key=lambda finding: _RANK[finding.severity]))


def _finding(kind: str, severity: Severity, message: str, *where: str) -> Finding:
    return Finding(kind=kind, severity=severity, message=message, where=where, count=len(where))


def _abilities(pool: Pool, models: Sequence[ModelCheck]) -> Iterator[Finding]:
    """Compare what the pool, or LiteLLM's table, says about the models with their results."""
    native = any(tool.invocation == "native" for tool in pool.tools)
    for seen in models:
        said = pool.model(seen.name)
        yield from _functions(said, seen, native=native)
        if seen.structured_output is False and said.structured_output:
            yield _finding(
                "no-structured-output",
                "wrong",
                f"{seen.name} is said to follow JSON schemas, but did not: set 'structured_output: false'.",
                seen.name,
            )
        if seen.refuses:
            yield _finding(
                "refused-parameters",
                "wrong",
                f"{seen.name} refuses {', '.join(seen.refuses)}, which tools of this pool send by default: set "
                f"'refuses: [{', '.join(seen.refuses)}]' on the model, and they are left out.",
                seen.name,
            )
        if seen.structured_output and not said.structured_output:
            yield _finding(
                "structured-output",
                "note",
                f"{seen.name} follows JSON schemas: 'structured_output: true' helps prompted tools.",
                seen.name,
            )


def _functions(said: Model, seen: ModelCheck, *, native: bool) -> Iterator[Finding]:
    if seen.function_calling == "no" and said.function_calling is not False:
        yield _finding(
            "no-function-calling",
            "wrong" if native else "note",
            f"{seen.name} called no function when asked to: set 'function_calling: false'; tools that are 'prompted' "
            "or 'grounded' still suit it.",
            seen.name,
        )
    if seen.function_calling == "forced" and said.function_calling is not False:
        yield _finding(
            "forced-function-calling",
            "note",
            f"{seen.name} calls functions only when forced, that is with 'tool_choice: required'.",
            seen.name,
        )
    if seen.function_calling == "yes" and said.function_calling is False:
        yield _finding(
            "function-calling",
            "note",
            f"{seen.name} calls functions, though the pool says that it can't: with 'function_calling: true' "
            "'native' tools are paired with it.",
            seen.name,
        )


def _prices(models: Sequence[ModelCheck]) -> Iterator[Finding]:
    unpriced = [each.name for each in models if None in (each.input_cost_per_token, each.output_cost_per_token)]
    if unpriced:
        yield _finding(
            "unknown-prices",
            "missing",
            "Neither the pool nor LiteLLM's table has prices for these models: their costs are unknown. Set "
            "'input_cost_per_token' and 'output_cost_per_token'; 0 for what is free.",
            *unpriced,
        )


def _notes(models: Sequence[ModelCheck], tools: Sequence[ToolCheck]) -> Iterator[Finding]:
    for seen in models:
        for note in seen.notes:
            yield _finding("provider-said", "note", f"{seen.name}, {note}", seen.name)
    idle = [each.name for each in tools if each.offers and each.works is None]
    if idle:
        yield _finding(
            "not-called",
            "note",
            "Tools that were built but not called, because a call may have effects. 'check' in the pool names a call "
            "that is harmless: check: {TOOL: {ARGUMENT: VALUE}}.",
            *idle,
        )


def _hopeless(pool: Pool, hopeless: Mapping[str, str | None]) -> Iterator[Finding]:
    reasons = dict.fromkeys(hopeless.values())
    kept_out = {str(pair) for pair in pool.impossible}
    for reason in reasons:
        pairs = [pair for pair, why in hopeless.items() if why == reason]
        severity: Severity = "note" if all(pair in kept_out for pair in pairs) else "missing"
        yield _finding("pairs-that-cannot-work", severity, f"{str(reason).capitalize()}.", *pairs)
