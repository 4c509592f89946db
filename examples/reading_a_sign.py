"""A text model answers about an image: tesseract reads it, SmolLM2 answers; all of it on this machine.

The pool has the model by itself and with a tool that reads. The query decides what suits it: with an image, the tool.
For a vision model of a hosted provider use `Tool(name="ocr", invocation="ocr")`, or `chart`, `counting`, `geometry`.

Needs tesseract (apt-get install tesseract-ocr tesseract-ocr-eng) and, to draw the sign, Pillow.
Run with: python examples/reading_a_sign.py
"""

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Pool, Query, Tool, solve
from langchain_atlas.routers.baselines import RandomRouter


def draw(text: str) -> bytes:
    """Draw a sign."""
    image = Image.new("RGB", (640, 110), "white")
    ImageDraw.Draw(image).text((20, 30), text, fill="black", font=ImageFont.load_default(size=32))
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def main() -> None:
    """Ask with an image, and without."""
    model = Model(name="smollm2-135m", litellm="atlas-local/smollm2-135m", options={"temperature": 0, "max_tokens": 30})
    reading = Tool(name="reading", description="Reads the text in an image.", use="ocr", invocation="ocr")
    pool = Pool(models=(model,), tools=(NO_TOOL, reading))
    executor, router = LiveExecutor(pool), RandomRouter(pool.pairs)
    sign = draw("The last ferry leaves at 22:10")
    for query in (Query(text="When does the last ferry leave?", images=[sign]), Query(text="Which animal barks?")):
        trajectory = solve(query, router, executor)
        answered_by = trajectory.answered_by
        print(query.text, "->", trajectory.answer, f"({answered_by.pair if answered_by else 'nobody'})")


if __name__ == "__main__":
    main()
