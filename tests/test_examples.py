"""Every example runs, offline."""

import runpy
import shutil
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
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
