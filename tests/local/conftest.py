"""Real models, real calls: skipped where the extra `local` is not installed."""

import importlib.util
from collections.abc import Iterator

import pytest

from langchain_atlas.local import MODELS, installed_models, register, shutdown


@pytest.fixture(scope="session")
def local_models() -> Iterator[list[str]]:
    """LiteLLM ids of the embedded models, registered; the models are freed afterwards."""
    if importlib.util.find_spec("xllamacpp") is None or installed_models() != list(MODELS):
        pytest.skip("the embedded models are not installed: pip install 'langchain-atlas[local]'")
    register()
    yield [f"atlas-local/{name}" for name in MODELS]
    shutdown()


@pytest.fixture(scope="session")
def smollm2(local_models: list[str]) -> str:
    return local_models[0]


@pytest.fixture(scope="session")
def gemma(local_models: list[str]) -> str:
    return local_models[1]
