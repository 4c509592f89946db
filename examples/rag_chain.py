"""A RAG chain: your retriever is one of the tools, and ATLAS says which questions need it. Offline.

A question about the town is looked up, a calculation is worked out, and the rest a model answers by itself. For a
hosted provider change the pool's models: Model(name="mini", litellm="openai/gpt-4o-mini"), and fit a router on
outcomes of it.

Run with: python examples/rag_chain.py
"""

from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_atlas import (
    AtlasNode,
    ClusterRouter,
    LiveExecutor,
    OutcomeTable,
    Pool,
    SentenceTransformerEncoder,
    Tool,
)
from langchain_atlas.demo import FOLDER, OUTCOMES, POOL


class MiniLM(Embeddings):
    """The encoder that the router uses, as LangChain embeddings."""

    def __init__(self) -> None:
        self.encoder = SentenceTransformerEncoder()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed passages."""
        return self.encoder.encode(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Embed a question."""
        return self.embed_documents([text])[0]


def passages() -> list[Document]:
    """Read the paragraphs of the documents about the town."""
    files = sorted((FOLDER / "documents").glob("*.md"))
    return [
        Document(paragraph, metadata={"source": file.name})
        for file in files
        for paragraph in file.read_text(encoding="utf-8").split("\n\n")
        if not paragraph.startswith("#")
    ]


def main() -> None:
    """Build the chain and ask it three things."""
    retriever = InMemoryVectorStore.from_documents(passages(), MiniLM()).as_retriever(search_kwargs={"k": 3})
    demo = Pool.load(POOL)
    search = Tool.from_retriever(
        retriever,
        name="search",
        description="Finds paragraphs about the harbour town.",
        invocation="grounded",
        settings=demo.tool("search").settings,
    )
    pool = Pool(models=demo.models, tools=(*(tool for tool in demo.tools if tool.name != "search"), search))
    router = ClusterRouter(cost_weight=0.1).fit(OutcomeTable.load(OUTCOMES))

    def ask(question: str) -> dict[str, Any]:
        return {"messages": [("user", question)]}

    def tell(update: dict[str, Any]) -> str:
        return f"{update['messages'][-1].content} ({update['atlas']['pair']})"

    chain = RunnableLambda(ask) | AtlasNode(router, LiveExecutor(pool)) | RunnableLambda(tell)
    questions = [
        "In which year was the lighthouse built?",
        "What is 38.46 times 27?",
        "Name an animal that lives in the sea.",
    ]
    for question, answer in zip(questions, chain.batch(questions), strict=True):
        print(question, "->", answer)


if __name__ == "__main__":
    main()
