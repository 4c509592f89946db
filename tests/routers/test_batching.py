"""Queries that many tasks ask about at a time are decided together, and come back to whoever asked."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from recorded import kinds_of_query

from langchain_atlas import ClusterRouter, Constraints, Pair, Query
from langchain_atlas.errors import ConstraintError
from langchain_atlas.routers import batching
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

QUERIES = [Query(text=f"{kind} {number}") for number in range(30) for kind in ("add", "who wrote book", "sort list")]


class Counting(FakeEncoder):
    """Counts its passes."""

    passes = 0

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        self.passes += 1
        return super()._encode(texts)


def fitted() -> ClusterRouter:
    return ClusterRouter(Counting(), n_clusters=3).fit(kinds_of_query())


async def decide_all(router: ClusterRouter, queries: Sequence[Query]) -> list[object]:
    return list(await asyncio.gather(*(router.adecide(query) for query in queries), return_exceptions=True))


def test_many_tasks_share_passes_of_the_encoder() -> None:
    router = fitted()
    router.encoder.passes = 0  # type: ignore[attr-defined]
    decided = asyncio.run(decide_all(router, QUERIES))
    assert router.encoder.passes <= 6  # type: ignore[attr-defined]  # one by one it would be as many as queries
    assert [item.pair for item in decided] == [router.decide(query).pair for query in QUERIES]  # type: ignore[attr-defined]


def test_a_query_that_cant_be_decided_fails_alone() -> None:
    router = fitted()
    strange = Query(text="add 1", constraints=Constraints(pairs=frozenset({Pair("no", "such")})))
    decided = asyncio.run(decide_all(router, [*QUERIES[:5], strange, *QUERIES[5:10]]))
    assert isinstance(decided[5], ConstraintError)
    del decided[5]
    assert [item.pair for item in decided] == [router.decide(query).pair for query in QUERIES[:10]]  # type: ignore[attr-defined]


def test_a_task_that_is_cancelled_leaves_the_others_alone() -> None:
    router = fitted()

    async def cancel_one() -> list[object]:
        tasks = [asyncio.create_task(router.adecide(query)) for query in QUERIES[:4]]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    decided = asyncio.run(cancel_one())
    assert isinstance(decided[1], asyncio.CancelledError)
    assert decided[3].pair == router.decide(QUERIES[3]).pair  # type: ignore[attr-defined]


def test_routers_of_one_loop_do_not_answer_for_each_other() -> None:
    router = fitted()
    narrow = router.restrict([next(pair for pair in router.pairs if pair != router.decide(QUERIES[0]).pair)])

    async def both() -> tuple[list[object], list[object]]:
        return await asyncio.gather(decide_all(router, QUERIES[:9]), decide_all(narrow, QUERIES[:9]))

    wide, one = asyncio.run(both())
    assert {item.pair for item in one} == set(narrow.pairs)  # type: ignore[attr-defined]
    assert not {item.pair for item in wide} & set(narrow.pairs)  # type: ignore[attr-defined]


def test_nothing_is_kept_of_a_router_that_was_asked() -> None:
    async def ask() -> tuple[int, weakref.ref[ClusterRouter]]:
        router = fitted()
        await router.adecide(QUERIES[0])
        await asyncio.sleep(0)
        return len(batching._gatherings[asyncio.get_running_loop()]), weakref.ref(router)

    kept, router = asyncio.run(ask())
    gc.collect()
    assert (kept, router()) == (0, None)


@pytest.mark.parametrize("count", [1, 2])
def test_a_first_step_alone_is_decided_too(count: int) -> None:
    router = fitted()
    assert len(asyncio.run(decide_all(router, QUERIES[:count]))) == count
