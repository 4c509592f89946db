"""Pools hold no keys: what is refused, what is not, and how a key is named instead."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import LiveExecutor
from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.pool.pool import Model, Pair, Pool, Tool
from langchain_atlas.tools.ranking import ChatJudge

if TYPE_CHECKING:
    from pathlib import Path

VALUE = "q7Zx9Lm4-hush"


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"X-Gateway": VALUE}},
        {"extra_headers": {"x-portkey-config": VALUE}},
        {"default_headers": {"cf-aig-authorization": VALUE}},
        {"vertex_credentials": VALUE},
        {"vertex_credentials": {"type": "service_account", "private_key": VALUE}},
        {"passwd": VALUE},
        {"access_key": VALUE},
        {"aws_access_key_id": VALUE},
        {"azure_ad_token": VALUE},
        {"extra_body": {"auth": VALUE}},
        {"api_base": f"https://example.org/v1?api_key={VALUE}"},
        {"api_base": f"https://example.org/v1?sig={VALUE}&sv=1"},
        {"api_base": f"https://ada:{VALUE}@example.org/v1"},
        {"extra_body": {"note": f"Bearer {VALUE}"}},
        {"user": "sk-proj-q7Zx9Lm4hush"},
        {"fallbacks": ["openai/a", f"https://example.org?token={VALUE}"]},
    ],
)
def test_a_key_is_refused_by_the_name_of_its_option_or_by_its_form_and_not_shown(options: dict[str, Any]) -> None:
    with pytest.raises(PoolError, match=r"would put a secret into the pool; set 'api_key_env'") as caught:
        Model(name="m", options=options)
    assert "hush" not in str(caught.value)
    with pytest.raises(PoolError, match="would put a secret into the pool"):
        Pool(models=(Model(name="m"),), pair_options={Pair("m"): options})
    with pytest.raises(PoolError, match="would put a secret into the pool"):
        Tool(name="t", use="calculator", arguments=options)


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"HTTP-Referer": "https://example.org", "X-Title": "ours", "anthropic-beta": "x-2025-01-01"}},
        {"prompt_cache_key": "tenant-1", "max_tokens": 9, "stop": ["token:"], "logit_bias": {"5": 1}},
        {"api_base": "http://127.0.0.1:8080/v1", "api_version": "2024-10-21", "user": "ada"},
        {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}},
    ],
)
def test_what_is_no_key_is_taken(options: dict[str, Any]) -> None:
    assert Model(name="m", options=options).options == options


@pytest.mark.parametrize(
    "variable",
    ["sk-proj-q7Zx9Lm4hush", "AIzaSyA0123456789abcdefghij", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "abc def", "",
     "a3f5c9e1b2d4f6a8c0e2b4d6f8a0c2e4", "AKIAIOSFODNN7EXAMPLE", "${OUR_KEY}"],
)  # fmt: skip
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_shown(variable: str) -> None:
    with pytest.raises(
        PoolError, match=r"'api_key_env'.*no name of an environment variable, and may be a key"
    ) as caught:
        Model(name="m", api_key_env=variable)
    assert not variable or variable not in str(caught.value)
    with pytest.raises(SettingError, match=r"api_key_env.*may be a key"):
        ChatJudge("openai/m", api_key_env=variable)


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "our_key", "KEY_2", "TEAM_42_LLM_KEY_2025", "_x"])
def test_the_name_of_a_variable_is_taken(variable: str) -> None:
    assert Model(name="m", api_key_env=variable).api_key_env == variable


def test_an_option_may_name_a_variable_which_is_filled_in_when_the_model_is_built(monkeypatch: Any) -> None:
    monkeypatch.setenv("OUR_GATEWAY", VALUE)
    options = {"api_base": "http://127.0.0.1:9/v1", "extra_headers": {"X-Gateway": "Bearer ${OUR_GATEWAY}"}}
    pool = Pool(models=(Model(name="m", litellm="openai/m", options=options),))
    assert VALUE not in str(pool.to_json())
    chat_model: Any = LiveExecutor(pool).chat_model("m")
    assert chat_model.extra_headers == {"X-Gateway": f"Bearer {VALUE}"}
    assert VALUE not in repr(chat_model) + str(chat_model.model_dump()) + str(chat_model._identifying_params)


def test_a_variable_that_is_not_set_is_named_before_any_call() -> None:
    assert "NOT_SET_HERE" not in os.environ
    pool = Pool(models=(Model(name="m", options={"extra_headers": {"X-Gateway": "${NOT_SET_HERE}"}}),))
    with pytest.raises(PoolError, match=r"'X-Gateway'.*'NOT_SET_HERE', which is not set"):
        LiveExecutor(pool)


def test_a_key_that_stands_where_something_else_belongs_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(PoolError) as caught:
        Model(name="m", options="sk-proj-q7Zx9Lm4hush")  # type: ignore[arg-type]
    assert "hush" not in str(caught.value)
    path = tmp_path / "pool.yaml"
    path.write_text("models: {m: sk-proj-q7Zx9Lm4hush}")
    with pytest.raises(PoolError) as caught:
        Pool.load(path)
    assert "hush" not in str(caught.value)
