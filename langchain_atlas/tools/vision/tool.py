"""Procedures for images as tools: any agent can have a vision model look at an image for it."""

from collections.abc import Callable
from typing import Any, Literal, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from langchain_atlas.errors import InvalidInputError, SettingError
from langchain_atlas.images import image_url
from langchain_atlas.tools.answers import answer_error, answer_validation_error
from langchain_atlas.tools.vision.stages import PROCEDURES, Steps

ProcedureName = Literal["chart", "counting", "geometry", "ocr"]


class VisionInput(BaseModel):
    """Arguments of a tool that looks at an image."""

    image: str = Field(description="URL of the image: http, https or data.")
    question: str = Field(description="What to find out from it.")


class VisionTool(BaseTool):
    """A LangChain tool that asks a vision model about an image, in stages.

    Its provider fetches an image that is given as http URL; nothing is fetched here. A failure is an answer that begins
    with ``Error:``. Set ``handle_tool_error=False`` for a `ToolException`.
    """

    name: str = "look"
    description: str = "Looks at an image."
    args_schema: type[BaseModel] = VisionInput
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    procedure: ProcedureName
    """How it looks."""

    model: BaseChatModel = Field(exclude=True, repr=False)
    """The vision model."""

    @classmethod
    def of(cls, procedure: str, model: BaseChatModel | str) -> Self:
        """A tool for one procedure, named and described for it.

        Args:
            procedure: ``chart``, ``counting``, ``geometry`` or ``ocr``.
            model: a chat model that reads images, or a LiteLLM id such as ``openai/gpt-4o-mini``.

        Raises:
            SettingError: there is no such procedure.
        """
        if procedure not in PROCEDURES:
            raise SettingError(f"There is no procedure {procedure!r} for images; there are {', '.join(PROCEDURES)}.")
        if isinstance(model, str):
            from langchain_litellm import ChatLiteLLM

            model = ChatLiteLLM(model=model)
        purpose = PROCEDURES[procedure].purpose
        description = f"{purpose[0].upper()}{purpose[1:]}."
        return cls(name=procedure, description=description, procedure=procedure, model=model)

    def _run(self, image: str, question: str) -> str:
        url, steps = self._start(image, question)
        try:
            stage = next(steps)
            while True:
                try:
                    reply = self.model.invoke([_message(stage.prompt, url)])
                except Exception as error:
                    raise ToolException(f"The vision model failed. {type(error).__name__}: {error}") from error
                stage = steps.send(_text(reply))
        except StopIteration as end:
            return str(end.value)

    async def _arun(self, image: str, question: str) -> str:
        url, steps = self._start(image, question)
        try:
            stage = next(steps)
            while True:
                try:
                    reply = await self.model.ainvoke([_message(stage.prompt, url)])
                except Exception as error:
                    raise ToolException(f"The vision model failed. {type(error).__name__}: {error}") from error
                stage = steps.send(_text(reply))
        except StopIteration as end:
            return str(end.value)

    def _start(self, image: str, question: str) -> tuple[str, Steps]:
        try:
            url = image_url(image)
        except InvalidInputError as error:
            raise ToolException(str(error)) from error
        procedure = PROCEDURES[self.procedure]
        return url, procedure.steps(question, procedure.prompts)


def _message(prompt: str, url: str) -> HumanMessage:
    return HumanMessage([{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": url}}])


def _text(reply: Any) -> str:
    text = str(reply.text).strip()
    if not text:
        raise ToolException("The vision model returned no text.")
    return text
