"""Calls in the markup of single model families, brought to the form ``<function=name>...</function>``."""

from __future__ import annotations

import re

_GLM = re.compile(r"<tool_call>\s*([\w.-]+)\s*(<arg_key>.*?)(?:</tool_call>|\Z)", re.DOTALL)
_GLM_ARGUMENT = re.compile(r"<arg_key>([^<]*)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|\Z)", re.DOTALL)
_CLAUDE = re.compile(r"<(?:antml:)?invoke name=\"([^\"]+)\">(.*?)(?:</(?:antml:)?invoke>|\Z)", re.DOTALL)
_CLAUDE_ARGUMENT = re.compile(r"<(?:antml:)?parameter name=\"([^\"]+)\">(.*?)(?:</(?:antml:)?parameter>|\Z)", re.DOTALL)
_DEEPSEEK = re.compile(
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>)?\s*"  # noqa: RUF001  # DeepSeek's own
    r"(?:```(?:json)?)?(.*?)(?:```\s*)?(?:<｜tool▁call▁end｜>|\Z)",  # noqa: RUF001
    re.DOTALL,
)
_HARMONY = re.compile(
    r"to=(?:functions\.)?([\w.-]+)[^{}\n]{0,80}?<\|message\|>(.*?)(?:<\|call\|>|<\|end\|>|<\|start\|>|\Z)", re.DOTALL
)


def plainly_marked(text: str) -> str:
    """Return a text with the calls of GLM, Claude, DeepSeek and gpt-oss in the one form."""
    text = _GLM.sub(lambda call: _marked(call[1], _GLM_ARGUMENT.sub(_argument, call[2])), text)
    text = _CLAUDE.sub(lambda call: _marked(call[1], _CLAUDE_ARGUMENT.sub(_argument, call[2])), text)
    text = _DEEPSEEK.sub(lambda call: _marked(call[1], call[2]), text)
    return _HARMONY.sub(lambda call: _marked(call[1], call[2]), text)


def _argument(pair: re.Match[str]) -> str:
    return f"<parameter={pair[1].strip()}>{pair[2]}</parameter>"


def _marked(name: str, inner: str) -> str:
    return f"<function={name}>{inner.strip()}</function>"
