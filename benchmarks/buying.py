"""How many outcomes a router needs, if they are chosen by what they tell: accuracy against outcomes bought.

On every split, the training part stands for what could be profiled. Runs are bought from it as `profile --budget` does,
or at random, or as whole questions at random; a router is fitted to what was bought and replayed on the test part.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from as_it_comes import fitted
from common import RESULTS, ROOT, Clock, check, encoder_for, load, show, show_checks, split, tell, write

from langchain_atlas.evaluation.profiling.chosen_runs import Choosing, ChosenRuns
from langchain_atlas.evaluation.profiling.queries import CheckableQuery
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.files import write_text
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.cluster.router import ClusterRouter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.pool.pool import Pair

TABLES = {"BFCL": "bfcl_pairs.parquet", "reasoning": "reasoning_pairs.parquet"}
SHARES = (0.02, 0.05, 0.1, 0.25, 0.5)
QUARTER = 0.25
CLOSE = 1.0
"""Points that the router of a quarter may be behind the router of all outcomes."""
WAYS = {"chosen": "#2563eb", "random runs": "#b45309", "random questions": "#6b7280"}
BATCH = 64
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 380, 300, 52, 16, 34, 48
INK = "#1f2937"


class Prices:
    """The expected cost of a run: the mean of its pair, as a price list would give it."""

    def __init__(self, table: OutcomeTable) -> None:
        self._mean = dict(zip(table.pairs, np.nanmean(table.matrix("cost_usd"), axis=0).tolist(), strict=True))

    def cost(self, _: CheckableQuery, pair: Pair) -> float:
        """Return dollars."""
        return float(self._mean[pair])


def chosen(table: OutcomeTable, shares: Sequence[float], encoder: Encoder, seed: int) -> list[NDArray[np.bool_]]:
    """Return what `profile` buys of a table, as masks of shape [n_queries, n_pairs], one for each share of it."""
    scores, n_bought = table.matrix("score"), 0
    there, bought, masks = ~np.isnan(scores), np.zeros(scores.shape, dtype=bool), []
    items = [CheckableQuery(query, domain) for query, domain in zip(table.queries, table.domains, strict=True)]
    rows = {item.query.id: row for row, item in enumerate(items)}
    columns = {pair: column for column, pair in enumerate(table.pairs)}

    def needed(item: CheckableQuery, pair: Pair) -> bool:
        return bool(there[rows[item.query.id], columns[pair]])

    runs: Any = ChosenRuns(table.pairs, items, Prices(table), Choosing(encoder=encoder, seed=seed), needed)  # type: ignore[arg-type]
    for share in shares:
        while n_bought < round(share * there.sum()):
            for item, pair in runs.next(min(BATCH, round(share * there.sum()) - n_bought)):
                place = rows[item.query.id], columns[pair]
                bought[place], n_bought = True, n_bought + 1
                told = {"query_id": item.query.id, "model": pair.model, "tool": pair.tool, "score": scores[place]}
                runs.note(told)
        masks.append(bought.copy())
    return masks


def at_random(
    table: OutcomeTable, shares: Sequence[float], seed: int, *, whole_questions: bool
) -> list[NDArray[np.bool_]]:
    """Return as many outcomes, drawn run by run, or question by question with all pairs; see `chosen`."""
    there = ~np.isnan(table.matrix("score"))
    rng = np.random.default_rng(seed + 7)
    if whole_questions:
        rank = np.where(there, rng.permutation(len(there))[:, None] * there.shape[1] + np.arange(there.shape[1]), -1)
    else:
        rank = np.where(there, rng.permutation(there.size).reshape(there.shape), -1)
    order = np.sort(rank[there])
    return [there & (rank < order[min(round(share * len(order)), len(order) - 1)]) for share in shares]


def part_of(table: OutcomeTable, mask: NDArray[np.bool_]) -> OutcomeTable:
    """Return some outcomes of a table."""
    rows = {name: row for row, name in enumerate(table.query_ids)}
    columns = {(pair.model, pair.tool): column for column, pair in enumerate(table.pairs)}
    names = zip(*(table.table[name].to_pylist() for name in ("query_id", "model", "tool")), strict=True)
    kept = [bool(mask[rows[query], columns[model, tool]]) for query, model, tool in names]
    return OutcomeTable(table.table.filter(pa.array(kept)), table.source)


def figures(router: Any, test: OutcomeTable) -> dict[str, Any]:
    """Return what a router does on a test part."""
    runs = evaluate({"router": router}, test, n_bootstrap=2).runs["router"]
    return {"accuracy": 100 * float(np.nanmean(runs.score)), "usd_per_1k": 1000 * float(np.nanmean(runs.cost))}


class Bench:
    """The curve, and what `fit` makes of a quarter as it comes; figures are kept in the file as they come."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.clock = asked, Clock()
        self.tables = {name: load(TABLES[name]) for name in asked.tables}
        tell("encoding")
        self.encoder = encoder_for(*self.tables.values())
        self.figures: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.is_file() else {}

    def masks(self, training: OutcomeTable, shares: Sequence[float], seed: int) -> dict[str, list[NDArray[np.bool_]]]:
        """Return what each way buys."""
        return {
            "chosen": chosen(training, shares, self.encoder, seed),
            "random runs": at_random(training, shares, seed, whole_questions=False),
            "random questions": at_random(training, shares, seed, whole_questions=True),
        }

    def curve(self, name: str) -> None:
        """Accuracy alone, one fit for each point."""
        for seed in range(self.asked.seeds):
            done = self.figures.setdefault("curve", {}).setdefault(name, {})
            if str(seed) in done:
                continue
            training, test = split(self.tables[name], seed)
            with self.clock.part(f"curve {name}"):
                cost, rows = training.matrix("cost_usd"), {}
                for way, masks in self.masks(training, SHARES, seed).items():
                    rows[way] = [
                        self._point(part_of(training, mask), test, seed)
                        | {"share": share, "usd_share": float(np.nansum(cost[mask]) / np.nansum(cost))}
                        for share, mask in zip(SHARES, masks, strict=True)
                    ]
                rows["all"] = [self._point(training, test, seed) | {"share": 1.0, "usd_share": 1.0}]
            done[str(seed)] = rows
            tell(f"  {name} {seed}: " + "; ".join(f"{way} {_listed(points)}" for way, points in rows.items()))
            self.keep()

    def _point(self, training: OutcomeTable, test: OutcomeTable, seed: int) -> dict[str, Any]:
        router = ClusterRouter(self.encoder, random_state=seed).fit(training).configure(cost_weight=0.0)
        return figures(router, test)

    def quarter(self, name: str) -> None:
        """What `fit` makes of a quarter, with nothing else said, beside what it makes of all."""
        for seed in range(self.asked.seeds):
            done = self.figures.setdefault("quarter", {}).setdefault(name, {})
            if str(seed) in done:
                continue
            training, test = split(self.tables[name], seed)
            with self.clock.part(f"quarter {name}"):
                masks = {way: found[0] for way, found in self.masks(training, (QUARTER,), seed).items()}
                del masks["random questions"]  # each fit takes minutes
                masks["all"] = ~np.isnan(training.matrix("score"))
                cost = training.matrix("cost_usd")
                done[str(seed)] = {
                    way: figures(fitted(part_of(training, mask), self.encoder, "cluster", seed), test)
                    | {"usd_share": float(np.nansum(cost[mask]) / np.nansum(cost))}
                    for way, mask in masks.items()
                }
            told = (f"{way} {row['accuracy']:.1f} at ${row['usd_per_1k']:.2g}" for way, row in done[str(seed)].items())
            tell(f"  {name} {seed}, as it comes: " + "; ".join(told))
            self.keep()

    def shown(self) -> None:
        """Print both tables and what must be shown."""
        checks = []
        for name, seeds in self.figures.get("curve", {}).items():
            rows = [
                (f"{way}, {points[number]['share']:.0%}", *_means([one[way][number] for one in seeds.values()]))
                for way, points in next(iter(seeds.values())).items()
                for number in range(len(points))
            ]
            show(f"{name}: accuracy alone", ("bought", "accuracy", "$ / 1000", "share of dollars"), rows)
        for name, seeds in self.figures.get("quarter", {}).items():
            ways = list(next(iter(seeds.values())))
            rows = [(way, *_means([one[way] for one in seeds.values()])) for way in ways]
            show(f"{name}: a quarter, as `fit` comes", ("bought", "accuracy", "$ / 1000", "share of dollars"), rows)
            behind = np.mean([one["chosen"]["accuracy"] - one["all"]["accuracy"] for one in seeds.values()])
            what = f"{name}, {len(seeds)} splits: a quarter, chosen, within {CLOSE} point of all"
            checks.append(check(what, f"{behind:+.2f} points", passed=bool(behind >= -CLOSE)))
        show_checks(checks)

    def keep(self) -> None:
        """Write what is measured so far."""
        self.asked.out.parent.mkdir(parents=True, exist_ok=True)
        self.asked.out.write_text(json.dumps(self.figures, indent=1) + "\n")


def _means(rows: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    mean = {key: float(np.mean([row[key] for row in rows])) for key in ("accuracy", "usd_per_1k", "usd_share")}
    return f"{mean['accuracy']:.1f}", f"{mean['usd_per_1k']:.3g}", f"{mean['usd_share']:.0%}"


def _listed(points: Sequence[dict[str, Any]]) -> str:
    return " ".join(f"{point['accuracy']:.1f}" for point in points)


def picture(curve: dict[str, Any]) -> str:
    """Return the curves as SVG, one panel for each table."""
    shapes = [f'<rect width="{WIDTH * len(curve) + 12}" height="{HEIGHT}" fill="#ffffff"/>']
    for number, (name, seeds) in enumerate(curve.items()):
        shapes.append(f'<g transform="translate({number * WIDTH} 0)">')
        shapes += [*_panel(name, seeds), "</g>"]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(curve) + 12} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, *shapes, "</svg>", ""])


def _panel(name: str, seeds: dict[str, Any]) -> list[str]:
    means = {
        way: [float(np.mean([one[way][number]["accuracy"] for one in seeds.values()])) for number in range(len(points))]
        for way, points in next(iter(seeds.values())).items()
    }
    least, most = min(min(values) for values in means.values()) - 1, max(max(values) for values in means.values()) + 1
    floor, low, high = HEIGHT - BOTTOM, np.log(SHARES[0]), 0.0

    def place(share: float, value: float) -> tuple[float, float]:
        across = (np.log(share) - low) / (high - low)
        up = (value - least) / (most - least)
        return LEFT + across * (WIDTH - LEFT - RIGHT), floor - up * (floor - TOP)

    shapes = [
        _text(LEFT, 18, f"{name}: right answers", "start"),
        f'<path d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}" fill="none" stroke="{INK}"/>',
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "share of all outcomes that was bought", "middle"),
    ]
    for share in (*SHARES, 1.0):
        x, _ = place(share, least)
        shapes += [f'<path d="M{x:.1f} {floor}v5" stroke="{INK}"/>', _text(x, floor + 19, f"{share:.0%}", "middle")]
    step = 2 if most - least > 6 else 1  # noqa: PLR2004
    for percent in range(int(np.ceil(least)), int(most) + 1, step):
        _, y = place(1.0, percent)
        shapes += [f'<path d="M{LEFT} {y:.1f}h-5" stroke="{INK}"/>', _text(LEFT - 8, y + 4, f"{percent}%", "end")]
    _, y = place(1.0, means["all"][0])
    shapes.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{INK}" stroke-dasharray="4 4"/>')
    shapes.append(_text(LEFT + 6, y - 5, "all outcomes", "start"))
    for number, (way, colour) in enumerate(WAYS.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*pair) for pair in zip(SHARES, means[way], strict=True)))
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        shapes.append(_text(WIDTH - RIGHT - 4, floor - 44 + 16 * number, way, "end", colour))
    return shapes


def _text(x: float, y: float, text: str, anchor: str, colour: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def main() -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=5, help="splits (default %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=("curve", "quarter"), default=["curve", "quarter"])
    parser.add_argument("--out", type=Path, default=RESULTS / "buying.json", help="figures; continued where they are")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "buying.svg")
    asked = parser.parse_args()
    bench = Bench(asked)
    for name in asked.tables:
        for part in asked.parts:
            getattr(bench, part)(name)
    bench.shown()
    if bench.figures.get("curve"):
        write_text(asked.picture, picture(bench.figures["curve"]))
    write(asked.out, bench.figures, bench.clock)


if __name__ == "__main__":
    main()
