"""No tool: the model answers alone."""

from typing import TYPE_CHECKING

from langchain_atlas.execution.invocations.base import Conversation, Invocation, ModelCall, text_of

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Query


class NoTool(Invocation):
    """One model call, whose reply is the answer."""

    def converse(self, query: "Query") -> Conversation:
        """Call the model once."""
        (reply,) = yield (ModelCall(self.opening(query), options=self.settings.options, answers=True),)
        return text_of(reply)
