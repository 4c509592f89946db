"""langchain-atlas: which model, with which tool, answers this query best, and at what cost?

Public names are imported on first use, so that ``import langchain_atlas`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_atlas.answers.agreement import Agreement
    from langchain_atlas.encoders import EmbeddingsEncoder, Encoder, SentenceTransformerEncoder, StaticEncoder
    from langchain_atlas.errors import AtlasError
    from langchain_atlas.execution.base import Executor
    from langchain_atlas.execution.invocations.base import Invocation
    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.execution.replay import ReplayExecutor
    from langchain_atlas.execution.verifiers.base import Verifier
    from langchain_atlas.execution.wrapper import ExecutorWrapper
    from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
    from langchain_atlas.integrations.chain import AtlasChain
    from langchain_atlas.integrations.chat.model import ChatAtlas
    from langchain_atlas.integrations.decision_model import AtlasDecisionModel
    from langchain_atlas.integrations.graphs.evaluator import EvaluatorNode
    from langchain_atlas.integrations.graphs.graph import create_atlas_graph
    from langchain_atlas.integrations.graphs.node import AtlasNode
    from langchain_atlas.integrations.messages import AtlasRecord
    from langchain_atlas.loop.limits.settings import Limits
    from langchain_atlas.loop.turns import asolve, solve
    from langchain_atlas.messages.user_message import AtlasContext
    from langchain_atlas.outcomes.store import Store
    from langchain_atlas.outcomes.table import OutcomeTable
    from langchain_atlas.pool.pool import NO_TOOL, Model, Pair, Pool, Tool
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.cluster.learning import LearningRouter
    from langchain_atlas.routers.cluster.router import ClusterRouter
    from langchain_atlas.routers.dual import DualRouter
    from langchain_atlas.routers.exploring import ExploringRouter
    from langchain_atlas.routers.fallback import FallbackRouter
    from langchain_atlas.routers.lazy import LazyRouter
    from langchain_atlas.routers.policy.router import RLRouter
    from langchain_atlas.routers.prompted.router import PromptedRouter
    from langchain_atlas.routers.thread.escalating import EscalatingRouter
    from langchain_atlas.routers.thread.staying import StayingRouter
    from langchain_atlas.routers.trial.canary import Canary
    from langchain_atlas.routers.trial.shadow import ShadowRouter
    from langchain_atlas.routers.wrapper import RouterWrapper
    from langchain_atlas.trajectory import (
        Assignment,
        Candidate,
        Constraints,
        Decision,
        Observation,
        Query,
        Step,
        Trajectory,
        Verdict,
    )
    from langchain_atlas.usage import Usage

_HOMES = {
    "Agreement": "answers.agreement",
    "Assignment": "trajectory",
    "AtlasChain": "integrations.chain",
    "AtlasContext": "messages.user_message",
    "AtlasDecisionModel": "integrations.decision_model",
    "AtlasError": "errors",
    "AtlasMiddleware": "integrations.agents.middleware",
    "AtlasNode": "integrations.graphs.node",
    "AtlasRecord": "integrations.messages",
    "Canary": "routers.trial.canary",
    "Candidate": "trajectory",
    "ChatAtlas": "integrations.chat.model",
    "ClusterRouter": "routers.cluster.router",
    "Constraints": "trajectory",
    "Decision": "trajectory",
    "DualRouter": "routers.dual",
    "EmbeddingsEncoder": "encoders",
    "Encoder": "encoders",
    "EvaluatorNode": "integrations.graphs.evaluator",
    "EscalatingRouter": "routers.thread.escalating",
    "Executor": "execution.base",
    "ExecutorWrapper": "execution.wrapper",
    "ExploringRouter": "routers.exploring",
    "FallbackRouter": "routers.fallback",
    "Invocation": "execution.invocations.base",
    "LazyRouter": "routers.lazy",
    "LearningRouter": "routers.cluster.learning",
    "Limits": "loop.limits.settings",
    "LiveExecutor": "execution.live",
    "Model": "pool.pool",
    "NO_TOOL": "pool.pool",
    "Observation": "trajectory",
    "OutcomeTable": "outcomes.table",
    "Pair": "pool.pool",
    "Pool": "pool.pool",
    "PromptedRouter": "routers.prompted.router",
    "Query": "trajectory",
    "RLRouter": "routers.policy.router",
    "ReplayExecutor": "execution.replay",
    "Router": "routers.base",
    "RouterWrapper": "routers.wrapper",
    "SentenceTransformerEncoder": "encoders",
    "ShadowRouter": "routers.trial.shadow",
    "StaticEncoder": "encoders",
    "StayingRouter": "routers.thread.staying",
    "Step": "trajectory",
    "Store": "outcomes.store",
    "Tool": "pool.pool",
    "Trajectory": "trajectory",
    "Usage": "usage",
    "Verdict": "trajectory",
    "Verifier": "execution.verifiers.base",
    "asolve": "loop.turns",
    "create_atlas_graph": "integrations.graphs.graph",
    "solve": "loop.turns",
}

__all__ = [
    "NO_TOOL",
    "Agreement",
    "Assignment",
    "AtlasChain",
    "AtlasContext",
    "AtlasDecisionModel",
    "AtlasError",
    "AtlasMiddleware",
    "AtlasNode",
    "AtlasRecord",
    "Canary",
    "Candidate",
    "ChatAtlas",
    "ClusterRouter",
    "Constraints",
    "Decision",
    "DualRouter",
    "EmbeddingsEncoder",
    "Encoder",
    "EscalatingRouter",
    "EvaluatorNode",
    "Executor",
    "ExecutorWrapper",
    "ExploringRouter",
    "FallbackRouter",
    "Invocation",
    "LazyRouter",
    "LearningRouter",
    "Limits",
    "LiveExecutor",
    "Model",
    "Observation",
    "OutcomeTable",
    "Pair",
    "Pool",
    "PromptedRouter",
    "Query",
    "RLRouter",
    "ReplayExecutor",
    "Router",
    "RouterWrapper",
    "SentenceTransformerEncoder",
    "ShadowRouter",
    "StaticEncoder",
    "StayingRouter",
    "Step",
    "Store",
    "Tool",
    "Trajectory",
    "Usage",
    "Verdict",
    "Verifier",
    "asolve",
    "create_atlas_graph",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'langchain_atlas' has no attribute {name!r}")
    from langchain_atlas.errors import MissingExtraError, SlimInstallError

    try:
        return getattr(import_module(f"langchain_atlas.{_HOMES[name]}"), name)
    except MissingExtraError as error:
        return _stand_in(name, error)
    except ModuleNotFoundError as error:
        lacking = SlimInstallError.of(name, error)
        if lacking is None:
            raise
        return _stand_in(name, lacking)


def _stand_in(name: str, error: Exception) -> type:
    """Return a placeholder for a class whose packages are missing, so that ``from langchain_atlas import *`` works.

    Instantiating or subclassing it raises the error, which says what to install.
    """

    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    return type(name, (), {"__new__": refuse, "__init_subclass__": refuse, "__doc__": str(error)})


def __dir__() -> list[str]:
    return sorted(__all__)
