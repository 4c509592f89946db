"""What an integration that goes its own way forgets is found by the conformance suite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_atlas import LiveExecutor, Query, Router
from langchain_atlas.testing import IntegrationConformance
from langchain_atlas.testing.integrations import Noted
from langchain_atlas.trajectory import START, Observation

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable


class Naive(IntegrationConformance):
    """A loop of its own: it calls the model of whatever pair the router names, up to nine times."""

    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:  # noqa: ARG002
        def run(given: Any) -> AIMessage:
            query, trajectory = Query(text=given["messages"][-1].text), START
            for _ in range(9):
                decision = router.decide(query, trajectory)
                if decision.pair is None:
                    break
                try:
                    said = executor.chat_model(decision.pair.model).invoke(given["messages"]).text
                    seen = Observation(pair=decision.pair, answer=said)
                except Exception as error:  # noqa: BLE001  # as naive as it gets
                    seen = Observation(pair=decision.pair, error=f"{type(error).__name__}: {error}")
                trajectory = trajectory.then(decision, seen)
            answers = [seen.answer for seen in trajectory.observations if seen.answer is not None]
            record = {"answered": bool(answers), **trajectory.to_json()}
            return AIMessage(answers[-1] if answers else "", response_metadata={"atlas": record})

        return RunnableLambda(run)


KEPT = {
    "gives_the_answer_of_the_routers_pair",
    "goes_on_to_the_routers_next_choice",
    "raises_errors_of_the_kind_of_what_failed",
    "sends_an_image_to_the_routers_pairs_where_none_is_said_to_see",
}
"""What even that one keeps."""
NAMES = [name for name in vars(IntegrationConformance) if name.startswith("test_")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_is_forgotten_is_found(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"monkeypatch": monkeypatch} if name == "test_shows_no_key" else {}

    def run() -> None:
        getattr(Naive(), name)(way, Noted(), **more)

    if name.removeprefix("test_") in KEPT:
        run()
    else:
        with pytest.raises(AssertionError):
            run()
