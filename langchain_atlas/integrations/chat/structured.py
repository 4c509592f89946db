"""Structured output: three methods of requesting it from a chat model, each with a parser for the replies."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_atlas.errors import SettingError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

Method = Literal["function_calling", "json_schema", "json_mode"]
METHODS = ("function_calling", "json_schema", "json_mode")
"""A tool call with the schema, a reply constrained to the schema, or any JSON."""


def structured(
    model: BaseChatModel,
    schema: Any,
    *,
    method: str,
    include_raw: bool,
    strict: bool | None,
    options: Mapping[str, Any],
) -> Runnable[Any, Any]:
    """Return a chat model that replies in the form of a schema.

    Args:
        model: the chat model.
        schema: a pydantic class, a `TypedDict`, or a JSON or OpenAI schema.
        method: one of `METHODS`.
        include_raw: return the message and the parsing error too.
        strict: ask the provider to follow the schema strictly; None leaves it to the provider.
        options: further parameters of the requests.

    Raises:
        SettingError: the method is unknown, or it needs a schema.
    """
    if method not in METHODS:
        raise SettingError(f"method is {method!r}. {suggest(method, METHODS)}")
    if schema is None and method != "json_mode":
        raise SettingError(f"The method {method!r} needs a schema; give one, or use 'json_mode'.")
    is_model = isinstance(schema, type) and is_basemodel_subclass(schema)
    traced: dict[str, Any] = {}
    if schema is not None:
        traced["ls_structured_output_format"] = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
    parser: Runnable[Any, Any]
    if method == "function_calling":
        tool = convert_to_openai_tool(schema, strict=strict)
        name = tool["function"]["name"]
        bound = model.bind_tools([tool], tool_choice=name, **traced, **options)
        if is_model:
            parser = PydanticToolsParser(tools=[schema], first_tool_only=True)
        else:
            parser = JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    else:
        form: dict[str, Any] = {"type": "json_object"}
        if method == "json_schema":
            json_schema = convert_to_json_schema(schema, strict=strict)
            named = {"name": json_schema.get("title", "answer"), "schema": json_schema}
            form = {"type": "json_schema", "json_schema": named if strict is None else {**named, "strict": strict}}
        bound = model.bind(response_format=form, **traced, **options)
        parser = PydanticOutputParser(pydantic_object=schema) if is_model else JsonOutputParser()
    if not include_raw:
        return bound | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=RunnableLambda(lambda _: None))
    unparsed = RunnablePassthrough.assign(parsed=RunnableLambda(lambda _: None))
    return RunnableMap(raw=bound) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")
