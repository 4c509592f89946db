"""ATLAS as steps of a chain: `router | executor`, and the whole loop as one step. Offline on the embedded models.

For a hosted provider change the pool: Pool.load("pool.yaml"), and the router: Router.load("router").

Run with: python examples/chain.py
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate

from langchain_atlas import AtlasChain, ClusterRouter, LiveExecutor, OutcomeTable, Pool
from langchain_atlas.demo import OUTCOMES, POOL


def main() -> None:
    """Call a pipe once, then a cheaper one with a fallback, and then the loop inside a longer chain."""
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    executor = LiveExecutor(Pool.load(POOL))

    once = router | executor
    seen = once.invoke("What is 38.46 times 27?")
    print("What is 38.46 times 27? ->", seen.answer, f"({seen.pair}, ${seen.cost_usd:.2g})")

    cheap = once.with_config(configurable={"cost_weight": 1.0}).with_fallbacks([once])
    seen = cheap.invoke("In which country does the Eiffel Tower stand?")
    print("In which country does the Eiffel Tower stand? ->", seen.answer, f"({seen.pair}, ${seen.cost_usd:.2g})")

    question = PromptTemplate.from_template("In which year was the {thing} built?")
    chain = question | AtlasChain(router, executor) | StrOutputParser()
    print("In which year was the lighthouse built? ->", chain.invoke({"thing": "lighthouse"}))


if __name__ == "__main__":
    main()
