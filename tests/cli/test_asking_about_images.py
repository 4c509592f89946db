"""From a query file with images to an answer about one: profile, fit, ask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pictures import data_url, picture

from langchain_atlas import encoders
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.testing import FakeEncoder, OpenAIServer, images_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from conftest import Command

MAY, JUNE = picture("May"), picture("June")


def see(body: dict[str, Any]) -> str:
    """Read the picture only where it is looked at as a chart."""
    text = body["messages"][-1]["content"][0]["text"]
    month = "May" if images_of(body)[-1] == data_url(MAY) else "June"
    return f"Answer: {month}" if "chart" in text else "I can't say."


def test_what_was_profiled_on_images_answers_about_one(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "SentenceTransformerEncoder", lambda name, **_: FakeEncoder(name=name))
    monkeypatch.setenv("KEY_OF_THE_TEST", "not-a-secret")
    monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
    (tmp_path / "may.png").write_bytes(MAY)
    (tmp_path / "june.png").write_bytes(JUNE)
    lines = [
        {"query": "Which month is best?", "images": [f"{name.lower()}.png"], "answer": name, "scorer": "contains"}
        for name in ("May", "June")
    ]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out, router, pool = tmp_path / "out.parquet", tmp_path / "router", tmp_path / "pool.yaml"
    with OpenAIServer(see) as server:
        pool.write_text(
            f"models:\n  eyed: {{litellm: openai/eyed, modalities: [text, image], api_key_env: KEY_OF_THE_TEST, "
            f"options: {{api_base: '{server.url}'}}}}\ntools:\n  none: {{}}\n  chart: {{invocation: chart}}\n"
        )
        assert command("profile", "--pool", pool, "--queries", tmp_path / "queries.jsonl", "--out", out).status == 0
        table = OutcomeTable.load(out)
        scores = dict(zip(map(str, table.pairs), table.matrix().T.tolist(), strict=True))
        assert scores == {"eyed@@chart": [1.0, 1.0], "eyed@@none": [0.0, 0.0]}
        assert command("fit", "--data", out, "--out", router).status == 0
        question = ("ask", "Which month is best?", "--router", router, "--pool", pool)
        with_image = command(*question, "--image", tmp_path / "june.png")
        assert with_image.out.rstrip().endswith("June")
        assert "eyed@@chart" in with_image.out
        server.reply = lambda _: "no idea"
        without = command(*question)
        assert "eyed@@none" in without.out
        assert without.out.rstrip().endswith("no idea")
        missing = command(*question, "--image", "nowhere.png")
        assert missing.status == 2
        assert "Can't read the image 'nowhere.png'" in missing.error
