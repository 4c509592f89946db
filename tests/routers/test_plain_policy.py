"""A saved policy decides without torch, as the one that learned does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from asking import sums
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_atlas.errors import ArtifactError
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.recordings import Recordings, held_out_statistics
from langchain_atlas.learning.rollout import follow
from langchain_atlas.loop.turns import solve
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.policy.floor import with_floor
from langchain_atlas.routers.policy.network import PlainPolicy, PolicyConfig
from langchain_atlas.routers.policy.router import RLRouter
from langchain_atlas.routers.policy.state_features import MAX_CALLS, State
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from pathlib import Path

TABLE = sums()
RECORDINGS = Recordings.of(TABLE, FakeEncoder())
HELD_OUT = held_out_statistics(RECORDINGS, seed=0)
TOLERANCE = 1e-5


def random_policy(config: PolicyConfig, seed: int) -> CompactPolicy:
    """Return a policy whose networks all say something, unlike an untrained one."""
    torch.manual_seed(seed)
    policy = CompactPolicy(config).eval()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.normal_(0.0, 0.2)
    return policy


def as_arrays(state: State) -> State:
    def arrays(record: Any) -> dict[str, Any]:
        held = {field.name: getattr(record, field.name) for field in fields(record)}
        return {name: value.numpy() for name, value in held.items() if isinstance(value, torch.Tensor)}

    return replace(state, prior=replace(state.prior, **arrays(state.prior)), **arrays(state))


def some_states(seed: int, *, verdicts: bool = False) -> State:
    """Return states after none to four calls, of any pool, at any price."""
    generator = torch.Generator().manual_seed(seed)
    size, n_pairs = 32, RECORDINGS.scores.shape[1]
    rows = torch.randint(len(RECORDINGS), (size,), generator=generator)
    prior = HELD_OUT.rows(rows, torch.randint(HELD_OUT.n_views, (size,), generator=generator))
    count = torch.randint(0, MAX_CALLS + 1, (size, 1), generator=generator)
    drawn = torch.rand((size, n_pairs), generator=generator).argsort(dim=1)[:, :MAX_CALLS]
    called = torch.where(torch.arange(drawn.shape[1]) < count, drawn, -1)
    called = torch.nn.functional.pad(called, (0, MAX_CALLS - called.shape[1]), value=-1)
    allowed = torch.rand((size, n_pairs), generator=generator) < 0.7
    price = 5 * torch.rand(size, generator=generator)
    state = RECORDINGS.state(prior, rows, allowed, called, price, MAX_CALLS - (called >= 0).sum(1))
    if verdicts:
        told = torch.randn((len(prior.rescue), n_pairs, 3), generator=generator)
        state = replace(
            state,
            prior=replace(prior, by_verdict=told),
            verdicts=torch.randint(0, 3, called.shape, generator=generator),
        )
    return state


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cautious=st.booleans(),
    agreement=st.booleans(),
    nearby=st.booleans(),
    verdicts=st.booleans(),
)
def test_numpy_gives_what_torch_gives(
    *, seed: int, cautious: bool, agreement: bool, nearby: bool, verdicts: bool
) -> None:
    """Every number of an assessment, within 1e-5."""
    policy = random_policy(PolicyConfig(cautious=cautious, agreement=agreement, nearby=nearby), seed)
    state = some_states(seed, verdicts=verdicts)
    with torch.no_grad():
        learned = policy(state)
    plain = policy.plain().assess(as_arrays(state))
    np.testing.assert_array_equal(plain.mask, learned.mask.numpy())
    for name in ("right", "value", "logits", "best_value"):
        found, expected = getattr(plain, name), getattr(learned, name).numpy()
        scale = 100.0 if name == "logits" else 1.0  # logits are values times 100
        np.testing.assert_allclose(found / scale, expected / scale, atol=TOLERANCE, err_msg=name)
    default = torch.zeros(len(state.turns), dtype=torch.int64)
    floored = with_floor(learned.action_values, state, default, 1.0).numpy()
    found = with_floor(plain.action_values, as_arrays(state), default.numpy(), 1.0)
    np.testing.assert_allclose(found, floored, atol=TOLERANCE)


@pytest.mark.parametrize("cautious", [False, True])
def test_a_router_goes_the_ways_that_torch_goes(tmp_path: Path, *, cautious: bool) -> None:
    """The saved router, by NumPy, beside whole trajectories by torch."""
    policy = random_policy(PolicyConfig(cautious=cautious), 3)
    RLRouter(policy, RECORDINGS.featurizer, FakeEncoder(), guard=0.0, usd_per_second=0.0).save(tmp_path / "router")
    loaded = Router.load(tmp_path / "router", FakeEncoder())
    assert isinstance(loaded, RLRouter)
    prior = RECORDINGS.featurizer.prior(RECORDINGS.seen)
    expected = follow(policy, RECORDINGS, prior, loaded.price, least_gain=loaded.least_gain)
    for row, query in enumerate(TABLE.queries):
        trajectory = solve(query, loaded, ReplayExecutor(TABLE))
        called = [loaded.featurizer.numbers[seen.pair] for seen in trajectory.observations]
        assert called == expected.called[row][: int(expected.calls[row])].tolist()


def test_a_policy_that_learns_on_does_not_change_a_router() -> None:
    policy = random_policy(PolicyConfig(), 0)
    router = RLRouter(policy, RECORDINGS.featurizer, FakeEncoder())
    before = {name: value.copy() for name, value in router.policy.weights.items()}
    with torch.no_grad():
        policy.belief[0].weight.zero_()
    assert all(np.array_equal(before[name], value) for name, value in router.policy.weights.items())
    assert not router.with_policy(policy).policy.weights["belief.0.weight"].any()


def test_weights_become_a_policy_that_learns_and_back() -> None:
    plain = random_policy(PolicyConfig(width=8), 1).plain()
    again = CompactPolicy.of(plain).plain()
    assert again.config == plain.config
    assert all(np.array_equal(again.weights[name], value) for name, value in plain.weights.items())


@pytest.mark.parametrize("damage", ["missing", "narrow", "strange"])
def test_weights_that_do_not_fit_are_refused(damage: str) -> None:
    weights = dict(random_policy(PolicyConfig(), 0).plain().weights)
    if damage == "missing":
        del weights["gain.3.bias"]
    elif damage == "narrow":
        weights["gain.3.bias"] = weights["gain.3.bias"][:-1]
    else:
        weights["gain.3.bias2"] = weights["gain.3.bias"]
    with pytest.raises(ValueError, match=r"weights don't fit.*gain\.3\.bias"):
        PlainPolicy(PolicyConfig(), weights)


def test_a_saved_router_with_a_changed_width_is_refused(tmp_path: Path) -> None:
    policy = random_policy(PolicyConfig(), 0)
    RLRouter(policy, RECORDINGS.featurizer, FakeEncoder()).save(tmp_path / "router")
    config = tmp_path / "router" / "config.json"
    config.write_text(config.read_text().replace('"width": 64', '"width": 32'))
    with pytest.raises(ArtifactError):
        Router.load(tmp_path / "router", FakeEncoder())


def test_a_saved_policy_decides_without_torch(tmp_path: Path) -> None:
    RLRouter(random_policy(PolicyConfig(), 0), RECORDINGS.featurizer, FakeEncoder()).save(tmp_path / "router")
    program = (
        "import json, sys\n"
        "from langchain_atlas import Query, Router\n"
        "from langchain_atlas.testing import FakeEncoder\n"
        f"decision = Router.load({str(tmp_path / 'router')!r}, FakeEncoder()).decide(Query(text='Add 3 and 4.'))\n"
        "print(json.dumps([decision.kind, 'torch' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout) == ["route", False]
