"""The process in which expressions are compared: one JSON object a line in, one out. Run as a file, not imported."""

import json
import sys
from contextlib import suppress

_MOST_BYTES = 2 << 30


def limit_memory() -> None:
    """Let this process take no more than 2 GiB, where the system can limit it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))


def equal(expected: str, given: str, timeout_s: int) -> bool:
    """Return whether two expressions are equal; False if one can't be read, or if it takes too long.

    Only LaTeX is read, by a grammar: the library's reader of plain expressions would evaluate them as Python.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    sides = [
        parse(
            f"${side.replace('$', ' ')}$",
            extraction_config=[LatexExtractionConfig()],
            fallback_mode="no_fallback",
            parsing_timeout=timeout_s,
        )
        for side in (expected, given)
    ]
    return all(sides) and bool(verify(*sides, timeout_seconds=timeout_s))


def main() -> None:
    """Answer until the input ends."""
    limit_memory()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            result = equal(**asked)
        except (Exception, RecursionError, MemoryError):  # noqa: BLE001  # whatever computer algebra raises
            result = False
        sys.stdout.write(json.dumps({"equal": result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
