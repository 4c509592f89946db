"""Keep decisions and feedback in a store, and learn from them; offline."""

# %% [markdown]
# # A router that learns from feedback
#
# You keep what was decided and what people thought of the answers in a database, and fit a router on it. So the
# table of outcomes grows while you serve. Needs `pip install 'langchain-atlas[store]'`.

# %% hidden
import os
import tempfile

os.chdir(tempfile.mkdtemp())

# %% [markdown]
# ## Start with one pair
#
# Nothing is known yet, so the first router draws pairs at random. The models here are made up, and answer by a
# rule: `small` can't calculate. With models of your own, the executor is `LiveExecutor(Pool.load("pool.yaml"))`.

# %%
from langchain_atlas import Executor, Observation, Pair, Query, Store, solve
from langchain_atlas.routers.baselines import RandomRouter

SMALL, LARGE = Pair("small"), Pair("large")


class MadeUp(Executor):
    """Two models that are not there: the small one is cheap, and can't calculate."""

    pairs = (SMALL, LARGE)

    def run(self, pair: Pair, query: Query) -> Observation:
        """Answer by a rule."""
        wrong = pair == SMALL and "times" in query.text
        return Observation(pair=pair, answer="wrong" if wrong else "right", cost_usd=0.001 if pair == SMALL else 0.01)


router = RandomRouter((SMALL, LARGE), seed=0)
executor, store = MadeUp(), Store("sqlite:///atlas.db")

# %% [markdown]
# ## Answer, and keep what people say
#
# `store=` is all it takes, here and in [every integration](../store.md). Each call has an id, under which a score
# is recorded: a thumb, or a judge's mark, also much later and from another process.

# %%
texts = [f"What is {n} times {n + 7}?" for n in range(40)] + [
    f"Say hello to guest {n} of room {n + 7}." for n in range(40)
]
for text in texts:
    trajectory = solve(Query(text=text), router, executor, store=store)
    call = trajectory.steps[0].decision
    store.record(call.id, score=1.0 if trajectory.answer == "right" else 0.0)

store.flush()
for one in store.summary():
    print(one.pair, f"{one.scored} scored, {one.mean_score:.0%} right, {one.cost_usd:.3f} dollars")

# %% [markdown]
# ## Learn from it
#
# The store reads like any outcome table, in Python and in every command (`--data sqlite:///atlas.db`):

# %%
from langchain_atlas import ClusterRouter

learned = ClusterRouter(n_clusters=2, value_usd=0.02).fit(store.table())
for text in ("What is 91 times 12?", "Say hello to guest 99 of room 3."):
    print(text, "->", learned.decide(Query(text=text)).pair)

# %% [markdown]
# Each question was answered by one pair only, as in real logs. How far such figures can be trusted, and how a
# random router helps: [Estimates](../estimates.md).
#
# ## Where to go next
#
# - `LearningRouter` follows a store while it serves: [The store](../store.md).
# - Try a new router beside the old one before you switch: [Trying a new router](../shadow.md).
