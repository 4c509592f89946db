"""Records: frozen, strict about their fields, clear about what is wrong, the same after a trip through JSON."""

import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas.errors import InvalidInputError, PoolError, suggest
from langchain_atlas.pool.pool import Model, Pair
from langchain_atlas.records import Record
from langchain_atlas.trajectory import Candidate, Constraints, Decision, Observation, Query, Step, ToolTrace, Trajectory
from langchain_atlas.usage import Usage

texts = st.text(max_size=20)
names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8).filter(
    lambda name: "@@" not in name and not name.endswith("@")
)
pairs = st.builds(Pair, names, names)
numbers = st.floats(0, 1e6) | st.none()
counts = st.integers(0, 10**9) | st.none()

queries = st.builds(
    Query,
    text=texts,
    id=texts | st.none(),
    context=texts | st.none(),
    images=st.lists(texts, max_size=2).map(tuple),
    constraints=st.builds(
        Constraints,
        max_cost_usd=numbers,
        max_latency_s=st.floats(1e-3, 1e6) | st.none(),
        pairs=st.frozensets(pairs, max_size=3) | st.none(),
    ),
    cost_weight=st.floats(0, 1) | st.none(),
)
observations = st.builds(
    Observation,
    pair=pairs,
    answer=texts | st.none(),
    error=texts | st.none(),
    usage=st.builds(Usage, input_tokens=counts, output_tokens=counts),
    cost_usd=numbers,
    latency_s=numbers,
    tool_trace=st.lists(
        st.builds(ToolTrace, name=texts, arguments=st.dictionaries(texts, st.integers() | texts, max_size=2)),
        max_size=2,
    ).map(tuple),
)
candidates = st.builds(
    Candidate,
    pair=pairs,
    expected_success=st.floats(0, 1),
    evidence=counts,
    interval=st.tuples(st.floats(0, 1), st.floats(0, 1)) | st.none(),
    expected_cost_usd=numbers,
)
routes = st.builds(Decision, kind=st.just("route"), pair=pairs, input=texts | st.none(), chosen=candidates | st.none())
others = st.builds(Decision, kind=st.sampled_from(["think", "answer"]), answer=texts | st.none(), reason=texts)
steps = st.builds(Step, decision=routes, observation=observations) | st.builds(Step, decision=others)
trajectories = st.builds(Trajectory, steps=st.lists(steps, max_size=3).map(tuple))


class Box(Record):
    """A record for these tests."""

    size: int
    label: str = ""


@given(queries | observations | routes | others | trajectories)
def test_a_record_is_the_same_after_a_trip_through_json(record: Record) -> None:
    assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_pair_is_written_as_text_in_json() -> None:
    observation = Observation(pair=Pair("gpt", "python"), answer="4")
    assert observation.to_json()["pair"] == "gpt@@python"


def test_a_record_cannot_be_changed() -> None:
    box = Box(size=1)
    with pytest.raises(ValueError, match="frozen"):
        box.size = 2  # type: ignore[misc]
    assert box.size == 1


def test_replace_makes_a_changed_copy_and_checks_it() -> None:
    box = Box(size=1, label="small")
    assert box.replace(size=2) == Box(size=2, label="small")
    assert box == Box(size=1, label="small")
    with pytest.raises(InvalidInputError, match=r"Box field 'size': .*got 'big'"):
        box.replace(size="big")


def test_every_problem_is_named_with_its_field_and_value() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Box(label=3, colour="red")  # type: ignore[call-arg, arg-type]
    message = str(caught.value)
    assert "Box needs the field 'size'" in message
    assert "Box field 'label': Input should be a valid string (got 3)" in message
    assert "Box has no field 'colour'" in message
    assert message.endswith(".")
    assert not message.endswith("..")


def test_a_subclass_raises_its_own_kind_of_error() -> None:
    with pytest.raises(PoolError, match="Model needs the field 'name'"):
        Model()  # type: ignore[call-arg]


@pytest.mark.parametrize("data", [[], "text", None, 5, {1: "a"}, [("size", 1)]])
def test_what_is_no_object_cannot_be_a_record(data: object) -> None:
    with pytest.raises(InvalidInputError, match="A Box is read from an object"):
        Box.from_json(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["self", "data", "cls"])
def test_a_field_called_like_a_parameter_of_ours_is_just_unknown(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"Box has no field '{name}'"):
        Box.from_json({"size": 1, name: 2})


def test_no_value_that_our_own_checks_refuse_is_shown_anywhere() -> None:
    """A refused value may be a secret, and tracebacks end up in logs."""
    secret = "-".join(["sk", *map(str, range(9))])  # put together, as a traceback shows lines of this file
    with pytest.raises(PoolError, match="api_key") as caught:
        Model(name="m", options={"api_key": secret})
    assert secret not in "".join(traceback.format_exception(caught.value))


class TestSuggestions:
    def test_the_closest_name_comes_first(self) -> None:
        assert suggest("gpt4o", ["claude", "gpt-4o"]) == "Did you mean 'gpt-4o'? Valid: 'claude', 'gpt-4o'."

    def test_far_names_are_only_listed(self) -> None:
        assert suggest("zzz", ["claude", "gpt-4o"]) == "Valid: 'claude', 'gpt-4o'."

    def test_long_lists_are_cut(self) -> None:
        assert suggest("zzz", ["a", "b", "c", "c"], limit=2) == "Valid: 'a', 'b' and 1 more."

    def test_there_may_be_no_valid_name(self) -> None:
        assert suggest("zzz", []) == "There is nothing to choose from."
