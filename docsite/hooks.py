"""What the site takes from outside docs/: changelog, how to contribute, examples; and pages that the nav forgot.

Pages of docs/ link to these files as one reads them in the repository; the site has them as pages of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
"""Files at the top of the repository that are pages, by name."""
_IMAGE = re.compile(r"!\[([^\]]*)\]\((\S*images/)([\w-]+)\.(svg|png)\)")
_texts: dict[str, str] = {}
"""Text of each page, by its path."""


def on_config(config: Any) -> Any:
    """Put pages that the nav does not name at its end, so that a new page is never lost."""
    named = set(_names(config.nav))
    found = sorted(str(path.relative_to(config.docs_dir)) for path in Path(config.docs_dir).rglob("*.md"))
    if more := [name for name in found if name not in named]:
        config.nav.append({"More": more})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from files outside docs/."""
    for name, page in OUTSIDE.items():
        if (ROOT / name).exists():
            files.append(File.generated(config, page, content=_relinked((ROOT / name).read_text("utf-8"), "")))
    readme = (ROOT / "examples/README.md").read_text("utf-8")
    files.append(File.generated(config, "examples/all.md", content=re.sub(r"\((\w+)\.py\)", r"(\1.md)", readme)))
    for path in sorted((ROOT / "examples").rglob("*.py")):
        page = path.relative_to(ROOT).with_suffix(".md")
        files.append(File.generated(config, str(page), content=_example(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links out of docs/ at the pages that the site has instead, and keep the text for those who read no HTML."""
    if page.file.src_uri.startswith("how-to/"):
        page.meta.setdefault("search", {"boost": 4})  # what people search for first
    text = re.sub(r"\]\((?:\.\./)+([^)#\s]+)((?:#[^)\s]*)?)\)", lambda found: _inside(found, page), markdown)
    text = re.sub(r"^```mermaid\n.*?^```\n", "", text, flags=re.DOTALL | re.MULTILINE)  # needs a script
    _texts[page.file.src_uri] = text
    return _IMAGE.sub(_in_both_forms, text)


def on_post_build(config: Any) -> None:
    """Write ``llms.txt``, which says in a line what each page is for, and each page's text beside its HTML."""
    site = Path(config.site_dir)
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    for section in config.nav:
        for title, names in section.items():
            found = [name for name in _names(names) if name in _texts]
            lines += ["", f"## {title}", ""] + [_line_of(name, _texts[name]) for name in found]
    (site / "llms.txt").write_text("\n".join(lines) + "\n", "utf-8")
    for name, text in _texts.items():
        (site / name).write_text(text, "utf-8")


def _line_of(name: str, text: str) -> str:
    """Return a page's line: title, address, and the first sentence or two of it."""
    title, _, rest = text.strip().partition("\n")
    said = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(rest.strip().partition("\n\n")[0].split()))
    address = name.removesuffix(".md") + ".html" if "\n::: " in text else name  # made from docstrings: HTML alone
    return f"- [{title.lstrip('# ').strip('`')}]({address}): {said[:200]}"


def _inside(found: re.Match[str], page: Any) -> str:
    target, anchor = found.groups()
    up = "../" * page.file.src_uri.count("/")
    if target == "README.md":
        return f"]({up}index.md)"
    if target in OUTSIDE:
        return f"]({up}{OUTSIDE[target]}{anchor})"
    if target == "examples/README.md":
        return f"]({up}examples/all.md)"
    if example := re.fullmatch(r"examples/([\w/]+)\.py", target):
        return f"]({up}examples/{example[1]}.md)"
    return found[0]


def _in_both_forms(found: re.Match[str]) -> str:
    """Return a picture twice, if it has a dark form: the theme shows the one that fits."""
    said, folder, name, kind = found.groups()
    if not (ROOT / f"docs/images/{name}-dark.{kind}").exists():
        return found[0]
    return f"![{said}]({folder}{name}.{kind}#only-light)\n![{said}]({folder}{name}-dark.{kind}#only-dark)"


def _relinked(text: str, up: str) -> str:
    """Return a file of the top folder with its links into docs/ as seen from docs/."""
    text = re.sub(r"\]\(docs/([^)]+)\)", rf"]({up}\1)", text)
    for name, page in OUTSIDE.items():
        text = text.replace(f"]({name})", f"]({page})")
    return text.replace("](README.md)", "](index.md)")


def _example(path: Path) -> str:
    """Return an example as a page: the first paragraph of its docstring, and the code."""
    code = path.read_text("utf-8")
    first = code.split('"""')[1].strip().splitlines()[0]
    return f"# {path.name}\n\n{first}\n\n```python\n{code.rstrip()}\n```\n"


def _names(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    values = nav.values() if isinstance(nav, dict) else nav
    return [name for value in values for name in _names(value)]
