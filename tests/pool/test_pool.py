"""Models, tools, pairs and pools."""

import contextlib
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import tool as make_tool

from langchain_atlas.errors import AtlasError, PoolError
from langchain_atlas.pool.files import matching
from langchain_atlas.pool.pool import NO_TOOL, Model, Pair, Pool, Tool, read_pairs
from langchain_atlas.pool.prices import _table, find_facts

names = (
    st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)
    | st.text(":/@. ab", min_size=1, max_size=8)
    | st.sampled_from(["openai/gpt-4o:2024", "bedrock/us.a:0", "claude@20240620", "a:b:c", "/", "@", ":"])
)

CALCULATOR = Tool(name="calculator", use="calculator")
PYTHON = Tool(name="python", use="python")


def pool_of(*models: str, tools: tuple[Tool, ...] = (NO_TOOL, CALCULATOR), **more: object) -> Pool:
    return Pool(models=tuple(Model(name=name) for name in models), tools=tools, **more)


class TestPair:
    @given(names, names)
    def test_what_can_be_written_reads_back_the_same(self, model: str, tool: str) -> None:
        try:
            pair = Pair(model, tool)
        except PoolError:
            return
        assert Pair.parse(str(pair)) == pair

    @given(st.text(max_size=30) | st.text("ab@ ", max_size=12))
    def test_any_text_is_a_pair_that_writes_back_or_an_error(self, text: str) -> None:
        try:
            pair = Pair.parse(text)
        except PoolError:
            return
        assert str(pair) == (text.strip() if "@@" in text else f"{text.strip()}@@none")

    @pytest.mark.parametrize(
        "name", ["openai/gpt-4o", "bedrock/us.amazon.nova:0", "claude-3@20240620", "a b", "modèle"]
    )
    def test_names_may_hold_colons_slashes_and_single_ats(self, name: str) -> None:
        assert Pair.parse(f"{name}@@python") == Pair(name, "python")

    def test_a_bare_model_is_the_model_without_a_tool(self) -> None:
        assert Pair.parse(" gpt ") == Pair("gpt", "none")

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("", "model"),
            ("  ", "model"),
            ("@@python", "model"),
            ("gpt@@", "tool"),
            ("gpt @@python", "model"),
            ("gpt@@ python", "tool"),
            ("a@@b@@c", "tool"),
            ("a\nb@@c", "model"),
            ("a@@b\x00c", "tool"),
        ],
    )
    def test_what_is_no_pair_is_refused_by_part(self, text: str, part: str) -> None:
        with pytest.raises(PoolError, match=f"can't name a {part}"):
            Pair.parse(text)

    def test_a_model_may_not_end_where_the_separator_would_be_misread(self) -> None:
        # 'm@' with 'tool' would be written 'm@@@tool', which reads as model 'm' with tool '@tool'.
        with pytest.raises(PoolError, match="does not end in '@'"):
            Pair("m@", "tool")
        assert Pair.parse("m@@@tool") == Pair("m", "@tool")

    def test_pairs_are_ordered_and_can_be_keys(self) -> None:
        assert sorted([Pair("b"), Pair("a", "z"), Pair("a", "c")]) == [Pair("a", "c"), Pair("a", "z"), Pair("b")]
        assert len({Pair("a"), Pair("a", "none")}) == 1

    def test_only_text_can_stand_for_a_pair(self) -> None:
        with pytest.raises(PoolError, match=r"written 'model@@tool'; got 7"):
            Pool(models=(Model(name="m"),), excluded=[7])  # type: ignore[arg-type]


class TestPairsFile:
    def test_comments_and_empty_lines_are_passed_over_and_doubles_dropped(self, tmp_path: Path) -> None:
        path = tmp_path / "pairs.txt"
        path.write_text("# the pool\n\n a@@x \nb@@none\na@@x\n", encoding="utf-8")
        assert read_pairs(path) == (Pair("a", "x"), Pair("b"))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a@@x\nb\n", "line 2: 'b' is not a pair"),
            ("a@@x\n\n@@y\n", "line 3: '' can't name a model"),
            ("# nothing\n", "names no pair"),
            ("", "names no pair"),
        ],
    )
    def test_a_wrong_line_is_named(self, tmp_path: Path, content: str, message: str) -> None:
        path = tmp_path / "pairs.txt"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(PoolError, match=message) as caught:
            read_pairs(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
    def test_an_unreadable_file_is_named(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "pairs.txt"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(PoolError, match=r"Can't read the pairs file '.*pairs\.txt'"):
            read_pairs(path)

    @given(st.binary(max_size=60))
    def test_any_file_gives_pairs_or_our_error(self, content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pairs.txt"
            path.write_bytes(content)
            with contextlib.suppress(PoolError):
                assert read_pairs(path)


class TestModel:
    def test_the_name_is_the_litellm_id_unless_that_is_given(self) -> None:
        assert Model(name="some/model").litellm == "some/model"
        assert Model(name="mine", litellm="some/model").litellm == "some/model"

    def test_prices_and_abilities_come_from_litellms_table(self) -> None:
        table = _table()["gpt-4o-mini"]
        model = Model(name="mini", litellm="gpt-4o-mini")
        assert model.input_cost_per_token == table["input_cost_per_token"] > 0
        assert model.output_cost_per_token == table["output_cost_per_token"] > 0
        assert model.max_input_tokens == table["max_input_tokens"]
        assert model.function_calling is True
        assert model.modalities == {"text", "image", "pdf"}

    def test_an_id_with_its_provider_finds_the_bare_entry(self) -> None:
        assert Model(name="openai/gpt-4o-mini").input_cost_per_token == _table()["gpt-4o-mini"]["input_cost_per_token"]

    def test_another_providers_entry_is_not_taken(self) -> None:
        assert find_facts("acme/gpt-4o-mini") == {}

    def test_what_is_given_goes_before_the_table(self) -> None:
        model = Model(name="mini", litellm="gpt-4o-mini", input_cost_per_token=0.5, function_calling=False)
        assert model.input_cost_per_token == 0.5
        assert model.function_calling is False
        assert model.output_cost_per_token == _table()["gpt-4o-mini"]["output_cost_per_token"]

    def test_an_unknown_price_stays_unknown(self) -> None:
        model = Model(name="acme/nobody-knows-it")
        assert (model.input_cost_per_token, model.output_cost_per_token) == (None, None)
        assert model.function_calling is None
        assert model.price(10, 10) is None

    def test_the_price_of_a_call(self) -> None:
        # 1000 tokens read at $0.002 and 500 written at $0.004: 2 + 2 = 4 dollars.
        model = Model(name="m", input_cost_per_token=0.002, output_cost_per_token=0.004)
        assert model.price(1000, 500) == pytest.approx(4.0)
        assert model.price(None, 500) is None
        assert model.price(1000, None) is None

    def test_half_a_price_prices_nothing(self) -> None:
        assert Model(name="acme/m", input_cost_per_token=0.002).price(1000, 0) is None

    def test_a_free_model_costs_nothing_which_is_not_unknown(self) -> None:
        assert Model(name="local", input_cost_per_token=0, output_cost_per_token=0).price(10, 10) == 0

    def test_every_model_of_litellms_table_can_be_in_a_pool(self) -> None:
        models = [Model(name=name) for name in _table()]
        assert len(models) > 1000
        assert all(model.max_input_tokens is None or model.max_input_tokens > 0 for model in models)

    @pytest.mark.parametrize(
        "options",
        [
            {"api_key": "x"},
            {"API_KEY": "x"},
            {"openai_api_key": "x"},
            {"token": "x"},
            {"aws_session_token": "x"},
            {"aws_secret_access_key": "x"},
            {"password": "x"},
            {"extra_headers": {"Authorization": "x"}},
            {"model_kwargs": {"fallbacks": [{"api_key": "x"}]}},
        ],
    )
    def test_a_secret_is_refused_however_deep(self, options: dict[str, object]) -> None:
        with pytest.raises(PoolError, match="would put a secret into the pool; set 'api_key_env'"):
            Model(name="m", options=options)

    def test_options_that_merely_speak_of_tokens_are_fine(self) -> None:
        options = {"max_tokens": 5, "max_completion_tokens": 5, "temperature": 0, "api_base": "http://localhost"}
        assert Model(name="m", options=options).options == options

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"name": "a@@b"}, "can't name a model"),
            ({"name": "m", "input_cost_per_token": -1}, "'input_cost_per_token'.*got -1"),
            ({"name": "m", "max_input_tokens": 0}, "'max_input_tokens'.*got 0"),
            ({"name": "m", "modalities": ["smell"]}, "got 'smell'"),
            ({"name": "m", "litellm": 5}, "'litellm'.*got 5"),
            ({"name": "m", "descripton": "typo"}, "no field 'descripton'"),
        ],
    )
    def test_a_wrong_field_is_named(self, fields: dict[str, object], message: str) -> None:
        with pytest.raises(PoolError, match=message):
            Model(**fields)  # type: ignore[arg-type]


class TestTool:
    def test_it_wraps_langchain_tools_or_names_one_to_build(self) -> None:
        @make_tool
        def shout(text: str) -> str:
            """Say it loud."""
            return text.upper()

        assert Tool(name="shout", tools=(shout,)).tools == (shout,)
        assert Tool(name="calc", use="calculator").tools == ()
        with pytest.raises(PoolError, match="both 'tools' and 'use'"):
            Tool(name="t", tools=(shout,), use="calculator")

    @pytest.mark.parametrize("invocation", ["native", "prompted", "grounded"])
    def test_an_invocation_that_calls_tools_needs_one(self, invocation: str) -> None:
        with pytest.raises(PoolError, match=f"'t' with invocation '{invocation}' wraps no tool"):
            Tool(name="t", invocation=invocation)

    def test_no_invocation_means_no_tool(self) -> None:
        with pytest.raises(PoolError, match="'none' would never call them"):
            Tool(name="t", invocation="none", use="calculator")

    def test_an_invocation_of_somebody_elses_is_not_judged(self) -> None:
        assert Tool(name="t", invocation="voting").invocation == "voting"


class TestPool:
    def test_pairs_are_the_product_models_first(self) -> None:
        pool = pool_of("a", "b")
        assert [str(pair) for pair in pool] == ["a@@none", "a@@calculator", "b@@none", "b@@calculator"]
        assert len(pool) == 4
        assert Pair("a", "calculator") in pool
        assert Pair("a", "python") not in pool

    def test_a_pool_without_tools_asks_models_alone(self) -> None:
        assert Pool(models=(Model(name="a"),)).pairs == (Pair("a"),)

    def test_excluded_pairs_are_left_out(self) -> None:
        pool = pool_of("a", "b", excluded=frozenset({Pair("a", "calculator")}))
        assert Pair("a", "calculator") not in pool
        assert len(pool) == 3

    @pytest.mark.parametrize(
        ("pool", "message"),
        [
            (lambda: Pool(models=()), "needs at least one model"),
            (lambda: Pool(models=(Model(name="a"),), tools=()), "needs at least one tool"),
            (lambda: pool_of("a", "a"), "model names must be unique; 'a' appears twice"),
            (lambda: pool_of("a", tools=(NO_TOOL, NO_TOOL)), "tool names must be unique; 'none' appears twice"),
            (
                lambda: pool_of("gpt-4o", excluded=frozenset({Pair("gpt4o")})),
                "Unknown model 'gpt4o'. Did you mean 'gpt-4o'",
            ),
            (lambda: pool_of("a", excluded=frozenset({Pair("a", "abacus")})), "Unknown tool 'abacus'"),
            (lambda: pool_of("a", tools=(NO_TOOL,), excluded=frozenset({Pair("a")})), "no pair is left"),
        ],
    )
    def test_a_pool_that_makes_no_sense_is_refused(self, pool: type[Pool], message: str) -> None:
        with pytest.raises(PoolError, match=message):
            pool()

    def test_impossible_pairs_are_left_out_with_the_reason(self) -> None:
        chart = Tool(name="chart", use="calculator", invocation="prompted", needs=frozenset({"image"}))
        pool = Pool(
            models=(
                Model(name="plain", function_calling=False),
                Model(name="seeing", modalities=frozenset({"text", "image"}), function_calling=True),
                Model(name="unknown"),
            ),
            tools=(NO_TOOL, CALCULATOR, chart),
        )
        assert pool.impossible == {
            Pair("plain", "calculator"): "the model has no native function calling",
            Pair("plain", "chart"): "the model can't read image",
            Pair("unknown", "chart"): "the model can't read image",
        }
        assert set(pool.pairs) == {
            Pair("plain"),
            Pair("seeing"),
            Pair("seeing", "calculator"),
            Pair("seeing", "chart"),
            Pair("unknown"),
            Pair("unknown", "calculator"),  # what is not known is tried
        }

    def test_check_says_why_a_pair_may_not_be_asked(self) -> None:
        pool = Pool(
            models=(Model(name="plain", function_calling=False), Model(name="other")),
            tools=(NO_TOOL, CALCULATOR),
            excluded=frozenset({Pair("other")}),
        )
        assert pool.check(Pair("plain")) == Pair("plain")
        with pytest.raises(PoolError, match="'plain@@calculator' can't work: the model has no native"):
            pool.check(Pair("plain", "calculator"))
        with pytest.raises(PoolError, match="'other@@none' is excluded"):
            pool.check(Pair("other"))
        with pytest.raises(PoolError, match=r"Unknown pair 'othr@@calculator'. Did you mean 'other@@calculator'"):
            pool.check(Pair("othr", "calculator"))

    def test_members_are_found_by_name(self) -> None:
        pool = pool_of("a")
        assert pool.model("a").name == "a"
        assert pool.tool("calculator") == CALCULATOR
        with pytest.raises(PoolError, match=r"Unknown tool 'calculater'. Did you mean 'calculator'"):
            pool.tool("calculater")

    def test_extend_gives_a_larger_pool_and_leaves_the_old_one(self) -> None:
        pool = pool_of("a", excluded=frozenset({Pair("a", "calculator")}))
        larger = pool.extend(models=[Model(name="b")], tools=[PYTHON])
        assert set(map(str, larger)) == {"a@@none", "a@@python", "b@@none", "b@@calculator", "b@@python"}
        assert [str(pair) for pair in pool] == ["a@@none"]
        with pytest.raises(PoolError, match="'a' appears twice"):
            pool.extend(models=[Model(name="a")])

    @given(st.data())
    def test_restrict_gives_just_the_asked_pairs_and_leaves_the_old_pool(self, data: st.DataObject) -> None:
        chart = Tool(name="chart", use="calculator", needs=frozenset({"image"}))
        pool = pool_of("a", "b", "c", tools=(NO_TOOL, CALCULATOR, PYTHON, chart), excluded=frozenset({Pair("b")}))
        before = pool.pairs
        wanted = data.draw(st.lists(st.sampled_from(before), min_size=1))
        smaller = pool.restrict(wanted)
        assert smaller.pairs == tuple(pair for pair in before if pair in wanted)  # in the old order
        assert {model.name for model in smaller.models} == {pair.model for pair in wanted}
        assert {tool.name for tool in smaller.tools} == {pair.tool for pair in wanted}
        assert pool.pairs == before

    def test_restrict_takes_written_pairs_and_refuses_strangers(self) -> None:
        pool = pool_of("a", "b")
        assert pool.restrict(["a", "b@@calculator"]).pairs == (Pair("a"), Pair("b", "calculator"))
        with pytest.raises(PoolError, match="Unknown pair 'z@@none'"):
            pool.restrict(["z"])
        with pytest.raises(PoolError, match="at least one model"):
            pool.restrict([])

    def test_a_pool_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            pool_of("a").models = ()  # type: ignore[misc]

    def test_the_fingerprint_is_that_of_an_equal_pool(self) -> None:
        assert pool_of("a", "b").fingerprint == pool_of("a", "b").fingerprint

    def test_the_fingerprint_changes_with_pairs_ids_and_ways_of_use(self) -> None:
        pools = [
            pool_of("a", "b"),
            pool_of("b", "a"),
            pool_of("a", "c"),
            pool_of("a", "b", excluded=frozenset({Pair("a")})),
            pool_of("a", "b", tools=(NO_TOOL, PYTHON)),
            pool_of("a", "b", tools=(NO_TOOL, Tool(name="calculator", use="python"))),
            pool_of("a", "b", tools=(NO_TOOL, Tool(name="calculator", use="calculator", invocation="prompted"))),
            Pool(models=(Model(name="a", litellm="x/a"), Model(name="b")), tools=(NO_TOOL, CALCULATOR)),
        ]
        for one, other in itertools.combinations(pools, 2):
            assert one.fingerprint != other.fingerprint

    def test_the_fingerprint_does_not_change_with_prices_and_descriptions(self) -> None:
        plain = Pool(models=(Model(name="a"),))
        told = Pool(models=(Model(name="a", description="A model.", input_cost_per_token=1.0),))
        assert plain.fingerprint == told.fingerprint


class TestPatterns:
    MODELS = (Model(name="gemma-small"), Model(name="gemma-large"), Model(name="llama"))
    TOOLS = (NO_TOOL, CALCULATOR)

    @pytest.mark.parametrize(
        ("pattern", "named"),
        [
            ("gemma*@@calculator", ["gemma-small@@calculator", "gemma-large@@calculator"]),
            ("llama@@*", ["llama@@none", "llama@@calculator"]),
            ("llama", ["llama@@none", "llama@@calculator"]),
            ("*@@none", ["gemma-small@@none", "gemma-large@@none", "llama@@none"]),
            ("gemma-?mall@@none", ["gemma-small@@none"]),
        ],
    )
    def test_a_pattern_names_pairs(self, pattern: str, named: list[str]) -> None:
        assert [str(pair) for pair in matching(pattern, self.MODELS, self.TOOLS)] == named

    @pytest.mark.parametrize("pattern", ["gpt*@@none", "llama@@abacus", "LLAMA@@none", ""])
    def test_a_pattern_that_names_nothing_is_an_error(self, pattern: str) -> None:
        with pytest.raises(PoolError, match="names no pair of this pool"):
            matching(pattern, self.MODELS, self.TOOLS)


def test_pool_errors_are_callers_mistakes() -> None:
    assert issubclass(PoolError, AtlasError)
    assert issubclass(PoolError, ValueError)
