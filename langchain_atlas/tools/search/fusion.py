"""Several rankings made one, by reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.search.snippets import SearchProvider, Snippet

RANK_OFFSET = 60
"""Added to every rank, so that the first place does not outweigh agreement of the rankings; as in the paper."""

DEPTH = 30
"""Snippets of each ranking that are looked at."""


def fuse(rankings: Iterable[Sequence[Snippet]], k: int) -> list[Snippet]:
    """Join rankings whose scores can't be compared.

    Args:
        rankings: each best first.
        k: how many snippets to return at most.

    Returns:
        Snippets by the sum of 1 / (60 + rank) over the rankings that hold them, which is their score. Snippets are the
        same when source, heading and text are; of equal ones the earlier found comes first.
    """
    scores: dict[tuple[str, str, str], float] = {}
    found: dict[tuple[str, str, str], Snippet] = {}
    for ranking in rankings:
        seen = set()
        for rank, snippet in enumerate(ranking, start=1):
            key = (snippet.source, snippet.heading, snippet.text)
            if key in seen:
                continue
            seen.add(key)
            found.setdefault(key, snippet)
            scores[key] = scores.get(key, 0.0) + 1 / (RANK_OFFSET + rank)
    ranked = sorted(scores, key=lambda key: -scores[key])
    return [replace(found[key], score=scores[key]) for key in ranked[:k]]


class FusedSearch:
    """Asks several providers and fuses what they find.

    Args:
        *providers: any providers; one that fails makes the search fail.

    Raises:
        SettingError: there is none.
    """

    name = "fused"

    def __init__(self, *providers: SearchProvider) -> None:
        if not providers:
            raise SettingError("FusedSearch needs at least one provider.")
        self.providers = providers

    def search(self, query: str, k: int = 3) -> list[Snippet]:
        """Return the best snippets of all providers together."""
        return fuse((provider.search(query, max(k, DEPTH)) for provider in self.providers), k)
