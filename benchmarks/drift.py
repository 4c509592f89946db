"""A simulated year: what drift costs, what learning gets back, how soon it is found, and how many alarms are false.

Recorded outcomes are replayed, 100 queries a week. A router is fitted on half of the domains and one model too few.
Then three things happen, at known times: the other domains come and one leaves; the model that is used most becomes
worse; the missing model joins, with its predecessor's record (the model used most) and 30 probes of each pair. Three
routers live through it: one that never learns, one that follows the store (`LearningRouter`), and, as what could be
had, one that is fitted anew on complete outcomes of every query whenever something has happened. Accuracies are
exact: those of a third of the queries, of the week's domains, that no router ever learns from.

The alarms are those of `DriftMonitor` on the first router's queries; years without drift are replayed the same way.

Run with: make bench-drift
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Clock, check, encoder_for, load, options, points, show, show_checks, write

from langchain_atlas import ClusterRouter, LearningRouter, OutcomeTable, Pair, Store
from langchain_atlas.files import write_text
from langchain_atlas.outcomes.store.database import Database, checked_url
from langchain_atlas.outcomes.store.rows import query_hash
from langchain_atlas.routers.cluster.placing import placed
from langchain_atlas.routers.drift.monitor import DriftMonitor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes.store.rows import Row
    from langchain_atlas.routers.drift.events import DriftEvent

WEEKS, A_WEEK = 52, 100
DOMAINS_COME, WORSE, JOINS = 10, 22, 36
"""Weeks at which something happens."""
LEFT_OVER = 0.5
"""Share of its right answers that the model that becomes worse still gives."""
FARTHER = 0.1
"""Rise of the share of far queries that is to be found."""
PROBES = 30
REFIT_EVERY = 16
"""Weeks after which the router that learns is fitted anew, on what it was fitted on and all that it has seen."""
YEARS = 100
QUERIES_PER_FALSE_ALARM = 100_000
HALF_LIFE_DAYS = 60.0
FOUND_WITHIN = {"distance": 100, "success": 100}
"""Queries within which an alarm is to be raised in nine of ten years, by kind."""
HOSTED = re.compile(
    r"gpt-|claude-3|mistral-large-2407|mistral-small-2402|open-mistral-nemo-2407|open-mixtral-8x22b|command-r-plus"
)
PHASES = ((0, DOMAINS_COME), (DOMAINS_COME, WORSE), (WORSE, JOINS), (JOINS, WEEKS))
WEEK_S = 7 * 86_400.0
LAST = 4
DRIFTING = 20
LOWEST = 0.35
COLOURS = ("#c05621", "#2b6cb0", "#2f855a")


@dataclass(frozen=True)
class World:
    """What can be asked, and what comes of it, at some time."""

    table: OutcomeTable
    """All queries, with the outcomes as recorded."""
    train: NDArray[np.int64]
    """Rows that routers may be fitted on."""
    live: NDArray[np.int64]
    """Rows that come, and are learned from."""
    test: NDArray[np.int64]
    """Rows of the same kind that accuracies are measured on."""
    early: frozenset[str]
    """Domains of the first weeks."""
    leaves: str
    """The domain that leaves."""
    joins: str
    """The model that joins later."""
    worse: str
    """The model that becomes worse; empty until it is known."""

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """The recorded scores, shape [n_queries, n_pairs]."""
        return self.table.matrix("score")

    def chances(self, week: int) -> NDArray[np.float64]:
        """Return the chance that each pair is right on each query, shape [n_queries, n_pairs]."""
        is_worse = np.array([pair.model == self.worse for pair in self.table.pairs])
        return self.scores * np.where(is_worse & (week >= WORSE), LEFT_OVER, 1.0)

    def pairs(self, week: int) -> list[Pair]:
        """Return the pairs that there are."""
        return [pair for pair in self.table.pairs if week >= JOINS or pair.model != self.joins]

    def coming(self, rows: NDArray[np.int64], week: int) -> NDArray[np.int64]:
        """Return those of some rows that are of the domains of a week."""
        domains = np.array(self.table.domains)
        now = np.isin(domains, list(self.early)) if week < DOMAINS_COME else domains != self.leaves
        return rows[now[rows]]

    def outcomes(self, rows: NDArray[np.int64], week: int, seed: int) -> OutcomeTable:
        """Return complete outcomes of some rows as they are in a week, of the pairs that there are."""
        names = np.array(self.table.query_ids)[rows].tolist()
        part = self.table.select(query_ids=names, pairs=self.pairs(week))
        rng, is_worse = np.random.default_rng(seed), week >= WORSE
        rows_of = [
            {**each, "score": each["score"] * float(rng.random() < LEFT_OVER)}
            if is_worse and each["model"] == self.worse and each["score"] is not None
            else each
            for each in part.table.to_pylist()
        ]
        return OutcomeTable.from_rows(rows_of)


def world_of(table: OutcomeTable) -> World:
    """Return the beginning: half of the domains, and without the model of the best pair but one."""
    train, live, test = np.array_split(np.random.default_rng(0).permutation(len(table.query_ids)), 3)
    domains = list(dict.fromkeys(table.domains))
    early = domains[: max(2, len(domains) // 2)]
    best = np.nanmean(table.matrix("score"), axis=0).argsort()[::-1]
    models = list(dict.fromkeys(table.pairs[at].model for at in best))
    return World(table, train, live, test, frozenset(early), early[0], models[1], "")


def decided(router: Any, table: OutcomeTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the column of the pair that each query goes to, shape [n_rows]."""
    columns = {pair: at for at, pair in enumerate(table.pairs)}
    decisions = router.decide_batch([table.queries[at] for at in rows])
    return np.array([columns[decision.pair] for decision in decisions])


def informed(world: World, encoder: Encoder, week: int) -> ClusterRouter:
    """Return a router that is fitted on complete outcomes, as they are in a week."""
    rows = world.train if week < DOMAINS_COME else np.concatenate([world.train, world.live])
    if week < DOMAINS_COME:
        rows = rows[np.isin(np.array(world.table.domains)[rows], list(world.early))]
    return ClusterRouter(encoder, cost_weight=0.0).fit(world.outcomes(rows, week, week))


def stored(world: World, rows: NDArray[np.int64], columns: NDArray[np.int64], week: int, seed: int) -> list[Row]:
    """Return the rows of a store for some queries of a week and the pairs that they went to."""
    rng, chances, kept = np.random.default_rng(seed), world.chances(week), []
    for number, (at, column) in enumerate(zip(rows, columns, strict=True)):
        query, pair = world.table.queries[at], world.table.pairs[column]
        name, when = f"{seed}-{week}-{number}", week * WEEK_S + number
        decision = {"id": name, "first_id": name, "turn": 0, "decided_at": when, "query": query.text, "input": None}
        decision |= {"query_hash": query_hash(query.text, query.context), "context": query.context, "domain": "live"}
        decision |= {"model": pair.model, "tool": pair.tool, "rule": "", "cluster": None, "propensity": 1.0}
        decision |= {"expected_success": None, "expected_cost_usd": None}
        outcome = {"decision_id": name, "recorded_at": when, "response": None, "error": "", "input_tokens": None}
        outcome |= {"output_tokens": None, "cost_usd": None, "latency_s": None, "model_calls": 1}
        score = {"decision_id": name, "source": "exact", "score": float(rng.random() < chances[at, column])}
        score |= {"confidence": None, "recorded_at": when}
        kept += [("atlas_decisions", decision), ("atlas_outcomes", outcome), ("atlas_scores", score)]
    return kept


class Lives:
    """Three routers that live through a year, and what they are right on."""

    def __init__(self, world: World, static: ClusterRouter, encoder: Encoder) -> None:
        self.world, self.encoder, self.static = world, encoder, static
        self.best = static
        self.curves: dict[str, list[float]] = {"never learns": [], "learns": [], "fitted anew": []}
        self.fixed = {name: self.everywhere(static) for name in ("never learns", "fitted anew")}

    def everywhere(self, router: Any) -> NDArray[np.int64]:
        """Return the column of the pair that each query goes to; 0 for the training part; shape [n_queries]."""
        columns = np.zeros(len(self.world.scores), dtype=np.int64)
        rows = np.concatenate([self.world.live, self.world.test])
        columns[rows] = decided(router, self.world.table, rows)
        return columns

    def accuracy(self, columns: NDArray[np.int64], week: int) -> float:
        """Return the accuracy on all test queries of a week's domains."""
        rows = self.world.coming(self.world.test, week)
        return float(self.world.chances(week)[rows, columns[rows]].mean())

    def live(self, clock: Clock) -> dict[str, Any]:
        """Return the accuracies of the year, week by week, and that of a router fitted on all that was recorded."""
        rng = np.random.default_rng(1)
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / 'atlas.db'}"
            database, store = Database(checked_url(url)), Store(url)
            learning = LearningRouter(self.static, store, half_life_days=HALF_LIFE_DAYS, every_s=3600)
            for week in range(WEEKS):
                if week in (DOMAINS_COME, WORSE, JOINS):
                    with clock.part("fitting"):
                        self.fixed["fitted anew"] = self.everywhere(informed(self.world, self.encoder, week))
                with clock.part("living"):
                    if week == JOINS:
                        join(learning, self.world, database, week)
                    columns = {**self.fixed, "learns": self.everywhere(learning)}
                    for name, curve in self.curves.items():
                        curve.append(self.accuracy(columns[name], week))
                    rows = rng.choice(self.world.coming(self.world.live, week), A_WEEK)
                    database.write(stored(self.world, rows, columns["learns"][rows], week, 0))
                    learning.refresh(now=(week + 1) * WEEK_S)
                if week % REFIT_EVERY == REFIT_EVERY - 1:
                    with clock.part("fitting"):
                        learning.refit(self.first(), now=(week + 1) * WEEK_S)
            with clock.part("fitting"):
                again = self.refitted(store)
            learning.close()
            store.close()
            database.close()
        return {"curves": self.curves, "refitted": again}

    def refitted(self, store: Store) -> float:
        """Return the last weeks' accuracy of a router fitted on the first outcomes and all that was recorded since."""
        since = store.table(each_apart=True).table.to_pylist()
        everything = OutcomeTable.from_rows([*self.first().table.to_pylist(), *since])
        router = ClusterRouter(self.encoder, cost_weight=0.0).fit(everything)
        return self.accuracy(self.everywhere(router), WEEKS - 1)

    def first(self) -> OutcomeTable:
        """Return what the routers were fitted on at first."""
        rows, domains = self.world.train, np.array(self.world.table.domains)
        return self.world.outcomes(rows[np.isin(domains[rows], list(self.world.early))], 0, 0)


def join(router: LearningRouter, world: World, database: Database, week: int) -> None:
    """Tell a router of the new model: the record of the model used most so far, and a few probes."""
    known: Any = router.router
    new = [pair for pair in world.table.pairs if pair.model == world.joins]
    like = [pair for pair in known.pairs if pair.tool in {each.tool for each in new}]
    outcomes = dict(zip(known.pairs, known.statistics_.outcomes, strict=True))
    router.inherit(new, predecessors={world.joins: max(like, key=lambda pair: outcomes[pair]).model})
    rows = np.random.default_rng(week).choice(world.coming(world.live, week), PROBES)
    for number, pair in enumerate(new):
        columns = np.full(PROBES, world.table.pairs.index(pair))
        database.write(stored(world, rows, columns, week, 1000 + number))
    router.refresh(now=week * WEEK_S)


class Alarms:
    """The alarms on the queries of a router that never learns."""

    def __init__(self, world: World, router: ClusterRouter) -> None:
        self.world, count = world, len(world.scores)
        self.columns, self.clusters, self.far = np.zeros((3, count), dtype=np.int64)
        rows = world.live
        self.columns[rows] = decided(router, world.table, rows)
        self.clusters[rows], self.far[rows] = placed(router, [world.table.queries[at] for at in rows])

    def year(self, seed: int, *, drifts: bool) -> list[tuple[int, DriftEvent]]:
        """Return the events of a year, each with the number of queries before it."""
        rng, monitor, found = np.random.default_rng(seed), DriftMonitor(QUERIES_PER_FALSE_ALARM), []
        for week in range(WEEKS):
            now = week if drifts else 0
            chances = self.world.chances(now)
            for number, row in enumerate(rng.choice(self.world.coming(self.world.live, now), A_WEEK)):
                pair, at = self.world.table.pairs[self.columns[row]], float(week * A_WEEK + number)
                right = float(rng.random() < chances[row, self.columns[row]])
                events = monitor.decided(pair, far=bool(self.far[row]), at=at)
                events += monitor.scored(pair, int(self.clusters[row]), right, at=at)
                found += [(int(at), event) for event in events]
        return found

    def delays(self, seeds: Sequence[int]) -> dict[str, list[int | None]]:
        """Return how many queries after its cause each year's first alarm came, by kind; None for never."""
        delays: dict[str, list[int | None]] = {"distance": [], "success": []}
        for seed in seeds:
            found = self.year(seed, drifts=True)
            for kind, week in (("distance", DOMAINS_COME), ("success", WORSE)):
                after = [
                    at - week * A_WEEK
                    for at, event in found
                    if event.kind == kind
                    and at >= week * A_WEEK
                    and (kind != "success" or (event.pair is not None and event.pair.model == self.world.worse))
                    and (kind != "success" or event.now < event.before)
                ]
                delays[kind].append(after[0] if after else None)
        return delays


def used_most(world: World, router: ClusterRouter) -> str:
    """Return the model to which most queries go."""
    columns = decided(router, world.table, world.live)
    return str(Counter(world.table.pairs[at].model for at in columns).most_common(1)[0][0])


def bfcl() -> OutcomeTable:
    """Return BFCL's outcomes of its main pool: models with more than one interface that are not self-hosted."""
    table = load("bfcl_pairs.parquet")
    interfaces = Counter(pair.model for pair in table.pairs)
    return table.select(pairs=[pair for pair in table.pairs if interfaces[pair.model] > 1 and HOSTED.match(pair.model)])


def reasoning() -> OutcomeTable:
    """Return the outcomes on reasoning, but for the domain whose records are incomplete."""
    table = load("reasoning_pairs.parquet")
    return table.select(domains=[name for name in dict.fromkeys(table.domains) if name != "StrategyQA"])


def regret(curves: Mapping[str, Sequence[float]], name: str) -> float:
    """Return the right answers that a router lacks over the year against the one that is fitted anew."""
    return float(A_WEEK * (np.array(curves["fitted anew"]) - np.array(curves[name])).sum())


def studied(name: str, table: OutcomeTable, encoder: Encoder, years: int, clock: Clock) -> dict[str, Any]:
    """Return the figures and the checks of a table."""
    world = world_of(table)
    with clock.part("fitting"):
        static = informed(world, encoder, 0)
    world = replace(world, worse=used_most(world, static))
    lived = Lives(world, static, encoder).live(clock)
    alarms = Alarms(world, static)
    with clock.part("alarms"):
        delays = alarms.delays(range(DRIFTING))
        false = sum(len(alarms.year(10_000 + seed, drifts=False)) for seed in range(years))
    curves = lived["curves"]
    last = {router: float(np.mean(curve[-LAST:])) for router, curve in curves.items()}
    checks = [
        check(
            f"{name}: learning ends within 1 point of a router fitted on all that was recorded",
            f"{points(last['learns'])} against {points(lived['refitted'])}",
            passed=last["learns"] >= lived["refitted"] - 0.01,
        ),
        check(
            f"{name}: the same, of a router fitted on complete outcomes, of every pair on every query",
            f"{points(last['learns'])} against {points(last['fitted anew'])}",
            passed=last["learns"] >= last["fitted anew"] - 0.01,
        ),
        check(
            f"{name}: false alarms in {years} years without drift, at most {allowed(years):.1f} expected",
            str(false),
            passed=false <= allowed(years),
        ),
    ]
    far = [float(alarms.far[world.coming(world.live, week)].mean()) for week in (0, DOMAINS_COME)]
    for kind, within in FOUND_WITHIN.items():
        if kind == "distance" and far[1] < far[0] + FARTHER:
            continue  # the domains that come are no farther from the training data
        in_time = sum(delay is not None and delay <= within for delay in delays[kind])
        known = sorted(delay for delay in delays[kind] if delay is not None)
        checks.append(
            check(
                f"{name}: {kind} alarm within {within} queries in nine of ten years",
                f"{in_time} of {DRIFTING}, median {known[len(known) // 2] if known else 'never'}",
                passed=in_time >= 0.9 * DRIFTING,
            )
        )
    print(f"{name}: share of queries far from the training data: {far[0]:.0%} at first, {far[1]:.0%} once domains come")
    show(
        f"{name}: accuracy, by what had happened; {world.worse} becomes worse, {world.joins} joins",
        ("router", "at first", "domains come", "becomes worse", "joins", "last weeks", "right answers lost"),
        [
            (router, *(points(float(np.mean(curve[a:b]))) for a, b in PHASES), points(last[router]), f"{lost:.0f}")
            for router, curve in curves.items()
            for lost in [regret(curves, router)]
        ],
    )
    figures = {"worse": world.worse, "joins": world.joins, "delays": delays, "false_alarms": false, "far": far}
    return {**lived, **figures, "checks": checks}


def allowed(years: int) -> float:
    """Return the expected number of false alarms, at most."""
    return years * WEEKS * A_WEEK / QUERIES_PER_FALSE_ALARM


def picture(figures: Mapping[str, Any]) -> str:
    """Return the curves of all tables as an SVG, one panel each."""
    width, height, left, top = 640, 200, 44, 26
    parts = []
    for panel, (name, study) in enumerate(figures.items()):
        begins = panel * (height + top)

        def x(week: int) -> float:
            return left + week * (width - left - 8) / (WEEKS - 1)

        def y(share: float, begins: int = begins) -> float:
            return begins + top + (1 - share) / (1 - LOWEST) * (height - top)

        parts.append(f'<text x="{left}" y="{begins + 16}">{name}: accuracy, week by week</text>')
        for tick in (1.0, 0.8, 0.6, 0.4):
            parts.append(f'<path d="M{left} {y(tick):.0f}H{width}" stroke="#8886"/>')
            parts.append(f'<text x="{left - 6}" y="{y(tick) + 4:.0f}" text-anchor="end">{tick:.0%}</text>')
        for week, said in ((DOMAINS_COME, "domains come"), (WORSE, "a model gets worse"), (JOINS, "a model joins")):
            parts.append(f'<path d="M{x(week):.0f} {y(1):.0f}V{y(LOWEST):.0f}" stroke="#888a" stroke-dasharray="3"/>')
            parts.append(f'<text x="{x(week) + 4:.0f}" y="{y(LOWEST) - 4:.0f}">{said}</text>')
        for at, (router, curve) in enumerate(study["curves"].items()):
            points_of = "L".join(f"{x(week):.1f} {y(share):.1f}" for week, share in enumerate(curve))
            parts.append(f'<path d="M{points_of}" fill="none" stroke="{COLOURS[at]}" stroke-width="2"/>')
            parts.append(f'<text x="{left + 230 + 130 * at}" y="{begins + 16}" fill="{COLOURS[at]}">{router}</text>')
    size = f'viewBox="0 0 {width} {len(figures) * (height + top) + 8}" width="{width}"'
    style = 'font-family="sans-serif" font-size="12" fill="#777"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(parts)}</svg>\n'


def main() -> None:
    """Run the benchmark."""
    given = options("drift", str(__doc__), seeds=YEARS)
    clock, figures = Clock(), {}
    tables = {"bfcl": bfcl(), "reasoning": reasoning()}
    with clock.part("encoding"):
        encoder = encoder_for(*tables.values())
    for name, table in tables.items():
        figures[name] = studied(name, table, encoder, len(given.seeds), clock)
    write_text(given.out.with_suffix(".svg"), picture(figures))
    show_checks([each for study in figures.values() for each in study["checks"]])
    write(given.out, figures, clock)


if __name__ == "__main__":
    main()
