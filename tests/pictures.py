"""Images made while tests run."""

from __future__ import annotations

import base64
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont


def picture(text: str = "", kind: str = "PNG", size: tuple[int, int] = (420, 110)) -> bytes:
    """Draw black text on white, and return the file."""
    image = Image.new("RGB", size, "white")
    if text:
        ImageDraw.Draw(image).text((20, 30), text, fill="black", font=ImageFont.load_default(size=32))
    file = BytesIO()
    image.save(file, format=kind)
    return file.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Return bytes as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
