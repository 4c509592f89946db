"""ATLAS as a chat model: `ChatAtlas` routes every request. Offline on the embedded models.

For a hosted provider change the pool: Pool.load("pool.yaml"), and the router: Router.load("router").

Run with: python examples/chat_model.py
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_atlas import ChatAtlas, ClusterRouter, LiveExecutor, OutcomeTable, Pool
from langchain_atlas.demo import OUTCOMES, POOL


def main() -> None:
    """Use it alone, and in a chain; then stream."""
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))
    chat = ChatAtlas(router=router, executor=LiveExecutor(Pool.load(POOL)))

    reply = chat.invoke("What is 38.46 times 27?")
    print("What is 38.46 times 27? ->", reply.content, f"({reply.response_metadata['atlas']['pair']})")

    chain = ChatPromptTemplate.from_template("In which year was the {thing} built?") | chat | StrOutputParser()
    for thing, year in zip(
        ("lighthouse", "library"), chain.batch([{"thing": "lighthouse"}, {"thing": "library"}]), strict=True
    ):
        print(f"In which year was the {thing} built? ->", year)

    print("Name an animal that lives in the sea. -> ", end="")
    for chunk in chat.stream("Name an animal that lives in the sea.", max_tokens=12):
        print(chunk.content, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
