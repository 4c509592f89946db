"""Procedures for images as tools: any agent can have a vision model look at an image for it."""

import os
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from langchain_atlas.amounts import add_known
from langchain_atlas.costs.billing import billed
from langchain_atlas.costs.usage_counting import heard_once
from langchain_atlas.errors import InvalidInputError, SettingError
from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.images import image_url
from langchain_atlas.masking import error_text
from langchain_atlas.text.thoughts import without_thoughts
from langchain_atlas.tools.failures import answer_error, answer_validation_error
from langchain_atlas.tools.vision.stages import PROCEDURES, Stage
from langchain_atlas.usage import Spending, Usage

ProcedureName = Literal["chart", "counting", "geometry", "ocr"]


class VisionInput(BaseModel):
    """Arguments of a tool that looks at an image."""

    image: str = Field(description="URL of the image: http, https or data.")
    question: str = Field(description="What to find out from it.")


class VisionTool(BaseTool):
    """A LangChain tool that asks a vision model about an image, in stages.

    Its provider fetches an image that is given as http URL; nothing is fetched here. A failure is an answer that begins
    with ``Error:``. Set ``handle_tool_error=False`` for a `ToolException`. The artifact of its message says what the
    model cost.
    """

    reports_spending: ClassVar[bool] = True

    name: str = "look"
    description: str = "Looks at an image."
    args_schema: type[BaseModel] = VisionInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
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
            os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # as `execution.chat_models` does
            from langchain_litellm import ChatLiteLLM

            model = ChatLiteLLM(model=model)
        purpose = PROCEDURES[procedure].purpose
        description = f"{purpose[0].upper()}{purpose[1:]}."
        return cls(name=procedure, description=description, procedure=procedure, model=model)

    @keys_masked
    def _run(self, image: str, question: str) -> tuple[str, Spending]:
        look = _Look(self.procedure, image, question)
        while look.message is not None:
            try:
                with heard_once():
                    reply = self.model.invoke([look.message])
            except Exception as error:
                raise _failed(error) from error
            look.take(reply)
        return look.answer, look.spent

    @keys_masked
    async def _arun(self, image: str, question: str) -> tuple[str, Spending]:
        look = _Look(self.procedure, image, question)
        while look.message is not None:
            try:
                with heard_once():
                    reply = await self.model.ainvoke([look.message])
            except Exception as error:
                raise _failed(error) from error
            look.take(reply)
        return look.answer, look.spent


class _Look:
    """One look at an image: what to send next, and in the end the answer with what it cost."""

    def __init__(self, procedure: str, image: str, question: str) -> None:
        try:
            self._url = image_url(image)
        except InvalidInputError as error:
            raise ToolException(str(error)) from error
        self._steps = PROCEDURES[procedure].steps(question, PROCEDURES[procedure].prompts)
        self.message: HumanMessage | None = self._shown(next(self._steps))
        self.answer = ""
        self.spent = Spending(usage=Usage(input_tokens=0, output_tokens=0), cost_usd=0.0)

    def take(self, reply: AIMessage) -> None:
        """Go on to the next stage with the model's reply."""
        bill = billed(reply)
        cost = add_known(self.spent.cost_usd, bill.cost_usd)
        self.spent = Spending(usage=self.spent.usage + bill.usage, cost_usd=cost)
        text = without_thoughts(str(reply.text))
        if not text:
            raise ToolException("The vision model returned no text.")
        try:
            self.message = self._shown(self._steps.send(text))
        except StopIteration as end:
            self.message, self.answer = None, str(end.value)

    def _shown(self, stage: Stage) -> HumanMessage:
        image = {"type": "image_url", "image_url": {"url": self._url}}
        return HumanMessage([{"type": "text", "text": stage.prompt}, image])


def _failed(error: Exception) -> ToolException:
    return ToolException(f"The vision model failed. {error_text(error)}")
