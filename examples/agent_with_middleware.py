"""An agent of LangChain's `create_agent` whose model and tools ATLAS picks, offline on the embedded models.

The agent's own model is called where no pair can reply. For a hosted provider change the pool: Pool.load("pool.yaml"),
the router: Router.load("router"), and the agent's own model: "litellm:openai/gpt-4o".

Run with: python examples/agent_with_middleware.py
"""

from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel

from langchain_atlas import AtlasMiddleware, ClusterRouter, LiveExecutor, OutcomeTable, Pool
from langchain_atlas.demo import OUTCOMES, POOL


def main() -> None:
    """Make the agent and ask it three things in one conversation."""
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    atlas = AtlasMiddleware(router, LiveExecutor(Pool.load(POOL)))
    own_model = FakeListChatModel(responses=["I don't know."])
    agent = create_agent(own_model, middleware=[atlas])
    for question in (
        "What is 38.46 times 27?",
        "In which year was the lighthouse built?",
        "Name an animal that lives in the sea.",
    ):
        state = agent.invoke({"messages": [("user", question)]})
        print(question, "->", state["messages"][-1].content, f"({state['atlas']['pair']})")


if __name__ == "__main__":
    main()
