"""Keys are known by their variables, by having been used, and by their form; errors lose them and keep their kind."""

from __future__ import annotations

import traceback
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, SecretStr

from langchain_atlas.errors import ExecutionError
from langchain_atlas.failures.masked_errors import cleaned, keys_masked
from langchain_atlas.masking import error_text, masked, masked_value, remember
from langchain_atlas.trajectory import Observation, ToolTrace

KEY = "q7-" + "Zx9/Lm+4" * 3


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "WATSONX_APIKEY", "GIGACHAT_CREDENTIALS", "SNOWFLAKE_JWT", "PGPASSWORD"]
)
def test_the_key_in_a_variable_whose_name_says_so_is_masked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"{KEY}\n")
    assert masked(f"refused: {KEY}.") == "refused: ***."


@pytest.mark.parametrize("name", ["MAX_TOKENS", "TOKENIZERS_PARALLELISM", "KEYBOARD", "OUR_ACCOUNT"])
def test_other_variables_hold_no_key_unless_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "plain words")
    assert masked("these are plain words") == "these are plain words"
    assert masked("these are plain words", name) == "these are ***"


def test_the_path_of_a_file_of_credentials_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/etc/gcp/service.json")
    assert masked("can't read /etc/gcp/service.json") == "can't read /etc/gcp/service.json"


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        KEY.replace("/", "%2F").replace("+", "%2B"),
        KEY.replace("/", r"\/"),
        KEY[: len(KEY) // 2 + 2],
        f"Bearer {KEY}",
    ],
)
def test_a_key_that_was_used_is_masked_however_it_is_written(written: str) -> None:
    remember(SecretStr(KEY), None, 3, {"nested": ["abc"]})
    assert KEY[:10] not in masked(f"a {written} b").replace("\\", "")


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abcdef123456.",
        "Authorization: Bearer abc.def-123",
        "https://ada:pass-word@example.org/v1",
        "GET https://example.org/v1?model=m&api_key=abcdef&x=1",
        "{'x-api-key': 'abcdef123456'}",
        "key AIzaSyA0123456789abcdefghij",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln",
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_what_has_the_form_of_a_key_is_masked_whoevers_it_is(text: str) -> None:
    shown = masked(text)
    assert "***" in shown
    secrets = ("abcdef", "abc.def", "pass-word", "AIzaSy", "eyJhbGci", "MIIE", "AKIAIOS")
    assert not any(secret in shown for secret in secrets)
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'key_function' is no keyword-argument",
        "The bearer token is missing; basic authentication is not supported.",
        "max_tokens: 16384 is too large, at most 4096 tokens",
        "http://127.0.0.1:8080/v1/chat/completions?model=gpt-4o",
        "task-2024-11-27-report, disk-cache, risk-free-rate-2025",
        "api_key: str | None = None",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_what_has_not_is_left_alone(text: str) -> None:
    assert masked(text) == text


def test_records_of_failures_show_no_key() -> None:
    remember(KEY)
    trace = ToolTrace(name="t", arguments={}, error=f"ValueError: {KEY}")
    seen = Observation.from_json({"pair": "m@@none", "error": f"E: {KEY}", "tool_trace": [trace.to_json()]})
    assert KEY not in str(seen.to_json())
    assert seen.error == "E: ***"
    assert str(ExecutionError(f"it failed with {KEY}")) == "it failed with ***"


def failing() -> None:
    request = httpx.Request("POST", "https://example.org/v1?api_key=abcdef", headers={"x-api-key": "hush", "a": "b"})
    response = httpx.Response(401, json={"error": KEY}, headers={"www-authenticate": KEY}, request=request)
    error = httpx.HTTPStatusError(f"refused {KEY}", request=request, response=response)
    error.body = {"message": [KEY]}  # type: ignore[attr-defined]
    error.add_note(f"with {KEY}")
    try:
        raise error
    except httpx.HTTPStatusError:
        try:
            raise KeyError(KEY) from OSError(5, f"read {KEY}")  # noqa: TRY301  # the chain is what is tested
        except KeyError as caused:
            raise ConnectionError(f"cut {KEY}") from caused


class Number(BaseModel):
    value: int


def all_that_it_holds(error: BaseException | None) -> str:
    if error is None:
        return ""
    fields = " ".join(f"{name}={value!r}" for name, value in vars(error).items())
    for held in vars(error).values():
        request = held if isinstance(held, httpx.Request) else getattr(held, "_request", None)
        fields += "" if request is None else f"{request.url} {request.headers.raw}"
        fields += held.text + str(held.headers.raw) if isinstance(held, httpx.Response) else ""
    chained = all_that_it_holds(error.__cause__) + all_that_it_holds(error.__context__)
    return f"{error!r} {error} {error.args} {fields} {chained}"


def test_an_error_loses_keys_in_all_that_it_holds_and_is_chained_to_and_keeps_its_kind() -> None:
    remember(KEY)
    with pytest.raises(ConnectionError) as caught:
        keys_masked(failing)()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    held = all_that_it_holds(caught.value)
    assert not any(secret in held for secret in (KEY, "abcdef", "hush"))
    first: Any = caught.value.__cause__.__context__  # type: ignore[union-attr]
    assert (type(first), first.response.status_code) == (httpx.HTTPStatusError, 401)
    assert first.response.request.headers["a"] == "b"
    assert first.response.json() == {"error": "***"}


def test_an_error_that_cant_be_changed_gives_way_to_one_that_says_the_same() -> None:
    remember(KEY)

    def read() -> None:
        Number.model_validate({"value": KEY})

    with pytest.raises(ExecutionError, match=r"ValidationError: 1 validation error for Number(?s:.)*\*\*\*") as caught:
        keys_masked(read)()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_errors_in_a_group_lose_keys_too() -> None:
    remember(KEY)
    try:
        Number.model_validate({"value": KEY})
    except ValueError as error:
        refused = error
    group = cleaned(ExceptionGroup("several", [ValueError(KEY), refused]))
    assert KEY not in "".join(traceback.format_exception(group))
    assert isinstance(group, ExceptionGroup)


def test_an_error_without_keys_is_raised_as_it_is() -> None:
    error = ValueError("no", {"a": 1})

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        keys_masked(fail)()
    assert caught.value is error
    assert error.args == ("no", {"a": 1})


def test_values_without_keys_are_the_same_objects() -> None:
    value = {"a": [1, "b", (None,)]}
    assert masked_value(value) is value
    remember(KEY)
    assert masked_value({"a": [KEY], 3: b"x" + KEY.encode()}) == {"a": ["***"], 3: b"x***"}


def test_the_text_of_an_error_names_its_type() -> None:
    remember(KEY)
    assert error_text(ValueError(KEY)) == "ValueError: ***"
