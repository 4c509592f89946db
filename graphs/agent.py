"""A ready graph: an agent of LangChain's `create_agent`, whose every model call ATLAS routes.

Served by ``langgraph dev``. The agent's own model answers only where no pair can.
"""

from langchain.agents import create_agent

from langchain_atlas import AtlasMiddleware, ClusterRouter, LazyRouter, LiveExecutor, OutcomeTable, Pool
from langchain_atlas.demo import OUTCOMES, POOL
from langchain_atlas.integrations.messages import AtlasContext

router = LazyRouter(lambda: ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES)))
executor = LiveExecutor(Pool.load(POOL))
graph = create_agent(
    executor.chat_model("smollm2-135m"),
    middleware=[AtlasMiddleware(router, executor)],
    context_schema=AtlasContext,
    name="agent",
)
