"""The direction of the arrows between the rooms of the package, and what an import may do."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import langchain_atlas

PACKAGE = Path(langchain_atlas.__file__).parent

VOCABULARY = {
    "amounts",
    "answers",
    "cache_folder",
    "costs",
    "engines",
    "errors",
    "failures",
    "files",
    "images",
    "messages",
    "pool",
    "privacy",
    "progress",
    "records",
    "masking",
    "text",
    "text_files",
    "trajectory",
    "usage",
    "warming",
}
ROUTING = VOCABULARY | {"encoders", "query_features", "outcomes"}
ACTING = VOCABULARY | {"outcomes", "tools", "local"}
BOTH = ROUTING | ACTING | {"routers", "execution", "loop", "tracing"}

MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(VOCABULARY, VOCABULARY),
    "encoders": VOCABULARY,
    "query_features": VOCABULARY | {"encoders", "outcomes"},
    "outcomes": VOCABULARY,
    "routers": ROUTING | {"tracing", "loop", "local"},  # an embedded model can be the policy
    "tools": VOCABULARY | {"encoders"},  # for search by meaning
    "local": VOCABULARY,
    "execution": ACTING | {"tracing", "loop"},
    "tracing": VOCABULARY,
    "loop": VOCABULARY | {"tracing"},  # routers and executors it knows by its contracts
    "testing": BOTH,
    "integrations": BOTH,
    "learning": BOTH,
    "evaluation": BOTH | {"learning"},
    "demo": VOCABULARY,
    "cli": BOTH | {"integrations", "learning", "evaluation", "demo"},
}
"""What each room may import beside itself, so that the arrows of the design hold:

vocabulary <- encoders, outcomes <- features; features, loop <- routers <- learning <- evaluation <- cli; and
vocabulary <- tools, loop <- execution <- integrations. Imports for type checkers and names of modules in strings count
like others. A new room needs a line here.
"""

HEAVY = ("torch", "litellm", "sklearn", "sentence_transformers", "transformers", "pandas", "scipy", "sympy", "flint")


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def room(module: str) -> str:
    """Return the first part of a module's name after the package's; empty for the package itself."""
    return [*module.split("."), ""][1]


def imported(path: Path) -> set[str]:
    """Return the modules of ours that a file names, in imports or in strings."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full, so that this test can read them"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.update(re.findall(r"^langchain_atlas(?:\.\w+)+", node.value))
    return {name for name in names if name.startswith("langchain_atlas.")}


def test_arrows_between_rooms_point_one_way() -> None:
    wrong = []
    for module, path in modules():
        if module == "langchain_atlas":
            continue  # the front door hands out the public names of all rooms, at first use
        here = room(module)
        assert here in MAY_IMPORT, f"{module}: room {here!r} is new; say in MAY_IMPORT what it may import"
        wrong += [f"{module} imports {name}" for name in imported(path) if room(name) not in {here, *MAY_IMPORT[here]}]
    assert wrong == []


def test_rooms_do_not_import_each_other() -> None:
    arrows: dict[str, set[str]] = {}
    for module, path in modules():
        if module != "langchain_atlas":
            here = room(module)
            arrows.setdefault(here, set()).update({room(name) for name in imported(path)} - {here})
    assert list(TopologicalSorter(arrows).static_order())  # a `CycleError` names the circle


def test_routers_and_execution_do_not_know_each_other() -> None:
    """The first rule of the design, stated apart, so that a change of the table above can't lift it."""
    for module, path in modules():
        rooms = {room(name) for name in imported(path)}
        if room(module) == "routers":
            assert not rooms & {"execution", "integrations"}, module
        if room(module) == "execution":
            assert not rooms & {"routers", "integrations"}, module
        if room(module) in VOCABULARY:
            assert rooms <= VOCABULARY, module


def test_the_loop_knows_contracts_only() -> None:
    rooms = {room(name) for path in (PACKAGE / "loop").glob("*.py") for name in imported(path)}
    assert rooms <= VOCABULARY | {"loop", "tracing"}, "so that routers and executors can be steps of chains by it"


def test_there_is_one_loop_over_turns() -> None:
    """Nothing else asks a router until it answers: who needs that drives `turns`."""
    asking = re.compile(r"while not \w*\.?\w*trajectory\.done")
    assert [path.name for _, path in modules() if asking.search(path.read_text(encoding="utf-8"))] == ["turns.py"]


def test_the_arrows_are_read_from_every_way_to_import(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "import langchain_atlas.loop.turns, json\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from langchain_atlas.routers.base import Router\n"
        "def late():\n    from langchain_atlas import integrations\n"
        "KIND = 'langchain_atlas.cli.app:main'\n"
    )
    assert {room(name) for name in imported(path)} == {"loop", "routers", "integrations", "cli"}


def run_python(code: str, *arguments: str) -> Any:
    """Run code in a fresh interpreter, as a user would, and return the JSON that it prints last."""
    ours = ("LITELLM_LOCAL_MODEL_COST_MAP", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM")  # see conftest.py
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def loaded_by(module: str) -> list[str]:
    """Return the heavy libraries that importing a module loads."""
    code = (
        "import importlib, json, sys\n"
        "importlib.import_module(sys.argv[1])\n"
        "print(json.dumps([name for name in sys.argv[2:] if name in sys.modules]))"
    )
    found: list[str] = run_python(code, module, *HEAVY)
    return found


COMMANDS = ("demo", "profile")
UNWRITTEN = [name for name in COMMANDS if importlib.util.find_spec(f"langchain_atlas.cli.{name}") is None]


@pytest.mark.parametrize(
    "module",
    [
        "langchain_atlas",
        pytest.param(
            "langchain_atlas.cli.app",
            marks=pytest.mark.skipif(bool(UNWRITTEN), reason=f"needs the commands {UNWRITTEN}, not written yet"),
        ),
        "langchain_atlas.routers.cluster.router",
        "langchain_atlas.execution.replay",
        "langchain_atlas.loop.turns",
    ],
)
def test_nothing_heavy_is_loaded_at_import(module: str) -> None:
    assert loaded_by(module) == []


IMPORT_ALL = """
import importlib, json, sys

heavy, names = json.loads(sys.argv[1]), json.loads(sys.argv[2])
events, failures, loaded, module = [], {}, {}, ""

def watch(event, arguments):
    if event.startswith("socket.") or event == "urllib.Request":
        # urllib3, which comes with langgraph, binds to the loopback once to learn whether there is IPv6.
        frame, callers = sys._getframe(), set()
        while frame:
            callers.add(frame.f_code.co_name)
            frame = frame.f_back
        if "_has_ipv6" not in callers:
            events.append(f"{module}: {event}")

sys.addaudithook(watch)
from langchain_atlas.errors import MissingExtraError

for module in names:
    before = set(sys.modules)
    try:
        importlib.import_module(module)
    except MissingExtraError:
        pass
    except Exception as error:
        failures[module] = repr(error)
    if new := [name for name in heavy if name in sys.modules and name not in before]:
        loaded[module] = new
print(json.dumps({"events": events, "failures": failures, "loaded": loaded}))
"""

LATE = {
    "langchain_atlas.execution.models.litellm_chat",
    "langchain_atlas.execution.models.plain_chat",
    "langchain_atlas.local.provider",
    *(
        f"langchain_atlas.tools.calculator.{name}"
        for name in ("digits", "equations", "functions", "parser", "quotients", "reals", "roots")
    ),
    *(
        f"langchain_atlas.learning.{name}"
        for name in (
            "environment",
            "ppo",
            "compact_policy",
            "pretraining",
            "process",
            "recordings",
            "rollout",
            "tensors",
            "training",
        )
    ),
}
"""Modules that load heavy libraries, and so are themselves imported at first use only: were another module to import
one of them at once, that module would be found to load the library."""


@cache
def import_of_everything() -> dict[str, Any]:
    """Import every module but the late ones, once for all tests: socket events, failures, heavy libraries."""
    names = [name for name, _ in modules() if name not in LATE and not name.endswith("__main__")]
    found: dict[str, Any] = run_python(IMPORT_ALL, json.dumps(HEAVY), json.dumps(names))
    return found


def test_no_socket_is_opened_at_the_import_of_any_module() -> None:
    assert import_of_everything()["events"] == []


def test_no_module_loads_a_heavy_library_at_import() -> None:
    assert import_of_everything()["loaded"] == {}


@pytest.mark.skipif(bool(UNWRITTEN), reason=f"needs the commands {UNWRITTEN}, not written yet")
def test_every_module_can_be_imported() -> None:
    assert import_of_everything()["failures"] == {}


def test_what_an_import_must_not_do_would_be_seen() -> None:
    code = IMPORT_ALL.replace("importlib.import_module(module)", "import sqlite3, socket; socket.socket().close()")
    found = run_python(code, json.dumps(["sqlite3"]), json.dumps(["langchain_atlas"]))
    assert found == {
        "events": ["langchain_atlas: socket.__new__"],
        "failures": {},
        "loaded": {"langchain_atlas": ["sqlite3"]},
    }


def test_every_public_name_is_found_where_it_is_said_to_be() -> None:
    for name in langchain_atlas.__all__:
        assert getattr(langchain_atlas, name) is not None
    assert set(langchain_atlas._HOMES) == set(langchain_atlas.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = langchain_atlas.Nothing


def test_all_names_can_be_imported_without_the_extras() -> None:
    code = """
import json, sys
sys.modules.update(dict.fromkeys(("langchain", "langchain.agents", "langchain.agents.middleware.types"), None))
from langchain_atlas import *
told = []
for use in (lambda: AtlasMiddleware(None, None), lambda: type("Mine", (AtlasMiddleware,), {})):
    try:
        use()
    except ImportError as error:
        told.append(str(error))
print(json.dumps([told, Usage.__name__, Invocation.__name__, Agreement.__name__, Candidate.__name__]))
"""
    told, *names = run_python(code)
    assert names == ["Usage", "Invocation", "Agreement", "Candidate"]
    assert len(told) == 2
    assert all("pip install 'langchain-atlas[agents]'" in text for text in told)


def test_no_two_test_files_share_a_name() -> None:
    """Test files are imported by their bare names, so a second one of a name breaks the whole run, not its half."""
    tests = Path(__file__).parent
    named = Counter(path.name for path in tests.rglob("*.py") if path.name not in ("conftest.py", "__init__.py"))
    assert [name for name, files in named.items() if files > 1] == []
