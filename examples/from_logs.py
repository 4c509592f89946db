"""From log files to a fitted router: a CSV with thumbs, a LangSmith export and a LiteLLM spend log. Offline.

The logs come with the package and are made up. For your own, change the paths and say which field is which column; a
project is read from LangSmith itself with import_outcomes("langsmith", "project:NAME"). The same in five commands:
docs/logs.md.

Run with: python examples/from_logs.py
"""

from pathlib import Path

from langchain_atlas import ClusterRouter, Query
from langchain_atlas.demo import LOGS
from langchain_atlas.outcomes.importers import Imported, import_outcomes


def told(done: Imported) -> None:
    """Print what came in from a log, and what did not."""
    coverage = done.coverage
    marked = coverage.imported - coverage.missing.get("score", 0)
    print(f"{coverage.kind}: {coverage.imported} outcomes of {coverage.queries} queries, {marked} with a score")
    for problem in coverage.rejected:
        print(f"  left out: {Path(problem.place).name} {problem.reason}")


def main() -> None:
    """Import three logs, fit a router to what has a score, and route two questions."""
    helpdesk = import_outcomes(
        "csv", LOGS / "helpdesk.csv", mapping={"query": "question", "score": "thumbs", "domain": "topic"}
    )
    runs = import_outcomes("langsmith", LOGS / "langsmith_runs.jsonl", mapping={"domain": "extra.metadata.topic"})
    spend = import_outcomes("litellm", LOGS / "litellm_spend_log.json", mapping={"domain": "request_tags.0"})
    for done in (helpdesk, runs, spend):
        told(done)

    table = helpdesk.table.joined(runs.table).joined(spend.table)
    print(f"{table.unmarked} of {len(table)} outcomes have no score yet; 'langchain-atlas score' marks them")

    router = ClusterRouter(n_clusters=2, value_usd=0.01).fit(table.marked())  # a right answer is worth a cent
    for text in ("What is 17 times 23?", "What is the capital of Mali?"):
        decision = router.decide(Query(text=text))
        print(text, "->", decision.pair)


if __name__ == "__main__":
    main()
