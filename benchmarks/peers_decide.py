"""Ask other routers which route each query takes. Runs in the environment of the peers, see `peers.py`.

Reads a folder: task.json (tiers, cheapest first, as columns; texts and scores of the training part; texts of the test
part) and vectors.npz (vectors of both). Writes answers.json: by router, the pair of each test query and the seconds of
a decision, or why it could not be run.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OPENAI_API_KEY", "not-used")  # RouteLLM makes a client when it is imported

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = dict[str, Any]
TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")
STRONG, WEAK = "gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"
"""The names that RouteLLM knows; here they stand for the pairs of the highest and the lowest tier."""


class Task:
    """What is asked."""

    def __init__(self, folder: Path) -> None:
        task, vectors = json.loads((folder / "task.json").read_text()), np.load(folder / "vectors.npz")
        self.tiers: list[int] = task["tiers"]
        self.training: list[str] = task["training"]
        self.test: list[str] = task["test"]
        self.contexts: list[str | None] = task["contexts"]
        self.scores = np.array(task["scores"], dtype=float)
        self.cost: list[float] = task["cost"]
        self.vector = dict(zip(self.training, vectors["training"], strict=True))
        self.vector |= dict(zip(self.test, vectors["test"], strict=True))

    @property
    def both(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the strong and the weak pair on the training part, where both are recorded; and where."""
        pair = self.scores[:, [self.tiers[-1], self.tiers[0]]]
        return pair, np.flatnonzero(~np.isnan(pair).any(axis=1))


def timed(task: Task, decide: Callable[[str, str | None], int]) -> Answer:
    """Decide every test query."""
    start = time.perf_counter()
    chosen = [int(decide(text, context)) for text, context in zip(task.test, task.contexts, strict=True)]
    return {"chosen": chosen, "seconds": (time.perf_counter() - start) / len(chosen)}


def litellm_complexity(task: Task) -> Answer:
    """Classify by LiteLLM's own rules, with a model for each of its four tiers."""
    import litellm
    from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter

    models = [
        {"model_name": tier, "litellm_params": {"model": f"openai/{tier}", "api_key": "not-used"}} for tier in TIERS
    ]
    config = {"tiers": {tier: tier for tier in TIERS}}
    router = ComplexityRouter("smart", litellm.Router(model_list=models), config)  # type: ignore[attr-defined]

    def decide(text: str, context: str | None) -> int:
        tier, _, _ = router.classify(text, context)
        return task.tiers[TIERS.index(router.get_model_for_tier(tier))]

    return timed(task, decide)


def model_router(task: Task, strategy: Any) -> Answer:
    """Have a strategy of langchain-model-router decide between the lowest and the highest tier."""
    from langchain_model_router import RoutingRequest

    def decide(text: str, _: str | None) -> int:
        block: Any = {"type": "text", "text": text}
        choice = strategy.decide(RoutingRequest(text, [block], frozenset({"text"}), ("weak", "strong"), False))
        name = getattr(choice, "route", choice)
        return task.tiers[0] if name == "weak" else task.tiers[-1]

    return timed(task, decide)


def model_router_heuristic(task: Task) -> Answer:
    """Decide by langchain-model-router's rules."""
    from langchain_model_router import HeuristicStrategy

    return model_router(task, HeuristicStrategy("weak", "strong"))


def model_router_embedding(task: Task) -> Answer:
    """Decide by its examples: training queries, by whether the weak pair was right on them."""
    from langchain_core.embeddings import Embeddings
    from langchain_model_router import EmbeddingStrategy

    class Known(Embeddings):
        """Vectors computed before."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [task.vector[text].tolist() for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return task.vector[text].tolist()  # type: ignore[no-any-return]

    pair, rows = task.both
    examples: dict[str, list[str]] = {"weak": [], "strong": []}
    for row in rows:
        examples["weak" if pair[row, 1] >= pair[row, 0] else "strong"].append(task.training[row])
    unique = {name: list(dict.fromkeys(texts)) for name, texts in examples.items()}
    unique["strong"] = [text for text in unique["strong"] if text not in set(unique["weak"])]
    return model_router(task, EmbeddingStrategy(Known(), unique, threshold=0.05))


def routellm_mf(task: Task) -> Answer:
    """Train RouteLLM's matrix factorization by its own loop; half of the training queries go to the strong pair."""
    import torch
    from routellm.routers.matrix_factorization import model as served
    from routellm.routers.matrix_factorization import train_matrix_factorization as learning

    pair, rows = task.both
    battles = [
        {"idx": int(row), "model_a": STRONG, "model_b": WEAK, "winner": "model_a" if first > second else "model_b"}
        for row in rows
        for first, second in [pair[row]]
        if first != second
    ]
    size = len(next(iter(task.vector.values())))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "vectors.npy", np.stack([task.vector[text] for text in task.training]))
        net = learning.MFModel_Train(
            128, 64, len(task.training), text_dim=size, npy_path=str(Path(folder) / "vectors.npy")
        )
        data = learning.PairwiseDataset(battles).get_dataloaders(64)
        learning.train_loops(net, data, data, lr=3e-4, weight_decay=1e-5, alpha=0.1, num_epochs=100, device="cpu")
    router = served.MFModel(128, 64, size, 1, use_proj=True)
    learned = net.state_dict()
    router.load_state_dict(
        {
            "P.weight": learned["P.weight"],
            "text_proj.0.weight": learned["text_proj.weight"],
            "classifier.0.weight": learned["classifier.weight"],
        }
    )

    def embed(*, input: list[str], **_: Any) -> Any:  # noqa: A002  # the name is OpenAI's
        return SimpleNamespace(data=[SimpleNamespace(embedding=task.vector[input[0]].tolist())])

    served.OPENAI_CLIENT = SimpleNamespace(embeddings=SimpleNamespace(create=embed))
    strong, weak = served.MODEL_IDS[STRONG], served.MODEL_IDS[WEAK]
    torch.set_num_threads(1)
    bar = float(np.median([router.pred_win_rate(strong, weak, text) for text in task.training]))

    def decide(text: str, _: str | None) -> int:
        return task.tiers[-1] if router.pred_win_rate(strong, weak, text) >= bar else task.tiers[0]

    return timed(task, decide)


def llmrouter(task: Task, module: Any, router: str, trainer: str, parameters: dict[str, Any]) -> Answer:
    """Train one of LLMRouter's classifiers by its trainer, on all pairs, with our vectors for its Longformer's."""
    import torch
    import yaml

    by_cost = np.argsort(task.cost, kind="stable")  # of several that are right, it takes the first
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "routing.jsonl").open("w") as lines:
            for row, text in enumerate(task.training):
                for column in by_cost:
                    if not np.isnan(task.scores[row, column]):
                        told = {"query": text, "model_name": str(column), "performance": task.scores[row, column]}
                        lines.write(json.dumps({**told, "embedding_id": row}) + "\n")
        torch.save([torch.tensor(task.vector[text]) for text in task.training], folder / "vectors.pt")
        config = {
            "data_path": {
                "routing_data_train": str(folder / "routing.jsonl"),
                "query_embedding_data": str(folder / "vectors.pt"),
            },
            "model_path": {key: str(folder / "model.pkl") for key in ("save_model_path", "load_model_path")}
            | {"ini_model_path": str(folder / "none.pkl")},
            "hparam": parameters,
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        made = getattr(module, router)(str(folder / "config.yaml"))
        getattr(module, trainer)(made).train()
        where: Any = sys.modules[type(made).__module__]
        where.get_longformer_embedding = lambda text: torch.tensor(task.vector[text])
        return timed(task, lambda text, _: int(made.route_single({"query": text})["model_name"]))


def llmrouter_knn(task: Task) -> Answer:
    """Decide by LLMRouter's nearest neighbours."""
    from llmrouter.models import knnrouter

    return llmrouter(task, knnrouter, "KNNRouter", "KNNRouterTrainer", {"n_neighbors": 5, "metric": "cosine"})


def llmrouter_svm(task: Task) -> Answer:
    """Decide by LLMRouter's support vector machine."""
    from llmrouter.models import svmrouter

    return llmrouter(task, svmrouter, "SVMRouter", "SVMRouterTrainer", {"kernel": "rbf", "C": 1.0})


PEERS: dict[str, Callable[[Task], Answer]] = {
    "LiteLLM complexity router": litellm_complexity,
    "langchain-model-router, heuristic": model_router_heuristic,
    "langchain-model-router, embedding": model_router_embedding,
    "RouteLLM, matrix factorization": routellm_mf,
    "LLMRouter, kNN": llmrouter_knn,
    "LLMRouter, SVM": llmrouter_svm,
}


def main() -> None:
    """Ask every peer."""
    folder = Path(sys.argv[1])
    task, answers = Task(folder), {}
    for name, ask in PEERS.items():
        try:
            answers[name] = ask(task)
        except Exception as error:  # noqa: BLE001  # whatever a peer raises is what there is to say of it
            answers[name] = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
