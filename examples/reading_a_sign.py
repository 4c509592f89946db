"""A text model answers about an image: tesseract reads it, SmolLM2 answers; all of it on this machine.

The pool has the model by itself and with a tool that reads. The query decides what suits it: with an image, the tool.
For a vision model of a hosted provider use `Tool(name="ocr", invocation="ocr")`, or `chart`, `counting`, `geometry`.

Needs tesseract (apt-get install tesseract-ocr tesseract-ocr-eng) and, to draw the sign, Pillow.
Run with: python examples/reading_a_sign.py
"""

import shutil
import sys
from importlib.util import find_spec
from io import BytesIO

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Pool, Query, Tool, solve
from langchain_atlas.routers.baselines import RandomRouter


def draw(text: str) -> bytes:
    """Draw a sign."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (640, 110), "white")
    ImageDraw.Draw(image).text((20, 30), text, fill="black", font=ImageFont.load_default(size=32))
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def missing() -> list[str]:
    """Return what this example needs but does not find, and how to get it."""
    needs = {
        "tesseract, which reads the image: apt-get install tesseract-ocr tesseract-ocr-eng": shutil.which("tesseract"),
        "Pillow, which draws it: pip install pillow": find_spec("PIL"),
        "the embedded models: pip install 'langchain-atlas[local]'": find_spec("xllamacpp"),
    }
    return [need for need, found in needs.items() if not found]


def main() -> None:
    """Ask with an image, and without."""
    if lacks := missing():
        sys.exit("\n".join(["This example can't run here. It needs", *(f"- {need}" for need in lacks)]))
    model = Model(name="smollm2-135m", litellm="atlas-local/smollm2-135m", options={"temperature": 0, "max_tokens": 30})
    reading = Tool(name="reading", description="Reads the text in an image.", use="ocr", invocation="ocr")
    pool = Pool(models=(model,), tools=(NO_TOOL, reading))
    executor, router = LiveExecutor(pool), RandomRouter(pool.pairs)
    sign = draw("The last ferry leaves at 22:10")
    for query in (
        Query(text="When does the last ferry leave?", images=[sign]),
        Query(text="What is the capital of England?"),
    ):
        trajectory = solve(query, router, executor)
        if trajectory.answered_by is None:  # such as where tesseract has no English
            sys.exit(f"{query.text} Nobody answered: {trajectory.observations[-1].error}")
        print(query.text, "->", trajectory.answer, f"({trajectory.answered_by.pair})")


if __name__ == "__main__":
    main()
