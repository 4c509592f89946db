"""Conversations as token ids: what the policy wrote is learned from, what it was told is masked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

_MARK = "@@step@@"
"""Stands for a step while the template's text around it is looked up."""
_ROLES = {"system": "system", "human": "user", "ai": "assistant"}


@dataclass
class Tokens:
    """A conversation as token ids."""

    prompt: list[int]
    """What the policy reads before its first step."""
    completion: list[int] = field(default_factory=list)
    """What follows: its steps, and what it was told."""
    mask: list[int] = field(default_factory=list)
    """1 for each token of `completion` that the policy wrote, else 0."""

    def wrote(self, ids: Sequence[int]) -> None:
        """Add what the policy wrote."""
        self.completion += ids
        self.mask += [1] * len(ids)

    def told(self, ids: Sequence[int]) -> None:
        """Add what it was told."""
        self.completion += ids
        self.mask += [0] * len(ids)

    @property
    def ids(self) -> list[int]:
        """Everything so far."""
        return self.prompt + self.completion


class ChatTokens:
    """Turns conversations into token ids with a tokenizer's chat template.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template.
        max_prompt: longest prompt, in tokens.

    Raises:
        SettingError: the tokenizer has no chat template, or one that changes the assistant's turns.
    """

    def __init__(self, tokenizer: Any, *, max_prompt: int = 4096) -> None:
        if not tokenizer.chat_template:
            raise SettingError("The model's tokenizer has no chat template; use an instruction-tuned model.")
        self.tokenizer, self.max_prompt = tokenizer, max_prompt
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token

    def prompt(self, messages: Sequence[BaseMessage]) -> Tokens:
        """Return a conversation that the policy has to continue.

        Raises:
            SettingError: it is longer than `max_prompt`.
        """
        ids = self._ids(self._rendered([_plain(message) for message in messages]))
        if len(ids) > self.max_prompt:
            raise SettingError(
                f"A prompt has {len(ids)} tokens, more than {self.max_prompt}; show less of each question "
                "('question_chars'), or fewer pairs."
            )
        return Tokens(ids)

    def reply(self, told: str) -> list[int]:
        """Return the ids from the end of a step to where the policy goes on, with what it is told in between."""
        start = [{"role": "user", "content": "."}, {"role": "assistant", "content": _MARK}]
        text = self._rendered([*start, {"role": "user", "content": told}])
        _, marked, after = text.partition(_MARK)
        if not marked:
            raise SettingError("The model's chat template leaves earlier turns out; it can't be trained over turns.")
        return self._ids(after)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of what the policy wrote."""
        decoded: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return decoded

    def step(self, text: str) -> list[int]:
        """Return the ids of a step."""
        return self._ids(text)

    def _rendered(self, messages: list[dict[str, str]]) -> str:
        text: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _plain(message: BaseMessage) -> dict[str, str]:
    return {"role": _ROLES[message.type], "content": str(message.content)}
