"""How long `import langchain_atlas` and `langchain-atlas --help` take: medians of five runs in fresh processes.

Run with: make bench-startup
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 5
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import langchain_atlas": [sys.executable, "-c", "import langchain_atlas"],
    "langchain-atlas --help": [str(Path(sys.executable).with_name("langchain-atlas")), "--help"],
}


def median_seconds(command: list[str]) -> float:
    """Return the median wall time of the command, after one run that warms the disk's cache."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Measure and print, and write the figures when a file is named."""
    figures = {name: median_seconds(command) for name, command in COMMANDS.items()}
    for name, seconds in figures.items():
        print(f"{name:28} {seconds:.3f} s")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
