"""Where a router's language model is served: any endpoint that LiteLLM reaches, or weights in this process."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.masking import remember
from langchain_atlas.pool.embedded import is_embedded
from langchain_atlas.pool.gateway import without_gateway
from langchain_atlas.pool.option_secrets import filled
from langchain_atlas.pool.parameters import taken
from langchain_atlas.pool.pool import Model
from langchain_atlas.routers.prompted.hugging_face import InProcessModel, PolicyWeights

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    Servable = BaseChatModel | Model | PolicyWeights


class Served:
    """A chat model that is built when it is first called.

    Args:
        model: a LangChain chat model; a `Model`, which LiteLLM reaches; the weights of a trained policy, which run in
            this process; or None for a router that was saved without.
    """

    def __init__(self, model: Servable | None) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._built: BaseChatModel | None = None

    @property
    def weights(self) -> PolicyWeights | None:
        """The weights of a trained policy; None if it is no such thing."""
        return self.model if isinstance(self.model, PolicyWeights) else None

    @property
    def record(self) -> Model | None:
        """The model, as it can be saved; None for a chat model, which can't."""
        return self.model if isinstance(self.model, Model) else None

    def chat_model(self) -> BaseChatModel:
        """Return the chat model.

        Raises:
            SettingError: the router was saved without one, or the variable with its key is not set.
        """
        if self.model is None:
            raise SettingError(
                "This router was saved without its chat model, which can't be written to a file. Give it one: "
                "router.with_chat_model(...); or make the router with a 'Model', which is saved."
            )
        if not isinstance(self.model, Model | PolicyWeights):
            return self.model
        with self._lock:
            if self._built is None:
                if isinstance(self.model, Model):
                    self._built = _built(self.model)
                else:
                    self._built = InProcessModel(weights=self.model)
            return self._built


def _built(model: Model) -> BaseChatModel:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it looks for a newer table on the network
    if is_embedded(model.litellm):
        import_module("langchain_atlas.local").register()
    key = None if model.api_key_env is None else os.environ.get(model.api_key_env)
    if model.api_key_env is not None and not key:
        raise SettingError(
            f"The router's model {model.name!r} takes its key from the environment variable {model.api_key_env!r}, "
            "which is not set."
        )
    remember(key)
    options: dict[str, Any] = filled(model.options)
    steady = taken(model.litellm, {"temperature": 0}, given=options, refuses=model.refuses)
    given = {} if key is None else {"api_key": key}
    chat_litellm = import_module("langchain_litellm").ChatLiteLLM
    known = {name: value for name, value in options.items() if name in chat_litellm.model_fields}
    other = {name: value for name, value in options.items() if name not in known}
    more = {**without_gateway(), **other, **known.pop("model_kwargs", {})}
    made: BaseChatModel = chat_litellm(**{"model": model.litellm, **given, **steady, **known, "model_kwargs": more})
    return made
