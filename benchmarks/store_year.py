"""A year of ten million decisions in a store on PostgreSQL: how long what a store is asked for takes.

The rows are made by the database itself: a decision every three seconds, an outcome of each, a score of each, spread
over eight pairs. Then come the statistics, what the report reads, what a learning router reads when it begins and later
on, and what deletes old rows. The database is one of its own, as the tests have it (Debian's package `postgresql`), and
is removed at the end.

    python benchmarks/store_year.py [--url postgresql://...] [--decisions 10000000]

Run with: make bench-store
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import psycopg
from common import RESULTS, ROOT, Clock, check, show, show_checks, write

from langchain_atlas import Store
from langchain_atlas.outcomes.store.database import checked_url
from langchain_atlas.outcomes.store.reading import latest_written, outcomes_query

if TYPE_CHECKING:
    from collections.abc import Iterator

DECISIONS = 10_000_000
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S
LEARNED = 100_000
SECONDS = 10.0
"""What "within seconds" means, for one question."""
MADE = {
    "atlas_decisions": (
        """id, first_id, turn, decided_at, query_hash, query, domain, model, tool, rule, cluster, propensity,
        expected_success, expected_cost_usd, written_at""",
        """name, name, 0, at, md5(n::text), 'How much is ' || n || ' times ' || n || '?', 'live', 'model-' || n % 4,
        CASE WHEN n % 8 < 4 THEN 'none' ELSE 'search' END, 'nearest-cluster', n % 8, 1, 0.8, 0.001, at""",
    ),
    "atlas_outcomes": (
        """decision_id, recorded_at, response, error, input_tokens, output_tokens, cost_usd, latency_s, model_calls,
        written_at""",
        "name, at + 1, repeat('an answer ', 8), '', 100, 20, 0.001, 1, 1, at + 1",
    ),
    "atlas_scores": (
        "decision_id, source, score, recorded_at, written_at",
        "name, 'feedback', (n * 7919 % 100 < 80)::int, at + 60, at + 60",
    ),
}
"""Columns of each table, and what stands in them for the n-th decision, made at some time."""


def fill(url: str, count: int) -> None:
    """Write a year of decisions that ends now."""
    store = Store(url)
    store.summary()  # makes the tables
    store.close()
    begins, step = time.time() - YEAR_S, YEAR_S / count
    rows = f"""SELECT n, '01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS name, {begins} + n * {step} AS at
        FROM generate_series(0::bigint, {count - 1}) AS n"""  # noqa: S608  # numbers of our own
    plain = str(checked_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    with psycopg.connect(plain, autocommit=True) as connection:
        for table, (columns, values) in MADE.items():
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {values} FROM ({rows}) AS made")  # noqa: S608
            connection.execute(f"VACUUM ANALYZE {table}")


@contextmanager
def address(given: str | None) -> Iterator[str]:
    """Give the address of an empty database: the one that was named, or one of its own."""
    if given is not None:
        yield given
        return
    sys.path.insert(0, str(ROOT / "tests" / "outcomes" / "store"))
    server = import_module("postgres").Postgres()
    try:
        yield server.url("year")
    finally:
        server.remove()


def asked(store: Store, count: int) -> dict[str, tuple[float, Any]]:
    """Return the seconds that each question took, and what came of it."""
    now = time.time()
    found: dict[str, tuple[float, Any]] = {}

    def ask(name: str, question: Any) -> None:
        begin = time.perf_counter()
        came = question()
        found[name] = (time.perf_counter() - begin, came)
        print(f"{name}: {found[name][0]:.2f} s", flush=True)

    def learned(since: float) -> int:
        return len(store.read(outcomes_query(None, scored=True, scores_since=since, answers=False)))

    ask("statistics of each pair, last week", lambda: sum(one.scored for one in store.summary(since=now - 7 * DAY_S)))
    ask("statistics of each pair, whole year", lambda: sum(one.scored for one in store.summary()))
    ask("outcomes of the last day", lambda: len(store.read(outcomes_query(now - DAY_S))))
    begins = min(LEARNED, count)
    ask(f"a learning router begins, latest {begins:,}", lambda: learned(store.read(latest_written(begins))[0][0]))
    ask("what is new in the last minute", lambda: learned(now - 60))
    for name, days in (("an hour", 365 - 1 / 24), ("a week", 358.0), ("eleven months", 30.0)):
        ask(f"deletes {name} of old rows", lambda days=days: store.prune(days=days))
    return found


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--decisions", type=int, default=DECISIONS)
    given, clock = parser.parse_args(), Clock()
    with address(given.url) as url:
        with clock.part("filling"):
            fill(url, given.decisions)
        print(f"{given.decisions:,} decisions written in {clock.seconds['filling']:.0f} s", flush=True)
        store = Store(url)
        with clock.part("asking"):
            found = asked(store, given.decisions)
        store.close()
    show(
        f"{given.decisions:,} decisions on PostgreSQL",
        ("question", "seconds", "rows"),
        [(name, f"{seconds:.2f}", f"{rows:,}") for name, (seconds, rows) in found.items()],
    )
    checks = [check(name, f"{took:.2f} s", passed=took < SECONDS) for name, (took, _) in found.items()]
    show_checks(checks)
    write(RESULTS / "store-year.json", {"decisions": given.decisions, "seconds": found, "checks": checks}, clock)


if __name__ == "__main__":
    main()
