"""What a router does on queries that were kept aside, and whether that is worth it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.replay.bootstrap import accuracy_interval, paired_difference
from langchain_atlas.evaluation.replay.metrics import known_mean
from langchain_atlas.evaluation.settings.choosing import some_queries
from langchain_atlas.evaluation.settings.crossfit import encoded, grouped, near_duplicates
from langchain_atlas.routers.held_out import HeldOutFigures, Rival, Worth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.evaluation.settings.choosing import Trials
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.operating import OperatingPoint

FEWEST_HELD = 5
"""With fewer queries to keep aside, none are."""
FEWEST_KEPT = 20
"""With fewer queries left to fit on, none are kept aside."""
MARGIN = 0.01
"""Accuracy that may be given up to save cost, 0 to 1; as in `doctor`."""
SAVING = 0.7
"""A router that is only as accurate must cost at most this fraction of the single pair's cost; as in `doctor`."""
WORTH = 0.02
"""A gain in accuracy that is worth having; as in `doctor`."""

_HALF = 0.5
_MOSTLY_KNOWN = 0.9
"""Share of the queries whose costs must be known for two costs to be compared."""


def check_share(share: float) -> None:
    """Check the share of the queries that is kept aside.

    Raises:
        SettingError: it is not from 0 to half of them.
    """
    if not 0 <= share <= _HALF:
        raise SettingError(
            f"hold_out is {share!r}; it must be from 0 (nothing is kept aside) to 0.5 (half of all), such as 0.2."
        )


def stratified_parts(
    groups: NDArray[np.int64], domains: Sequence[str], *, n_parts: int, seed: int = 0
) -> NDArray[np.int64]:
    """Distribute queries over parts, those of a group together, each domain evenly; shape [n_queries].

    Args:
        groups: queries with the same number stay together, shape [n_queries].
        domains: domain of each query; a group counts to that of its first.
        n_parts: number of parts.
        seed: seed of the order.
    """
    names, first, members = np.unique(groups, return_index=True, return_counts=True)
    home = np.unique(np.array(domains), return_inverse=True)[1][first]
    sizes, total = np.zeros((int(home.max(initial=0)) + 1, n_parts)), np.zeros(n_parts)
    part = np.zeros(len(names), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(names))
    for number in order[np.argsort(-members[order], kind="stable")]:
        chosen = int(np.lexsort((total, sizes[home[number]]))[0])
        part[number] = chosen
        sizes[home[number], chosen] += members[number]
        total[chosen] += members[number]
    return part[np.searchsorted(names, groups)]


def cross_fitted(
    trials: Trials, chosen: OperatingPoint, choose: Callable[[Trials], int], *, share: float, seed: int = 0
) -> HeldOutFigures | None:
    """Measure a router with its setting, on queries that neither was fitted or chosen on; nothing is fitted again.

    In `trials` every query was answered by routers fitted without it. Its part is kept aside once more, when the
    setting is chosen on the other parts.

    Args:
        trials: the measurements, with their `queries`.
        chosen: the setting that was chosen on all of them.
        choose: returns the index of the setting that would be chosen by other measurements.
        share: share of the queries that is kept aside at a time, above 0 to 0.5.
        seed: seed of the parts and of the resampling.

    Returns:
        The figures; None with too few queries.
    """
    known = trials.queries
    if known is None or len(known.domains) < FEWEST_KEPT + FEWEST_HELD:
        return None
    part = stratified_parts(known.groups, known.domains, n_parts=max(2, round(1 / share)), seed=seed)
    taken = np.full(len(part), len(trials.values), dtype=np.int64)  # the single pair
    for number in np.unique(part) if chosen.always is None else ():
        taken[part == number] = choose(some_queries(trials, np.flatnonzero(part != number)))
    rows = np.arange(len(part))
    return figures_of(
        (trials.score[taken, rows], trials.cost[taken, rows]),
        (trials.single, trials.score[-1], trials.cost[-1]),
        (trials.single, known.hindsight, known.hindsight_cost),
        known.domains,
        latency_s_mean=known_mean(trials.latency[taken, rows]),
        calls_per_query=float(trials.calls[taken, rows].mean()),
        how="cross-fitted",
        share=share,
        settings={
            **chosen.settings,
            "cost_weight": 0.0 if chosen.value_usd is None and chosen.always is None else None,
        },
        estimated=trials.n_effective is not None,
        one_pair=chosen.always is not None,
        seed=seed,
    )


def splits(
    table: OutcomeTable, encoder: Encoder | None, *, share: float, seed: int = 0
) -> list[tuple[list[str], list[str]]]:
    """Return for each part the ids of the queries to fit on, and of those that are kept aside.

    Args:
        table: the outcomes; only queries with a score are kept aside.
        encoder: finds near duplicates, which stay together; without one, only equal texts do.
        share: share of the queries to keep aside, 0 to 0.5.
        seed: seed of the parts.

    Returns:
        Empty with too few queries.
    """
    names = np.array(table.query_ids)
    scored = np.flatnonzero(~np.isnan(table.matrix("score")).all(axis=1))
    if not share or len(scored) * share < FEWEST_HELD or len(scored) * (1 - share) < FEWEST_KEPT:
        return []
    texts = [query.text for query in table.queries]
    links = np.zeros((0, 2), dtype=np.int64) if encoder is None else near_duplicates(encoded(table, encoder))
    groups = grouped(len(texts), links, texts) if len(links) else np.unique(np.array(texts), return_inverse=True)[1]
    domains = [table.domains[row] for row in scored]
    part = stratified_parts(groups[scored], domains, n_parts=max(2, round(1 / share)), seed=seed)
    found = []
    for number in np.unique(part):
        held = np.zeros(len(names), dtype=bool)
        held[scored[part == number]] = True
        found.append((names[~held].tolist(), names[held].tolist()))
    return found


def split(table: OutcomeTable, encoder: Encoder | None, *, share: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return the first of `splits`; nothing is kept aside with too few queries."""
    return next(iter(splits(table, encoder, share=share, seed=seed)), (list(table.query_ids), []))


def judged(router: Router, held: OutcomeTable, *, single: str, share: float, seed: int = 0) -> HeldOutFigures:
    """Measure a router on a part of the queries that it was not fitted on.

    Args:
        router: the router, fitted on the other part.
        held: the outcomes of the part that was kept aside.
        single: the best single pair of the part that it was fitted on.
        share: share of the queries that was kept aside.
        seed: seed of the resampling.

    Raises:
        OutcomeError: no query can be replayed, or the router can't be judged on a log of one pair a query.
    """
    return judged_parts([(router, held, single)], single=single, share=share, seed=seed)


def judged_parts(
    parts: Sequence[tuple[Router, OutcomeTable, str]], *, single: str, share: float, seed: int = 0
) -> HeldOutFigures:
    """Measure routers, each on the part of the queries that it was not fitted on, and join the results.

    Args:
        parts: for each part the router, the outcomes, and the best single pair of the queries that it was fitted on.
        single: the best single pair, to be named.
        share: share of the queries in one part.
        seed: seed of the resampling.

    Raises:
        OutcomeError: see `judged`.
    """
    from langchain_atlas.evaluation.replay.benchmark import evaluate
    from langchain_atlas.evaluation.replay.reference_policies import SinglePairs
    from langchain_atlas.evaluation.settings.words import setting_of, trade_of

    found = [evaluate({"router": router}, held, seed=seed) for router, held, _ in parts]
    pairs = tuple(dict.fromkeys(pair for each in found for pair in each.recorded.pairs))
    every = [each.recorded.with_pairs(pairs) for each in found]
    score, cost = (np.concatenate([getattr(each, name) for each in every]) for name in ("scores", "costs"))
    hindsight = SinglePairs.of(replace(every[0], domains=_joined(parts), scores=score, costs=cost, latencies=cost)).best
    usual = [_column(pairs, name, each.singles.best) for each, (_, _, name) in zip(found, parts, strict=True)]
    mine = [each.runs["router"] for each in found]
    router = parts[0][0]
    return figures_of(
        (np.concatenate([runs.score for runs in mine]), np.concatenate([runs.cost for runs in mine])),
        (
            single,
            np.concatenate([each.scores[:, column] for each, column in zip(every, usual, strict=True)]),
            np.concatenate([each.costs[:, column] for each, column in zip(every, usual, strict=True)]),
        ),
        (str(pairs[hindsight]), score[:, hindsight], cost[:, hindsight]),
        _joined(parts),
        latency_s_mean=known_mean(np.concatenate([runs.latency for runs in mine])),
        calls_per_query=known_mean(np.concatenate([runs.calls for runs in mine])) or 0.0,
        how="part" if len(parts) == 1 else "cross-fitted",
        share=share,
        settings=trade_of(router),
        estimated=found[0].logged is not None,
        one_pair=setting_of(router)["always"] is not None,
        compared=getattr(router, "curve", None) is not None,
        seed=seed,
    )


def _joined(parts: Sequence[tuple[Router, OutcomeTable, str]]) -> tuple[str, ...]:
    return tuple(domain for _, held, _ in parts for domain in held.domains)


def _column(pairs: Sequence[Pair], name: str, otherwise: int) -> int:
    """Return the column of a named pair; another if the part that was kept aside has no outcome of it."""
    return next((column for column, pair in enumerate(pairs) if str(pair) == name), otherwise)


Results = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""Score and dollars of each query."""
Single = tuple[str, "NDArray[np.float64]", "NDArray[np.float64]"]
"""A single pair's name, with the score and dollars of each query."""


def figures_of(
    mine: Results,
    fitted: Single,
    hindsight: Single,
    domains: Sequence[str],
    *,
    one_pair: bool,
    compared: bool = True,
    seed: int,
    **facts: Any,
) -> HeldOutFigures:
    """Return the figures of results on held-out queries.

    Args:
        mine: the router's results.
        fitted: those of the best single pair chosen without these queries.
        hindsight: those of the best single pair on these queries.
        domains: domain of each query.
        one_pair: whether the router sends every query to one pair.
        compared: whether that was chosen among settings, and not for lack of queries to compare them on.
        seed: seed of the resampling.
        facts: the other fields of `HeldOutFigures`.
    """
    score, cost = mine
    there = ~np.isnan(score)
    low, high = accuracy_interval(score, seed=seed)
    rivals = [_rival(mine, single, seed) for single in (fitted, hindsight)]
    verdict, reason = worth(rivals[0], _ratio(cost, fitted[2]), one_pair=one_pair, compared=compared)
    names = np.array(domains)
    return HeldOutFigures(
        n_queries=int(there.sum()),
        accuracy=_share(float(score[there].mean())),
        accuracy_ci95=(_share(low), _share(high)),
        cost_usd_per_1k=_per_thousand(cost),
        cost_known=float((~np.isnan(cost[there])).mean()),
        per_domain={
            name: _share(float(score[there & (names == name)].mean()))
            for name in dict.fromkeys(domains)
            if (there & (names == name)).any()
        },
        fitted_single=rivals[0],
        hindsight_single=rivals[1],
        verdict=verdict,
        reason=reason,
        **facts,
    )


def worth(rival: Rival, ratio: float | None, *, one_pair: bool, compared: bool = True) -> tuple[Worth, str]:
    """Return whether a router is worth it against the pair that one would use instead, and say so in a sentence.

    Args:
        rival: that pair.
        ratio: the router's cost divided by the pair's; None when unknown.
        one_pair: whether the router sends every query to one pair.
        compared: whether that was chosen among settings, and not for lack of queries to compare them on.
    """
    low, high = rival.gain_ci95
    told = f"{100 * rival.gain:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}) to {rival.pair}"
    paid = "at an unknown cost" if ratio is None else f"at {ratio:.0%} of its cost"
    if one_pair and not compared:
        return "too little to say", f"Too little to say: without settings compared, every query goes to {rival.pair}."
    if one_pair:
        return "not worth it", f"Not worth it: the router sends every query to one pair, {rival.pair}."
    if low > 0:
        return "worth it", f"Worth it: {told}, {paid}."
    if low >= -MARGIN and ratio is not None and ratio <= SAVING:
        return "worth it", f"Worth it: as accurate, {told}, {paid}."
    saves = ratio is not None and ratio <= SAVING and high >= -MARGIN
    if high < WORTH and not saves:
        return "not worth it", f"Not worth it: {told}, {paid}."
    return "too little to say", f"Too little to say: {told}, {paid}."


def _rival(mine: Results, single: Single, seed: int) -> Rival:
    name, score, cost = single
    both = ~np.isnan(mine[0]) & ~np.isnan(score)
    apart = paired_difference(mine[0][both], score[both], seed=seed)
    return Rival(
        pair=name,
        accuracy=_share(float(score[both].mean())),
        gain=apart.difference,
        gain_ci95=apart.ci95,
        cost_usd_per_1k=_per_thousand(cost),
    )


def _ratio(cost: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    both = ~np.isnan(cost) & ~np.isnan(other)
    if both.mean() < _MOSTLY_KNOWN:
        return None  # those whose cost is known may be the cheap ones, or the dear ones
    total = float(other[both].sum())
    return float(cost[both].sum()) / total if total > 0 else None


def _per_thousand(cost: NDArray[np.float64]) -> float | None:
    known = known_mean(cost)
    return None if known is None else 1000 * known


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
