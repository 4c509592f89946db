"""Calls in the markup of individual model families, converted to the form ``<function=name>...</function>``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_GLM = re.compile(
    r"(?:<tool_call>\s*|^[ \t]*)([\w.-]{1,200})\s*(?=</?arg_key>|<arg_value>|[\w.-]{1,200}\s*</arg_key>)(.*?)"
    r"(?:</tool_call>|(?=<tool_call>)|\Z)",
    re.DOTALL | re.MULTILINE,
)
_GLM_SECOND_TAG = re.compile(r"(<tool_call>\s*[\w.-]+\s*)<tool_call>(\s*[\w.-]+\s*</arg_key>)")
_GLM_ARGUMENT = re.compile(r"\s*([^<]{1,200})(?=<)(?:</arg_key>\s*)*(?:<arg_value>)?(.*)", re.DOTALL)
_GLM_TAGS = ("</arg_value>", "<arg_value>", "</arg_key>")
_PREFIX = r"(?:\w{1,20}:|[|\uff5c]DSML[|\uff5c])?"
_CALL = rf"{_PREFIX}(?:invoke|function_call|function)"
_INVOKE = re.compile(rf"<{_CALL}\s+name=\"?([^\">]+)\"?\s*>(.*?)(?:</{_CALL}>|(?=<{_CALL}\s+name=)|\Z)", re.DOTALL)
_INVOKE_ARGUMENT = re.compile(
    rf"<{_PREFIX}parameter\s+name=\"?([^\">\s]+)\"?(?:\s+string=\"?(true|false)\"?)?\s*>(.*?)"
    rf"(?:</{_PREFIX}parameter>|(?=<{_PREFIX}parameter\s)|\Z)",
    re.DOTALL,
)
_DEEPSEEK = re.compile(
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>)?\s*"  # noqa: RUF001  # DeepSeek's own characters
    r"(?:```(?:json)?)?(.*?)(?:```\s*)?(?:<｜tool▁call▁end｜>|\Z)",  # noqa: RUF001
    re.DOTALL,
)
_KIMI = re.compile(
    r"<\|tool_call_begin\|>\s*([\w.-]+?)(?::\d+)?\s*<\|tool_call_argument_begin\|>(.*?)"
    r"(?:<\|tool_call_end\|>|(?=<\|tool_call_begin\|>)|<\|tool_calls_section_end\|>|\Z)",
    re.DOTALL,
)
_GEMMA = re.compile(
    r"(?:<\|tool_call>|<start_function_call>)\s*call:\s*([\w.-]+)\s*(\{.*?)"
    r"(?:<tool_call\|>|<end_function_call>|(?=<\|tool_call>|<start_function_call>)|<\|tool_response>|\Z)",
    re.DOTALL,
)
_GEMMA_TEXT = re.compile(r"<\|\"\|>(.*?)<\|\"\|>|<escape>(.*?)<escape>", re.DOTALL)
_HARMONY = re.compile(
    r"to=(?:functions\.)?([\w.-]+)[^{}\n]{0,80}?<\|message\|>(.*?)(?:<\|call\|>|<\|end\|>|<\|start\|>|\Z)", re.DOTALL
)


_BLOCK_BEGINS = re.compile(
    r"<\|tool_calls?(?:_start)?\|>|<\|python_start\|>|<\|action_start\|>(?:\s*<\|plugin\|>)?|<TOOLCALL>"
)
_BLOCK_ENDS = re.compile(r"<\|/tool_calls?\|>|<\|tool_call_end\|>|<\|python_end\|>|<\|action_end\|>|</TOOLCALL>")
_MISTRAL_ARGUMENTS = re.compile(r"\[CALL_ID\][^\[{]*|\[ARGS\]")


def plainly_marked(text: str, names: Sequence[str] = ()) -> str:
    """Return a text with the calls of GLM, Claude, DeepSeek, Kimi, Gemma, gpt-oss and others in a single form.

    Args:
        text: the model's text.
        names: names of the available tools.
    """
    if "arg_key>" in text or "arg_value>" in text:
        text = _GLM_SECOND_TAG.sub(r"\1<arg_key>\2", text)
        text = _GLM.sub(lambda call: _glm(call[1], call[2], names), text)
    if "[TOOL_CALLS]" in text:
        text = _MISTRAL_ARGUMENTS.sub(" ", text)
    if "name=" in text:
        text = _INVOKE.sub(lambda call: _marked(call[1], _INVOKE_ARGUMENT.sub(_given, call[2])), text)
    text = _DEEPSEEK.sub(lambda call: _marked(call[1], call[2]), text)
    text = _KIMI.sub(lambda call: _marked(call[1], call[2]), text)
    text = _BLOCK_ENDS.sub("</tool_call>", _BLOCK_BEGINS.sub("<tool_call>", text))
    text = _GEMMA.sub(lambda call: _marked(call[1], _GEMMA_TEXT.sub(_quoted, call[2])), text)
    return _HARMONY.sub(lambda call: _marked(call[1], call[2]), text)


def _glm(name: str, inner: str, names: Sequence[str]) -> str:
    """Convert a call of GLM, which omits some of its tags and duplicates others."""
    if name not in names and not inner.lstrip().startswith(("<arg_key>", "<arg_value>")):
        # the tag before the first argument is missing: its name follows the tool's at once
        known = max((one for one in names if name.startswith(one)), key=len, default=name)
        inner = name[len(known) :] + inner
        name = known
    parts = inner.split("<arg_key>")
    arguments = []
    for part in parts if parts[0].strip() else parts[1:]:
        found = _GLM_ARGUMENT.fullmatch(part)
        if found is not None and found[1].strip():
            arguments.append(f"<parameter={found[1].strip()}>{_without_tags(found[2])}</parameter>")
    return _marked(name, "".join(arguments))


def _without_tags(value: str) -> str:
    """Return a value without the tags after it."""
    value = value.rstrip()
    while value.endswith(_GLM_TAGS):
        value = value[: value.rindex("<")].rstrip()
    return value


def _given(argument: re.Match[str]) -> str:
    as_text = " text" if argument[2] == "true" else ""
    return f"<parameter={argument[1].strip()}{as_text}>{argument[3]}</parameter>"


def _quoted(text: re.Match[str]) -> str:
    return json.dumps(text[1] if text[1] is not None else text[2], ensure_ascii=False)


def _marked(name: str, inner: str) -> str:
    return f"<function={name.strip()}>{inner.strip()}</function>"
