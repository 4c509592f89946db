"""Looking at images in stages: what goes over the wire at each, and what comes of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pictures import data_url, picture

from langchain_atlas import LiveExecutor, Model, Observation, Pair, Pool, Query, Tool, solve
from langchain_atlas.errors import ConstraintError, PoolError
from langchain_atlas.testing import Failure, ScriptedRouter, images_of

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve


IMAGE, WEB = data_url(picture("12 crowns")), "https://example.org/a.png"
SEEING = frozenset({"text", "image"})


class Stages:
    """A script: replies by the stage that a prompt is for, and refusals of what came without the image."""

    def __init__(self, **told: str) -> None:
        self.told = told
        self.seen: list[str] = []

    def __call__(self, body: dict[str, Any]) -> str | Failure:
        if images_of(body) != [IMAGE, WEB]:
            return Failure(400, f"the images did not arrive: {len(images_of(body))} of 2")
        text = body["messages"][-1]["content"][0]["text"]
        for stage, sign in SIGNS.items():
            if sign in text:
                self.seen.append(stage)
                return self.told[stage]
        return Failure(400, f"no stage has this prompt: {text}")


SIGNS = {
    "correct": "Solve the problem again",
    "check": "Check it:",
    "reason": "Solve the problem step by step",
    "diagram": "draw it again",
    "data": "Look at the chart",
    "chart answer": "These data were read",
    "list": "List every object",
    "count": "These objects were listed",
    "read": "Write down all text",
    "text answer": "This text stands in the image",
}
"""Words by which each prompt is told from the others."""

CASES: list[tuple[str, dict[str, str], str]] = [
    ("chart", {"data": "May: 12", "chart answer": "12 is the top.\nAnswer: May"}, "May"),
    ("chart", {"data": "May: 12", "chart answer": "May"}, "May"),
    ("counting", {"list": "1. boat, left", "count": "One.\n**Answer:** 1"}, "1"),
    ("ocr", {"read": "12 CROWNS", "text answer": "It costs 12 crowns."}, "It costs 12 crowns."),
    (
        "geometry",
        {"diagram": "AB = 3, BC = 4", "reason": "Pythagoras.\nAnswer: 5", "check": "All fine.\nVerdict: right"},
        "5",
    ),
    (
        "geometry",
        {
            "diagram": "AB = 3, BC = 4",
            "reason": "3 + 4.\nAnswer: 7",
            "check": "It is no sum.\nVerdict: wrong",
            "correct": "Pythagoras.\nAnswer: 5",
        },
        "5",
    ),
    (
        "geometry",
        {"diagram": "d", "reason": "Answer: 7", "check": "I can't tell", "correct": "Answer: 5"},
        "5",
    ),
]


def pool_of(model: Model, invocation: str, **fields: Any) -> Pool:
    model = model.replace(modalities=fields.pop("modalities", SEEING))
    return Pool(models=(model,), tools=(Tool(name="t", invocation=invocation, **fields),))


def execute(run: Run, pool: Pool, query: Query) -> Observation:
    return run(LiveExecutor(pool), Pair("small", "t"), query)


class TestStages:
    @pytest.mark.parametrize(("invocation", "told", "answer"), CASES)
    def test_each_gets_the_images_and_what_was_found_before(
        self, serve: Serve, reach: Reach, run: Run, invocation: str, told: dict[str, str], answer: str
    ) -> None:
        script = Stages(**told)
        server = serve(script)
        seen = execute(run, pool_of(reach(server), invocation), Query(text="What is it?", images=(IMAGE, WEB)))
        assert (seen.answer, seen.error) == (answer, None)
        assert script.seen == list(told), "all stages, in this order"
        assert seen.model_calls == len(told)
        texts = [body["messages"][-1]["content"][0]["text"] for body in server.bodies]
        assert all("What is it?" in text for text in texts if "all text in the image" not in text)
        first, *others = told.values()
        assert all(first in text for text in texts[1:])
        assert others

    def test_history_system_and_options_go_along(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("Answer: 3")
        query = Query(text="And now?", images=(IMAGE,), context="boats", history=(HumanMessage("Hi"), AIMessage("Ho")))
        pool = pool_of(reach(server), "counting", settings={"system": "Be exact.", "options": {"max_tokens": 9}})
        assert execute(run, pool, query).answer == "3"
        for body in server.bodies:
            assert body["max_tokens"] == 9
            assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
            assert "And now?\n\nContext:\nboats" in body["messages"][-1]["content"][0]["text"]

    def test_prompts_may_be_ones_own(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("two {query} boats")
        settings = {"prompts": {"list": "Name the {query}", "count": "{list} / {query} / {other}"}}
        execute(run, pool_of(reach(server), "counting", settings=settings), Query(text="boats", images=(IMAGE,)))
        texts = [body["messages"][0]["content"][0]["text"] for body in server.bodies]
        assert texts == ["Name the boats", "two {query} boats / boats / {other}"]

    def test_a_stage_that_fails_is_an_observation(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(lambda body: "list" if "List every" in str(body) else Failure(400, "no more images today"))
        seen = execute(run, pool_of(reach(server), "counting"), Query(text="?", images=(IMAGE,)))
        assert "no more images today" in (seen.error or "")
        assert seen.model_calls == 2

    def test_silence_in_a_stage_is_a_failure(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = execute(run, pool_of(reach(serve("")), "counting"), Query(text="?", images=(IMAGE,)))
        assert seen.error == "InvocationError: The model said nothing in the stage 'list'."

    def test_text_alone_may_be_what_is_wanted(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("12 CROWNS")
        pool = pool_of(reach(server), "ocr", settings={"answer": "text"})
        seen = execute(run, pool, Query(text="Read it", images=(IMAGE,)))
        assert (seen.answer, seen.model_calls) == ("12 CROWNS", 1)
        assert images_of(server.bodies[0]) == [IMAGE]


@tool
def read_sign(image: str) -> str:
    """Read a sign."""
    if image == WEB:
        raise ValueError("not reachable")
    return f"sign of {len(image)}"


class TestReadingByTool:
    def test_the_model_sees_the_text_alone(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("12 crowns")
        pool = pool_of(reach(server), "ocr", tools=(read_sign,), modalities=frozenset({"text"}))
        seen = execute(run, pool, Query(text="What does it cost?", images=(IMAGE, WEB)))
        assert seen.answer == "12 crowns"
        text = server.bodies[0]["messages"][0]["content"]
        assert f"sign of {len(IMAGE)}\n\nValueError: not reachable" in text
        assert "What does it cost?" in text

    def test_the_trace_does_not_hold_the_image(self, serve: Serve, reach: Reach, run: Run) -> None:
        pool = pool_of(reach(serve("12")), "ocr", tools=(read_sign,))
        seen = execute(run, pool, Query(text="?", images=(IMAGE, WEB)))
        assert seen.tool_trace[0].arguments["image"].startswith("data:image/png;base64,")
        assert len(seen.tool_trace[0].arguments["image"]) < 80
        assert seen.tool_trace[1].error == "ValueError: not reachable"

    def test_the_text_may_be_the_answer(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("not asked")
        pool = pool_of(reach(server), "ocr", tools=(read_sign,), settings={"answer": "text"})
        assert execute(run, pool, Query(text="?", images=(IMAGE,))).answer == f"sign of {len(IMAGE)}"
        seen = execute(run, pool, Query(text="?", images=(WEB,)))
        assert seen.error == "InvocationError: ValueError: not reachable"
        assert server.bodies == []

    @pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs tesseract")
    def test_tesseract_reads_for_a_model_that_sees_nothing(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("12")
        pool = pool_of(reach(server), "ocr", use="ocr", modalities=frozenset({"text"}))
        assert execute(run, pool, Query(text="How much?", images=(IMAGE,))).answer == "12"
        assert "12 crowns" in server.bodies[0]["messages"][0]["content"]


class TestWithoutAnImage:
    @pytest.mark.parametrize("invocation", ["chart", "counting", "geometry", "ocr"])
    def test_nothing_is_asked(self, serve: Serve, reach: Reach, run: Run, invocation: str) -> None:
        server = serve("?")
        seen = execute(run, pool_of(reach(server), invocation), Query(text="What is 6 times 7?"))
        assert seen.error == "InvocationError: This tool looks at images, and the query has none."
        assert server.bodies == []

    @pytest.mark.parametrize("image", ["chart.png", data_url(b"hello"), "data:image/png;base64,AA=="])
    def test_nor_with_what_is_none(self, serve: Serve, reach: Reach, run: Run, image: str) -> None:
        server = serve("?")
        seen = execute(run, pool_of(reach(server), "chart"), Query(text="?", images=(image,)))
        assert (seen.error or "").startswith("InvocationError: ")
        assert server.bodies == []


BLIND, EYED = Model(name="blind"), Model(name="eyed", modalities=SEEING)
MIXED = Pool(
    models=(BLIND, EYED),
    tools=(
        Tool(name="none", invocation="none"),
        Tool(name="chart", invocation="chart"),
        Tool(name="sign", invocation="ocr", tools=(read_sign,)),
    ),
)


class TestPool:
    def test_text_models_are_not_paired_with_looking(self) -> None:
        assert Tool(name="c", invocation="chart").needs == {"image"}
        assert MIXED.impossible == {Pair("blind", "chart"): "the model can't read image"}
        assert Pair("blind", "sign") in MIXED.pairs, "the tool reads for it"

    def test_says_which_pairs_suit_a_query(self) -> None:
        assert MIXED.suited(images=False) == {Pair("blind"), Pair("eyed")}
        assert MIXED.suited(images=True) == {
            Pair("blind", "sign"),
            Pair("eyed"),
            Pair("eyed", "chart"),
            Pair("eyed", "sign"),
        }

    @pytest.mark.parametrize(
        ("pool_tool", "problem"),
        [
            (Tool(name="t", invocation="chart", tools=(read_sign,)), "'chart' asks the model itself and takes no tool"),
            (Tool(name="t", invocation="chart", settings={"prompts": {"count": "?"}}), "stage 'count'. Valid: 'ext"),
            (Tool(name="t", invocation="ocr", use="calculator"), "takes one tool with an argument 'image'"),
            (Tool(name="t", invocation="ocr", settings={"answer": "me"}), "'answer'"),
        ],
    )
    def test_mistakes_are_refused_when_the_executor_is_made(self, pool_tool: Tool, problem: str) -> None:
        with pytest.raises(PoolError, match=problem):
            LiveExecutor(Pool(models=(EYED,), tools=(pool_tool,)))


class TestLoop:
    """Routers are not offered pairs that can't answer."""

    def asked(self, router: ScriptedRouter, query: Query, pool: Pool = MIXED) -> Query:
        class Nothing(LiveExecutor):
            def run(self, pair: Pair, query: Query) -> Observation:  # noqa: ARG002
                return Observation(pair=pair, answer="ok")

        solve(query, router, Nothing(pool))
        return router.queries[0]

    def test_a_query_without_images_gets_no_tool_that_looks(self) -> None:
        query = self.asked(ScriptedRouter("eyed@@none"), Query(text="?"))
        assert query.constraints.pairs == {Pair("blind"), Pair("eyed")}
        with pytest.raises(ConstraintError, match="'eyed@@chart'"):
            self.asked(ScriptedRouter("eyed@@chart", "eyed@@none"), Query(text="?"))

    def test_one_with_images_gets_no_pair_that_is_blind(self) -> None:
        query = self.asked(ScriptedRouter("eyed@@none"), Query(text="?", images=(IMAGE,)))
        assert query.constraints.pairs == MIXED.suited(images=True)

    def test_what_the_caller_allows_still_holds(self) -> None:
        query = Query(text="?", constraints={"pairs": frozenset({"blind", "eyed@@chart"})})
        assert self.asked(ScriptedRouter("blind@@none"), query).constraints.pairs == {Pair("blind")}

    @pytest.mark.parametrize("images", [(), (IMAGE,)])
    def test_where_nothing_suits_the_query_stays_as_it_is(self, images: tuple[str, ...]) -> None:
        pool = Pool(models=(BLIND,)) if images else Pool(models=(EYED,), tools=(Tool(name="t", invocation="chart"),))
        pair = pool.pairs[0]
        query = self.asked(ScriptedRouter(pair), Query(text="?", images=images), pool)
        assert query.constraints.pairs is None
