"""A ready graph: the demo's questions, routed to a pair of the embedded models and answered.

Served by ``langgraph dev``. The pool, the experience and the models are those of ``langchain-atlas demo``; to serve
your own, use `Router.load` and `Pool.load`. The router is fitted when the first question comes.
"""

from langchain_atlas import ClusterRouter, LazyRouter, LiveExecutor, OutcomeTable, Pool, create_atlas_graph
from langchain_atlas.demo import OUTCOMES, POOL

router = LazyRouter(lambda: ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES)))
graph = create_atlas_graph(router, LiveExecutor(Pool.load(POOL))).compile(name="atlas")
