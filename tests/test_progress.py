"""Counting the steps of long work."""

from langchain_atlas.progress import Steps


def told(total: int, numbers: list[int], *, every: int = 1) -> list[tuple[int, int]]:
    calls: list[tuple[int, int]] = []
    step = Steps(total, lambda done, all_of_it: calls.append((done, all_of_it)), every=every)
    for number in numbers:
        step(number)
    return calls


def test_each_step_is_told_with_the_total() -> None:
    assert told(3, [1, 1, 1]) == [(1, 3), (2, 3), (3, 3)]


def test_a_step_may_count_for_several() -> None:
    assert told(10, [4, 6]) == [(4, 10), (10, 10)]


def test_telling_after_several_steps_never_leaves_out_the_end() -> None:
    assert told(7, [1] * 7, every=3) == [(3, 7), (6, 7), (7, 7)]


def test_steps_that_jump_over_the_mark_are_told() -> None:
    assert told(100, [7, 7, 7], every=10) == [(14, 100)]


def test_nobody_need_listen() -> None:
    Steps(2, None)()
