"""Settings and fixtures that all tests share."""

import atexit
import os
import shutil
import tempfile

# Before anything imports litellm or transformers: tests reach no network, not even for a price list.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Threads that share a small product wait for one another, on a busy machine for minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "ATLAS_CACHE_DIR" not in os.environ:  # nothing is written to the cache folder of whoever runs the tests
    os.environ["ATLAS_CACHE_DIR"] = tempfile.mkdtemp(prefix="atlas-tests-")
    atexit.register(shutil.rmtree, os.environ["ATLAS_CACHE_DIR"], ignore_errors=True)

from pathlib import Path

import hypothesis
import pytest
from recorded import kinds_of_query

from langchain_atlas.encoders import Encoder
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.testing import FakeEncoder

hypothesis.settings.register_profile("tests", deadline=None, max_examples=60, database=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=3000, database=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def encoder() -> Encoder:
    """Return an encoder that needs no model: a hashed bag of words."""
    return FakeEncoder()


@pytest.fixture
def outcomes() -> OutcomeTable:
    """Return outcomes of three pairs on three kinds of query, each of which wants another pair."""
    return kinds_of_query()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real routing data; the test is skipped where that is not there."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder {folder}, which is not there")
    return folder
