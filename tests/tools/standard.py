"""What LangChain's own tests of tools are told of the Python tool, whatever it runs in."""

from typing import Any

from langchain_core.tools import BaseTool

from langchain_atlas.tools.python.tool import PythonTool


class OfPython:
    """Goes before LangChain's class of tests."""

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return PythonTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"code": "print(2 + 2)"}
