"""The contract of verifiers, several of them as one, and a user's function as one."""

from __future__ import annotations

import asyncio
import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.amounts import add_known
from langchain_atlas.errors import SettingError
from langchain_atlas.masking import error_text
from langchain_atlas.trajectory import Verdict
from langchain_atlas.usage import Spending, Usage

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Observation, Query

Checking = Callable[[str, str], "bool | str | Verdict | None"]
"""A user's check: takes the query's text and the answer. True or an empty text passes, False or a reason fails, None
says nothing."""


class Verifier(ABC):
    """Checks an answer by something other than another answer.

    It says whether the answer passed, and may err: how much a verdict is worth is learned from outcomes. It should say
    ``unknown`` where it does not apply. Override `verify`, and `averify` too if it waits for something.
    """

    @property
    def name(self) -> str:
        """Its name in verdicts."""
        return type(self).__name__.removesuffix("Verifier").lower()

    @abstractmethod
    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer.

        Args:
            query: the query.
            observation: the observation with the answer, which is not None.
        """

    async def averify(self, query: Query, observation: Observation) -> Verdict:
        """Async version of `verify`; by default it runs on another thread."""
        return await asyncio.to_thread(self.verify, query, observation)

    def judged(self, query: Query, observation: Observation) -> Observation:
        """Return an observation with the verdict on its answer; one without an answer is unchanged.

        A check that raises says nothing of the answer: its verdict is ``unknown``.
        """
        if observation.failed or not observation.answer:
            return observation
        start = time.perf_counter()
        try:
            verdict = self.verify(query, observation)
        except Exception as error:  # noqa: BLE001  # whatever a check raises, the answer is there
            verdict = _unmade(error)
        return _with(observation, verdict, self.name, time.perf_counter() - start)

    async def ajudged(self, query: Query, observation: Observation) -> Observation:
        """Async version of `judged`."""
        if observation.failed or not observation.answer:
            return observation
        start = time.perf_counter()
        try:
            verdict = await self.averify(query, observation)
        except Exception as error:  # noqa: BLE001  # as in `judged`
            verdict = _unmade(error)
        return _with(observation, verdict, self.name, time.perf_counter() - start)


def _unmade(error: Exception) -> Verdict:
    """Return the verdict of a check that raised.

    Raises:
        GraphBubbleUp: the error is one; an interrupt of the graph is not a failure.
    """
    from langgraph.errors import GraphBubbleUp

    if isinstance(error, GraphBubbleUp):
        raise error
    return Verdict(status="unknown", reason=f"The check could not be made: {error_text(error)}")


def _with(observation: Observation, verdict: Verdict, name: str, seconds: float) -> Observation:
    told = verdict.replace(verifier=verdict.verifier or name, latency_s=seconds)
    spent = verdict.spent
    bill = {} if spent is None else {"usage": observation.usage + spent.usage}
    if spent is not None:
        bill["cost_usd"] = add_known(observation.cost_usd, spent.cost_usd)
    return observation.replace(verdict=told, latency_s=add_known(observation.latency_s, seconds), **bill)


class Verifiers(Verifier):
    """Several verifiers as one: an answer fails if it fails one of them, and passes if it passes at least one.

    Args:
        members: the verifiers, or functions, asked in order until one fails the answer.

    Raises:
        SettingError: there is none.
    """

    def __init__(self, *members: Verifier | Checking) -> None:
        if not members:
            raise SettingError("Verifiers() needs at least one verifier.")
        self.members = tuple(as_verifier(member) for member in members)

    @property
    def name(self) -> str:
        """The names of its members."""
        return "+".join(member.name for member in self.members)

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        found: list[Verdict] = []
        for member in self.members:
            found.append(member.verify(query, observation))
            if found[-1].status == "failed":
                break
        return self._joined(found)

    async def averify(self, query: Query, observation: Observation) -> Verdict:
        """Async version of `verify`."""
        found: list[Verdict] = []
        for member in self.members:
            found.append(await member.averify(query, observation))
            if found[-1].status == "failed":
                break
        return self._joined(found)

    def _joined(self, found: Sequence[Verdict]) -> Verdict:
        ranks = {"failed": 0, "passed": 1, "unknown": 2}
        at = min(range(len(found)), key=lambda number: ranks[found[number].status])
        spent = [verdict.spent for verdict in found if verdict.spent is not None]
        total = None
        if spent:
            usage = sum((one.usage for one in spent), Usage(input_tokens=0, output_tokens=0))
            total = Spending(usage=usage, cost_usd=add_known(*(one.cost_usd for one in spent)))
        return found[at].replace(verifier=self.members[at].name, spent=total)


class FunctionVerifier(Verifier):
    """A user's function as a verifier.

    Args:
        function: see `Checking`; it may be asynchronous if the executor is used asynchronously.
        name: its name in verdicts; by default the function's.
    """

    def __init__(self, function: Checking, name: str | None = None) -> None:
        if not callable(function):
            raise SettingError(f"{function!r} can't check answers; give a function of the query's text and the answer.")
        self.function = function
        self._name = name or str(getattr(function, "__name__", type(function).__name__))

    @property
    def name(self) -> str:
        """The function's name."""
        return self._name

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        said: Any = self.function(query.text, observation.answer or "")
        if inspect.isawaitable(said):
            getattr(said, "close", lambda: None)()
            raise SettingError(f"{self.name!r} is asynchronous, and this call is not; use ainvoke or asolve.")
        return _verdict(said, self.name)

    async def averify(self, query: Query, observation: Observation) -> Verdict:
        """Async version of `verify`."""
        if inspect.iscoroutinefunction(self.function):
            return _verdict(await self.function(query.text, observation.answer or ""), self.name)
        return await asyncio.to_thread(self.verify, query, observation)


def _verdict(said: Any, name: str) -> Verdict:
    if isinstance(said, Verdict):
        return said
    if said is None:
        return unknown("It says nothing of this answer.")
    if isinstance(said, str):
        return failed(said) if said else passed("")
    if isinstance(said, bool) or type(said).__name__ == "bool_":
        return passed("") if said else failed("")
    raise SettingError(f"{name!r} returned {said!r}; a check returns True, False, a reason, None or a Verdict.")


def as_verifier(given: Any) -> Verifier:
    """Return a verifier unchanged, or make one of a function, or of a list of both.

    Raises:
        SettingError: it is none of these.
    """
    if isinstance(given, Verifier):
        return given
    if isinstance(given, list | tuple):
        return Verifiers(*given)
    return FunctionVerifier(given)


def passed(reason: str) -> Verdict:
    """Return the verdict that an answer passed."""
    return Verdict(status="passed", reason=reason)


def failed(reason: str) -> Verdict:
    """Return the verdict that an answer failed."""
    return Verdict(status="failed", reason=reason)


def unknown(reason: str) -> Verdict:
    """Return the verdict that nothing is known of an answer."""
    return Verdict(status="unknown", reason=reason)
