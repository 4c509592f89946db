"""Images: the model examines them in stages, or a local tool reads their text for a model that can't read images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from langchain_atlas.errors import InvalidInputError, PoolError, suggest
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationError,
    InvocationSettings,
    ModelCall,
    ToolCall,
    fill,
    text_of,
)
from langchain_atlas.execution.invocations.calls.schemas import argument_names
from langchain_atlas.images import image_url
from langchain_atlas.tools.vision.stages import PROCEDURES

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.trajectory import Query

_GROUNDED = "Text read from the image:\n\n{read}\n\nDo with it what is asked, briefly: {query}"


class ImageSettings(InvocationSettings):
    """Settings of the image invocations."""

    prompts: dict[str, str] = Field(default_factory=dict)
    """Custom prompts for some of the stages, by name; ``{query}`` and the results of earlier stages are filled in."""


class Looking(Invocation):
    """Follows a procedure in stages; the images are sent with each stage."""

    procedure: ClassVar[str]
    """Name of the procedure."""
    Settings: ClassVar[type[InvocationSettings]] = ImageSettings
    settings: ImageSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, tools)
        if tools:
            raise PoolError(
                f"Tool {tool.name!r}: the invocation {tool.invocation!r} asks the model itself and takes no tool."
            )
        known = PROCEDURES[self.procedure].prompts
        for name in self.settings.prompts:
            if name not in known:
                raise PoolError(f"Tool {tool.name!r} has a prompt for the stage {name!r}. {suggest(name, known)}")

    def converse(self, query: Query) -> Conversation:
        """Prompt the model stage by stage; the results of earlier stages are only used by later ones."""
        seen = with_images(query)
        procedure = PROCEDURES[self.procedure]
        steps = procedure.steps(query.full_text, {**procedure.prompts, **self.settings.prompts})
        try:
            stage = next(steps)
            while True:
                messages = self.opening(seen, text=stage.prompt)
                (reply,) = yield (
                    ModelCall(messages, options=self.settings.options, inward=not stage.last, answers=stage.last),
                )
                text = text_of(reply)
                if not text and not stage.last:
                    raise InvocationError(f"The model said nothing in the stage {stage.name!r}.")
                stage = steps.send(text)
        except StopIteration as end:
            return str(end.value)


class Chart(Looking):
    """Extract the data of a chart, then answer."""

    procedure = "chart"


class Counting(Looking):
    """List the objects with their places, then count."""

    procedure = "counting"


class Geometry(Looking):
    """Extract the diagram, reason, check, and correct any mistake that the check found."""

    procedure = "geometry"


class OcrSettings(ImageSettings):
    """Settings of reading text in images."""

    answer: Literal["model", "text"] = "model"
    """``model``: the model answers from the text. ``text``: the text itself is the answer."""
    result_prompt: str = _GROUNDED
    """Prompt for the answer, if a tool reads; ``{read}`` and ``{query}`` are filled in."""


class Ocr(Looking):
    """Read the text, then answer. A tool, if given, reads the text, and the model only sees that."""

    procedure = "ocr"
    Settings: ClassVar[type[InvocationSettings]] = OcrSettings
    settings: OcrSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, ())
        if len(tools) > 1 or any("image" not in argument_names(member) for member in tools):
            raise PoolError(f"Tool {tool.name!r}: invocation 'ocr' takes one tool with an argument 'image', or none.")
        self.tools = tools

    def converse(self, query: Query) -> Conversation:
        """Read, then answer."""
        if self.tools:
            return (yield from self._read_by_tool(query))
        if self.settings.answer == "text":
            return (yield from self._read_alone(query))
        return (yield from super().converse(query))

    def _read_alone(self, query: Query) -> Conversation:
        prompt = {**PROCEDURES[self.procedure].prompts, **self.settings.prompts}["read"]
        messages = self.opening(with_images(query), text=fill(prompt, query=query.full_text))
        (reply,) = yield (ModelCall(messages, options=self.settings.options),)
        return text_of(reply)

    def _read_by_tool(self, query: Query) -> Conversation:
        seen = with_images(query)
        traces = yield tuple(ToolCall(self.tools[0], {"image": image}) for image in seen.images)
        texts = [trace.shown for trace in traces]
        if self.settings.answer == "text":
            if all(trace.error is not None for trace in traces):
                raise InvocationError("; ".join(texts))
            return "\n\n".join(trace.said for trace in traces)
        text = fill(self.settings.result_prompt, query=query.full_text, read="\n\n".join(texts))
        messages = self.opening(query.replace(images=()), text=text)
        (reply,) = yield (ModelCall(messages, options=self.settings.options),)
        return text_of(reply)


def with_images(query: Query) -> Query:
    """Return the query with its images checked.

    Raises:
        InvocationError: it has no images, or one is not a valid image.
    """
    if not query.images:
        raise InvocationError("This tool looks at images, and the query has none.")
    try:
        return query.replace(images=tuple(image_url(image) for image in query.images))
    except InvalidInputError as error:
        raise InvocationError(str(error)) from error
