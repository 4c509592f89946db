"""A real browser with a page open, spoken to over its debugging socket on loopback; for tests of the report."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

LAYOUT = """(() => {
  const root = document.documentElement;
  const shown = (node) => { const box = node.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  const own = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  const texts = [];
  for (const node of document.querySelectorAll("body *")) {
    if (/^(script|style|title|noscript)$/i.test(node.tagName) || node.closest("#control")) continue;
    if (!own(node) || !shown(node)) continue;
    const range = document.createRange();
    for (const child of node.childNodes) {
      if (child.nodeType !== 3 || !child.textContent.trim()) continue;
      range.selectNodeContents(child);
      for (const box of range.getClientRects()) {
        if (box.width < 1) continue;
        const chart = node.closest(".chart");
        texts.push({ text: child.textContent.trim().slice(0, 50), left: box.left, right: box.right,
          top: box.top + scrollY, bottom: box.bottom + scrollY,
          edges: chart && [chart.getBoundingClientRect().left, chart.getBoundingClientRect().right] });
      }
    }
  }
  return { width: root.clientWidth, scroll: root.scrollWidth, texts };
})()"""
"""What the page shows: its width, how far it scrolls, and the box of every line of text, in pixels."""


class Page:
    """A page in the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    def send(self, method: str, **given: Any) -> Any:
        """Send a command, and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": given}))
        while True:
            said = json.loads(self._socket.recv(timeout=60))
            if said.get("id") == self._number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']}")
                return said["result"]

    def evaluate(self, expression: str) -> Any:
        """Run a script, and return its value."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the window another size, as a reader does, and wait until the page has drawn itself anew."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.evaluate("new Promise((done) => setTimeout(done, 400))")

    def scheme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])
        self.evaluate("new Promise((done) => setTimeout(done, 200))")

    def open(self, address: str) -> None:
        """Open an address, and wait until the page says that it is ready."""
        self.send("Page.navigate", url=address)
        for _ in range(200):
            if self.evaluate("document.documentElement && document.documentElement.dataset.ready") == "true":
                return
            time.sleep(0.05)
        raise TimeoutError(f"{address} is not ready: {self.evaluate('document.documentElement.dataset.errors')}")

    def picture(self, path: Path, height: int | None = None) -> None:
        """Write the page to a PNG file: its upper part of a height in pixels, or all of it."""
        height = height or self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """Start a browser with a new profile in a folder, and end it afterwards."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]
    command += [f"--user-data-dir={profile}", "--hide-scrollbars", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(profile / "DevToolsActivePort")
        with connect(f"ws://127.0.0.1:{port[0]}{port[1]}", max_size=None) as browser:
            made = Page(browser).send("Target.createTarget", url="about:blank")["targetId"]
        with connect(f"ws://127.0.0.1:{port[0]}/devtools/page/{made}", max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(path: Path) -> tuple[str, str]:
    for _ in range(400):
        if path.exists() and len(lines := path.read_text().split()) > 1:
            return lines[0], lines[1]
        time.sleep(0.05)
    raise TimeoutError("the browser did not start")


def clipped(layout: Any) -> list[str]:
    """Return what a page shows beyond its edges."""
    found = [f"the page scrolls to {layout['scroll']} of {layout['width']}"] * (layout["scroll"] > layout["width"])
    for box in layout["texts"]:
        low, high = box["edges"] or (0, layout["width"])
        if box["left"] < low - 1 or box["right"] > high + 1:
            found.append(
                f"{box['text']!r} from {box['left']:.0f} to {box['right']:.0f}, outside {low:.0f} to {high:.0f}"
            )
    return found


def overlapping(layout: Any, slack: float = 2.0) -> list[str]:
    """Return the pairs of texts that lie on one another by more than some pixels."""
    boxes = sorted(layout["texts"], key=lambda box: box["top"])
    found = []
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            if other["top"] > one["bottom"] - slack:
                break
            across = min(one["right"], other["right"]) - max(one["left"], other["left"])
            down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
            height = min(one["bottom"] - one["top"], other["bottom"] - other["top"])
            if across > slack and down > max(slack, 0.3 * height):
                found.append(f"{one['text']!r} and {other['text']!r}")
    return found
