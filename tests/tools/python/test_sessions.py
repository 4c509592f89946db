"""Conversations of stateful tools that are carried on in several contexts, by a key."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_atlas.tools.python import sessions
from langchain_atlas.tools.python.sessions import current_sessions, tool_sessions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class Sandbox:
    """Notes when its sessions begin and end."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    @contextmanager
    def session(self) -> Iterator[object]:
        self.noted.append("begun")
        yield object()
        self.noted.append("ended")


def session(key: str | None, sandbox: Any, *, last: bool = False) -> object:
    with tool_sessions(key, last=last) as conversation:
        return conversation.of(sandbox)


def test_contexts_of_one_key_share_a_conversation_until_the_last() -> None:
    sandbox = Sandbox()
    first, second, other = session("a", sandbox), session("a", sandbox, last=True), session("a", sandbox, last=True)
    assert first is second
    assert first is not other
    assert sandbox.noted == ["begun", "ended", "begun", "ended"]
    assert current_sessions() is None


def test_other_keys_and_no_key_are_conversations_of_their_own() -> None:
    sandbox = Sandbox()
    found = [session("a", sandbox), session("b", sandbox), session(None, sandbox), session(None, sandbox)]
    assert len(set(map(id, found[:2]))) == 2
    assert sandbox.noted.count("ended") == 2, "those without a key end with their context"
    session("a", sandbox, last=True)
    session("b", sandbox, last=True)
    assert sandbox.noted.count("ended") == 4


def test_inside_another_conversation_it_is_that_one() -> None:
    sandbox = Sandbox()
    with tool_sessions() as outer:
        assert session("a", sandbox) is outer.of(sandbox)  # type: ignore[arg-type]


def test_threads_share_it_and_it_ends_when_nobody_uses_it() -> None:
    sandbox, inside, go_on = Sandbox(), threading.Event(), threading.Event()

    def use() -> None:
        with tool_sessions("a", last=False) as conversation:
            conversation.of(sandbox)  # type: ignore[arg-type]
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=use)
    thread.start()
    assert inside.wait(10)
    session("a", sandbox, last=True)
    assert sandbox.noted == ["begun"], "the other thread is not done"
    go_on.set()
    thread.join()
    session("a", sandbox, last=True)
    assert sandbox.noted == ["begun", "ended"]


def test_of_too_many_those_not_used_for_longest_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_KEPT", 2)
    boxes = {name: Sandbox() for name in "abcd"}
    for name in "abac":
        session(name, boxes[name])
    assert {name: box.noted for name, box in boxes.items()} == {
        "a": ["begun"],
        "b": ["begun", "ended"],
        "c": ["begun"],
        "d": [],
    }
    session("a", boxes["a"], last=True)
    session("c", boxes["c"], last=True)
