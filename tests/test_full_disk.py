"""A full disk is an error of ours that names the file, and what was there before stays whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from langchain_atlas.errors import AtlasError
from langchain_atlas.files import write_text
from langchain_atlas.learning.training import _Curves
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.outcomes.journal import Journal
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.saved.artifact import Artifact, read_artifact, write_artifact

place = Path(sys.argv[1])
row = {"query_id": "q", "query": "?", "domain": "d", "model": "m", "tool": "none", "score": 1.0}
noise = np.random.default_rng(0).bytes(200_000).hex()
small, large = OutcomeTable.from_rows([row]), OutcomeTable.from_rows([{**row, "response": noise}])
router = dict(kind="random", pairs=(Pair("m", "none"),), encoder=None, settings={})
small_router = Artifact(**router, arrays={"a": np.zeros(3)})
large_router = Artifact(**router, arrays={"a": np.zeros(100_000)})
write_text(place / "note.txt", "old")
small.save(place / "table.parquet")
small.save(place / "table.jsonl")
write_artifact(place / "router", small_router)
(place / "fill").write_bytes(b"x")
journal = Journal(place / "other.parquet")
journal.append(row)


def train():
    with _Curves(place / "curves") as curves:
        for step in range(5000):
            curves.write({"step": step, "loss": 0.123456, "gain": 0.654321})


attempts = {
    "text": lambda: write_text(place / "note.txt", noise),
    "text in a new folder": lambda: write_text(place / "new" / "note.txt", noise),
    "parquet": lambda: large.save(place / "table.parquet"),
    "jsonl": lambda: large.save(place / "table.jsonl"),
    "router": lambda: write_artifact(place / "router", large_router),
    "curves": train,
    "journal": lambda: journal.append({**row, "query_id": "r", "response": noise}),
}
told = {}
for name, attempt in attempts.items():
    try:
        attempt()
    except AtlasError as error:
        told[name] = [type(error).__name__, str(error)]
journal.close()
whole = [
    (place / "note.txt").read_text() == "old",
    len(OutcomeTable.load(place / "table.parquet")) == 1,
    len(OutcomeTable.load(place / "table.jsonl")) == 1,
    read_artifact(place / "router").arrays["a"].shape == (3,),
    len(Journal(place / "other.parquet")) == 1,
]
left = sorted(path.name for path in place.iterdir() if path.name.startswith("."))
print(json.dumps({"told": told, "whole": whole, "left": left}))
"""


def test_a_full_disk_is_an_atlas_error_and_the_old_files_stay_whole(tmp_path: Path) -> None:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("needs bubblewrap, which gives a small file system")
    (tmp_path / "disk").mkdir()
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [bwrap, "--dev-bind", "/", "/", "--size", str(160 * 1024), "--tmpfs", tmp_path / "disk", sys.executable,
         program, tmp_path / "disk"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {name: kind for name, (kind, _) in said["told"].items()} == dict.fromkeys(
        ("text", "text in a new folder", "parquet", "jsonl", "router", "curves", "journal"), "WritingError"
    )
    for _, message in said["told"].values():
        assert str(tmp_path / "disk") in message
        assert "No space left on device" in message
    assert said["whole"] == [True] * 5
    assert said["left"] == []
