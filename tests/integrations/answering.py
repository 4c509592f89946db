"""A provider that is good at its job: it calls the tools it is offered, and keeps to the schema it is given."""

from __future__ import annotations

import json
from typing import Any

from langchain_atlas.testing import call_tool


def answering(body: dict[str, Any]) -> Any:
    """Call the first tool on offer, with arguments that fit, until a result comes; then say something that fits."""
    after_tool = body["messages"][-1]["role"] == "tool"
    tools = [entry["function"] for entry in body.get("tools", [])]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    forced = isinstance(choice, dict) or choice == "required"
    if tools and choice != "none" and (forced or not after_tool):
        return {"tool_calls": [call_tool(tools[0]["name"], example(tools[0].get("parameters", {})))]}
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return json.dumps(example(form["json_schema"]["schema"]))
    if form.get("type") == "json_object":
        return json.dumps({"setup": "Why did the cat sit?", "punchline": "To purr."})
    return "Hello there, it is good to hear from you."


def example(schema: dict[str, Any], definitions: dict[str, Any] | None = None) -> Any:
    """Make a value that fits a JSON schema; of alternatives the first is taken."""
    definitions = {**(definitions or {}), **schema.get("$defs", {})}
    if "$ref" in schema:
        return example(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in schema:
            return example(schema[alternatives][0], definitions)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        return {name: example(part, definitions) for name, part in schema.get("properties", {}).items()}
    values: dict[str, Any] = {"integer": 3, "number": 3.5, "boolean": True, "null": None, "array": []}
    return values.get(kind, "你好, こんにちは")
