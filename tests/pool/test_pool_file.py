"""Pools in YAML files."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas.errors import PoolError
from langchain_atlas.pool.pool import NO_TOOL, Pair, Pool

WHOLE = """
models:
  mini:
    litellm: openai/gpt-4o-mini
    description: Small and quick.
    options: {temperature: 0}
  local:
    litellm: ollama/gemma
    function_calling: false
    input_cost_per_token: 0
    output_cost_per_token: 0
tools:
  none:
  calculator:
    use: calculator
  looked-up:
    use: search
    arguments: {folder: documents}
    invocation: grounded
exclude:
  - "mini@@looked-*"
"""


def load(folder: Path, content: str) -> Pool:
    path = folder / "pool.yaml"
    path.write_text(content, encoding="utf-8")
    return Pool.load(path)


class TestGoodFile:
    def test_pairs_are_the_product_less_what_is_excluded_or_impossible(self, tmp_path: Path) -> None:
        pool = load(tmp_path, WHOLE)
        assert [str(pair) for pair in pool] == ["mini@@none", "mini@@calculator", "local@@none", "local@@looked-up"]
        assert pool.excluded == {Pair("mini", "looked-up")}
        assert Pair("local", "calculator") in pool.impossible

    def test_members_hold_what_the_file_says(self, tmp_path: Path) -> None:
        pool = load(tmp_path, WHOLE)
        assert pool.model("mini").litellm == "openai/gpt-4o-mini"
        assert pool.model("mini").options == {"temperature": 0}
        assert pool.model("local").input_cost_per_token == 0
        assert pool.tool("none") == NO_TOOL
        assert pool.tool("looked-up").invocation == "grounded"

    def test_pairs_have_options_by_name_or_pattern_and_the_last_word_counts(self, tmp_path: Path) -> None:
        sections = """
pairs:
  "mini@@*": {options: {temperature: 0.2, max_tokens: 50}}
  "mini@@calculator": {options: {temperature: 0}}
"""
        assert load(tmp_path, WHOLE + sections).pair_options == {
            Pair("mini", "none"): {"temperature": 0.2, "max_tokens": 50},
            Pair("mini", "calculator"): {"temperature": 0, "max_tokens": 50},
            Pair("mini", "looked-up"): {"temperature": 0.2, "max_tokens": 50},
        }

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ('"mini@@abacus": {options: {}}', "names no pair of this pool"),
            ('"mini@@none": {option: {}}', r"no field 'option'. Did you mean 'options'"),
            ('"mini@@none": {options: 3}', "'options' holds parameters by name; it holds 3"),
            ('"mini@@none": {options: {api_key: x}}', "would put a secret into the pool"),
        ],
    )
    def test_options_of_pairs_that_make_no_sense_are_refused(self, tmp_path: Path, entry: str, message: str) -> None:
        with pytest.raises(PoolError, match=message):
            load(tmp_path, f"{WHOLE}\npairs:\n  {entry}\n")

    def test_a_folder_is_meant_from_where_the_file_lies(self, tmp_path: Path) -> None:
        pool = load(tmp_path, WHOLE)
        assert pool.tool("looked-up").arguments == {"folder": str(tmp_path / "documents")}

    def test_an_absolute_folder_stays(self, tmp_path: Path) -> None:
        pool = load(tmp_path, WHOLE.replace("folder: documents", "folder: /srv/documents"))
        assert pool.tool("looked-up").arguments == {"folder": "/srv/documents"}

    def test_models_are_enough(self, tmp_path: Path) -> None:
        assert load(tmp_path, "models: {a: , b: {}}").pairs == (Pair("a"), Pair("b"))

    def test_a_number_can_be_a_name(self, tmp_path: Path) -> None:
        assert load(tmp_path, "models: {4: {}}").pairs == (Pair("4"),)

    def test_a_wide_pattern_excludes_every_pair_it_names(self, tmp_path: Path) -> None:
        pool = load(tmp_path, WHOLE + '  - "*@@calculator"\n')
        assert [str(pair) for pair in pool] == ["mini@@none", "local@@none", "local@@looked-up"]


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ("model: {a: {}}", ["unknown section 'model'. Did you mean 'models'?"]),
        ("models: {a: {}}\ntool: {}", ["unknown section 'tool'. Did you mean 'tools'?"]),
        ("models: {a: {litelm: x}}", ["model 'a' has no field 'litelm'. Did you mean 'litellm'?"]),
        ("models: {a: {name: b}}", ["model 'a' has no field 'name'"]),
        ("models: {a: {5: b}}", ["model 'a' has no field 5"]),
        ("models: {a: {}}\ntools: {c: {usee: calculator}}", ["tool 'c' has no field 'usee'. Did you mean 'use'?"]),
        ("models: {a: {}}\ntools: {c: {tools: []}}", ["tool 'c' has no field 'tools'"]),
        ("models: {a: {}}\ntools: {c: {}}", ["tool 'c' with invocation 'native' wraps no tool"]),
        ("models: {a: {}, a: {}}", ["the key 'a' appears twice", "line 1, column 17"]),
        ("models: {a: {}}\nmodels: {b: {}}", ["the key 'models' appears twice", "line 2"]),
        ("models: {a: {options: {x: 1, x: 2}}}", ["the key 'x' appears twice"]),
        ("models: {4: {}, '4': {}}", ["model names must be unique; '4' appears twice"]),
        ("models: {a: {input_cost_per_token: cheap}}", ["'input_cost_per_token'", "got 'cheap'"]),
        ("models: {a: {input_cost_per_token: -1}}", ["'input_cost_per_token'", "got -1"]),
        ("models: {a: {litellm: 2024-01-01}}", ["'litellm'", "datetime.date(2024, 1, 1)"]),
        ("models: {a: {litellm: 5}}", ["'litellm'", "got 5"]),
        ("models: {a: {options: hot}}", ["'options'", "got 'hot'"]),
        ("models: {a: {function_calling: perhaps}}", ["'function_calling'", "got 'perhaps'"]),
        ("models: {a: {api_key: sk-1}}", ["model 'a' has no field 'api_key'. Did you mean 'api_key_env'?"]),
        ("models: {a: {options: {api_key: sk-1}}}", ["option 'api_key' would put a secret"]),
        ("models: {a: openai/gpt-4o}", ["models.a must hold fields; it holds 'openai/gpt-4o'"]),
        ("models: [a, b]", ["section 'models' maps names to entries; it holds ['a', 'b']"]),
        ("models: {a: {}}\nexclude: a@@none", ["'exclude' is a list of patterns", "'a@@none'"]),
        ("models: {a: {}}\nexclude: ['a@@calculator']", ["The pattern 'a@@calculator' names no pair"]),
        ("models: {a: {}}\nexclude: ['b@@*']", ["The pattern 'b@@*' names no pair"]),
        ("models: {a: {}}\nexclude: ['*']", ["no pair is left"]),
        ("models: {'a@@b': {}}", ["'a@@b' can't name a model"]),
        ("models:", ["a pool needs at least one model"]),
        ("", ["a pool file has the sections models, tools, exclude, pairs; this one holds None"]),
        ("- a", ["a pool file has the sections"]),
        ("models: {a: {}", ["Can't read the pool file", "line 1"]),
        ("models: {{name}}", ["Can't read the pool file", "can't be a key"]),
        ("models: {a: {description: 2024-13-45}}", ["Can't read the pool file", "month must be in 1..12"]),
        ("models: !!int ''", ["Can't read the pool file"]),
        ("models: !!timestamp x", ["Can't read the pool file"]),
        ("models: !!python/object:os.system {}", ["Can't read the pool file"]),
    ],
)
def test_a_typo_is_named_with_the_file(tmp_path: Path, content: str, messages: list[str]) -> None:
    with pytest.raises(PoolError) as caught:
        load(tmp_path, content)
    for message in (*messages, str(tmp_path / "pool.yaml")):
        assert message in str(caught.value)
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"models: \xff"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "pool.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PoolError, match="Can't read the pool file") as caught:
        Pool.load(path)
    assert str(path) in str(caught.value)


words = st.sampled_from(
    [
        "models:",
        "tools:",
        "exclude:",
        " a:",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "- ",
        "&x",
        "*x",
        "<<:",
        "? ",
        "!!int",
        "'",
        "2024-99-01",
    ]
)


@given(st.text(max_size=40) | st.lists(words, max_size=12).map("".join))
def test_any_file_gives_a_pool_or_our_error(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            pairs, problem = len(load(Path(folder), content)), ""
        except PoolError as error:
            pairs, problem = 0, str(error)
    assert pairs > 0 or "pool.yaml" in problem
