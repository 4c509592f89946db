"""Products of matrices that decisions take are made on one thread, whatever the process is set to, and are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from langchain_atlas.engines.products import one_thread, product

SIZES = st.integers(0, 300)

SPENT = """
import json, sys, time
import numpy as np
from langchain_atlas.engines.products import product

spent = {}
time.sleep(0.5)  # until the threads that NumPy has started rest
for n, m, k in json.loads(sys.argv[1]):
    left, right = np.ones((n, m), np.float32), np.ones((k, m), np.float32).T
    process, thread = time.process_time(), time.thread_time()
    for _ in range(300):
        product(left, right)
    thread = time.thread_time() - thread
    spent[f"{n} x {m} x {k}"] = (time.process_time() - process - thread) / thread
print(json.dumps(spent))
"""


@given(SIZES, SIZES, SIZES, st.sampled_from([np.float32, np.float64]), st.booleans())
def test_they_are_those_of_numpy(n: int, m: int, k: int, kind: type, stacked: bool) -> None:
    draw = np.random.default_rng(n * m + k)
    left, right = draw.normal(size=(2, n, m) if stacked else (n, m)).astype(kind), draw.normal(size=(m, k)).astype(kind)
    found = product(left, right)
    assert found.shape == (left @ right).shape
    assert found.dtype == kind
    np.testing.assert_allclose(found, left @ right, rtol=1e-3, atol=1e-3 if kind is np.float32 else 1e-9)


@pytest.mark.parametrize("shape", [(1, 778, 714), (1, 781, 2000), (38, 100, 100), (512, 47, 64), (3, 0, 5), (0, 3, 5)])
def test_parts_are_put_together_in_order(shape: tuple[int, int, int]) -> None:
    n, m, k = shape
    left, right = np.arange(n * m, dtype=np.float64).reshape(n, m), np.arange(m * k, dtype=np.float64).reshape(m, k)
    np.testing.assert_allclose(product(left, right), left @ right)


def test_no_other_thread_takes_part_in_small_ones() -> None:
    shapes = [(1, 778, 714), (1, 384, 5000), (152, 64, 64), (71, 64, 64), (1, 397, 4500)]
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    ran = subprocess.run(
        [sys.executable, "-c", SPENT, json.dumps(shapes)],
        capture_output=True, text=True, check=False, timeout=120, env=variables,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    spent = json.loads(ran.stdout)
    assert max(spent.values()) < 0.2, spent  # with BLAS's threads, 0.5 to 100


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_work_of_many_products_takes_one_thread_and_gives_the_others_back() -> None:
    with threadpool_limits(3, user_api="blas"):
        with one_thread():
            assert blas_threads() == {1}
            with one_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {3}


def test_a_block_that_outlives_the_first_one_leaves_everything_as_it_was() -> None:
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        with one_thread():
            entered.set()
            leave.wait(10)

    with threadpool_limits(3, user_api="blas"):
        other = threading.Thread(target=work)
        with one_thread():
            other.start()
            assert entered.wait(10)
        assert blas_threads() == {3}
        leave.set()
        other.join()
        assert blas_threads() == {3}
        with one_thread():
            assert blas_threads() == {1}


def test_they_are_given_back_after_an_error() -> None:
    with threadpool_limits(3, user_api="blas"):
        with pytest.raises(ValueError, match="wrong"), one_thread():
            raise ValueError("wrong")
        assert blas_threads() == {3}
