"""A router, its decisions, and a LangGraph graph around it; offline, with recorded answers of real models."""

# %% [markdown]
# # A router in a graph
#
# You fit a router on recorded outcomes, look at what it decides and why, check it on questions that it has not
# seen, and put it into a LangGraph graph. No key and no model is needed: the answers are recorded ones of two small
# real models, with and without tools, and come with the package.
#
# ## Outcomes

# %%
from langchain_atlas import OutcomeTable
from langchain_atlas.demo import OUTCOMES, split

table = OutcomeTable.load(OUTCOMES)
seen, unseen = split(table.query_ids)
print(len(table), "outcomes:", len(seen), "questions to learn from,", len(unseen), "kept aside")
for pair in table.pairs:
    print(pair)

# %% [markdown]
# A **pair** is a model with a tool, or with none. A router chooses between pairs, not between models: these two
# models can't calculate alone, and both can with a calculator, though not always.
#
# ## Fit

# %%
from langchain_atlas import ClusterRouter

router = ClusterRouter(cost_weight=0.1).fit(table.select(query_ids=seen))
for cluster in router.clusters_:
    print(cluster.queries, "questions, mostly", cluster.label)

# %% [markdown]
# It has found the kinds of question by itself: nobody told it which is which. `cost_weight=0.1` says that accuracy
# counts for much more than cost; [there are other ways to say it](../settings.md).
#
# ## Decide
#
# `decide` calls nothing. The decision names the pair, and the evidence for it:

# %%
from langchain_atlas import Query

for text in ("What is 38.46 times 27?", "In which year was the lighthouse built?"):
    decision = router.decide(Query(text=text))
    low, high = decision.chosen.interval
    print(text)
    print("  ", decision.pair, f"solves {low:.0%} to {high:.0%} of such questions")
    print("   next best:", decision.runner_up.pair)

# %% [markdown]
# ## Is it any better than one pair for everything?
#
# Replayed on the questions kept aside, by looking up what each pair answered:

# %%
from langchain_atlas.evaluation.replay.benchmark import evaluate

evaluation = evaluate({"router": router}, table.select(query_ids=unseen))
figures = evaluation.to_json()
for name, result in (("router", figures["routers"]["router"]), ("best single", figures["baselines"]["best_single"])):
    print(f"{name:12} {result['accuracy']:.1%} right")
gain = evaluation.compare("router", "best_single")
low, high = gain.ci95
print(f"difference   {100 * gain.difference:.1f} points (95% interval {100 * low:.1f} to {100 * high:.1f})")

# %% [markdown]
# ## In a graph
#
# `AtlasNode` is a node like any other. An **executor** runs what the router decides. In production that is
# `LiveExecutor(pool)`, which calls models through LiteLLM. Here it looks recorded answers up, by the text of the
# question:

# %%
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_atlas import AtlasNode, ExecutorWrapper, Observation, Pair, ReplayExecutor

ids = {query.text: query.id for query in table.queries}


class Recorded(ExecutorWrapper):
    """Looks up recorded answers by the text of the question."""

    def run(self, pair: Pair, query: Query) -> Observation:
        """Return what the pair answered when it was recorded."""
        return super().run(pair, query.replace(id=ids[query.text]))

    async def arun(self, pair: Pair, query: Query) -> Observation:
        """Do the same on an event loop."""
        return await super().arun(pair, query.replace(id=ids[query.text]))


builder = StateGraph(MessagesState)
builder.add_node("atlas", AtlasNode(router, Recorded(ReplayExecutor(table))))
builder.add_edge(START, "atlas")
builder.add_edge("atlas", END)
graph = builder.compile()

question = next(query.text for query in table.queries if query.id == unseen[0])
answer = graph.invoke({"messages": [HumanMessage(question)]})["messages"][-1]
record = answer.response_metadata["atlas"]
print(question, "->", answer.content)
print("by", record["pair"], f"for {record['cost_usd']:.1e} dollars, in {len(record['steps'])} steps")

# %% [markdown]
# The record says which pair answered, why, and what it cost; it is in the message, and in your traces.
#
# ## Where to go next
#
# - With models of your own: write a [pool](../pools.md), then `LiveExecutor(Pool.load("pool.yaml"))` in place of the
#   recorded answers. `pip install 'langchain-atlas[local]'` brings the two small models of this page.
# - [LangGraph](../graphs.md), [agents, chat models and chains](../langchain.md).
# - [Save what is decided, and learn from feedback](router_that_learns.md).
