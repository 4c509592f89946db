"""Scores by a reward model from Hugging Face: of whole answers (outcome), or of their steps (process)."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.tools.ranking.base import AnswerScore, AnswerScorer, By, Scores, split_steps
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.trajectory import Query

Kind = Literal["sequence", "token"]
"""The model's head: one verdict a text, or one a token."""

_ENDLESS = 1_000_000
"""What a tokenizer says that knows no longest text is above this."""


class RewardModel(AnswerScorer):
    """A reward model, run on this machine; loaded at its first use.

    Two forms are read. A *sequence classifier* (``AutoModelForSequenceClassification``) judges a text: the whole
    answer, or with ``by="steps"`` every beginning of it, one step longer each time. A *token classifier*
    (``AutoModelForTokenClassification``, as TRL trains process reward models) judges a step at the last token of the
    separator behind it. With one label the score is the logit of a sequence and the sigmoid of it for a step's token;
    with several, the probability of `label`.

    Args:
        model: name or folder.
        by: ``whole`` or ``steps``; a token classifier knows ``steps`` only.
        kind: the model's head; taken from its configuration when left out.
        label: name or number of the label that means right; the last one when left out.
        separator: text after every step, for a token classifier.
        device: where torch runs it, such as ``cuda``.
        batch_size: how many texts go through it at once.
        max_length: most tokens of a text; the model's own limit when left out. Of a longer one the beginning of the
            question is left out; an answer that is too long by itself gets no score.
        options: more arguments of ``from_pretrained``, such as ``{"torch_dtype": "bfloat16"}``.

    Raises:
        SettingError: a setting is out of range.
    """

    def __init__(
        self,
        model: str,
        *,
        by: By = "whole",
        kind: Kind | None = None,
        label: str | int | None = None,
        separator: str = "\n",
        device: str = "cpu",
        batch_size: int = 8,
        max_length: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        if by not in get_args(By) or kind not in (None, *get_args(Kind)):
            raise SettingError(f"by is {by!r} and kind {kind!r}; by is 'whole' or 'steps', kind 'sequence' or 'token'.")
        if batch_size < 1 or (max_length is not None and max_length < 1):
            raise SettingError(f"batch_size is {batch_size!r} and max_length {max_length!r}; both must be from 1.")
        if kind == "token" and by == "whole":
            raise SettingError("A token classifier scores steps: set by='steps'.")
        self.model = model
        self.by = by
        self.separator = separator
        self.batch_size = batch_size
        self._kind = kind
        self._label = label
        self._device = device
        self._max_length = max_length
        self._options = dict(options or {})
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def score(self, query: Query, answers: Sequence[str]) -> Scores:
        """Run the answers through the model.

        Raises:
            SettingError: the model can't be read, has no label `label`, or is a token classifier while `by` is
                ``whole``.
        """
        with self._lock:  # one at a time: each run uses all cores as it is
            if self._loaded is None:
                self._loaded = self._load()
            loaded = self._loaded
            question = query.full_text
            texts = [_texts(loaded, question, answer, by=self.by, separator=self.separator) for answer in answers]
            rewards = loaded.rewards([text for of_one in texts for text in of_one], self.batch_size)
        scored, start = [], 0
        for of_one in texts:
            scored.append(self._scored(rewards[start : start + len(of_one)]))
            start += len(of_one)
        return Scores(answers=tuple(scored), usage=Usage(input_tokens=0, output_tokens=0), cost_usd=0.0)

    def _scored(self, rewards: Sequence[list[float] | None]) -> AnswerScore:
        known = [reward for reward in rewards if reward is not None]
        if len(known) < len(rewards):
            return AnswerScore(error="it is longer than the model reads")
        steps = [score for reward in known for score in reward]
        return AnswerScore.of_steps(steps) if self.by == "steps" else AnswerScore(score=steps[0])

    def _load(self) -> _Loaded:
        transformers: Any = import_module("transformers")
        try:
            config = transformers.AutoConfig.from_pretrained(self.model, **self._options)
            kind = self._kind or ("token" if "TokenClassification" in str(config.architectures) else "sequence")
            if kind == "token" and self.by == "whole":
                raise SettingError(f"{self.model!r} is a token classifier, which scores steps: set by='steps'.")
            head = "AutoModelForTokenClassification" if kind == "token" else "AutoModelForSequenceClassification"
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.model)
            network = getattr(transformers, head).from_pretrained(self.model, **self._options)
        except (OSError, ValueError) as error:
            if isinstance(error, SettingError):
                raise
            raise SettingError(f"Can't read the reward model {self.model!r}: {error}") from error
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        tokenizer.truncation_side, tokenizer.padding_side = "left", "right"
        network.config.pad_token_id = tokenizer.pad_token_id
        label = _label(self.model, self._label, network.config)
        longest = self._max_length or _longest(tokenizer, network.config)
        return _Loaded(tokenizer, network.to(self._device).eval(), kind=kind, label=label, longest=longest)


def _label(model: str, label: str | int | None, config: Any) -> int:
    """Return the number of the label that means right."""
    if label is None:
        return int(config.num_labels) - 1
    names = [str(config.id2label[number]) for number in range(config.num_labels)]
    if isinstance(label, int) and 0 <= label < len(names):
        return label
    if label in names:
        return names.index(str(label))
    raise SettingError(f"The reward model {model!r} has no label {label!r}. {suggest(str(label), names)}")


def _longest(tokenizer: Any, config: Any) -> int | None:
    limits = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
    known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < _ENDLESS]
    return min(known) if known else None


class _Text:
    """A text for the model, as tokens: what may be shortened at its beginning, and what may not.

    Args:
        head: tokens of the question.
        body: tokens of the answer.
        marks: places in the body at which a step is judged; none for a text that is judged as a whole.
        pair: question and answer themselves, where the tokenizer is to join them its own way.
    """

    def __init__(
        self,
        head: list[int],
        body: list[int],
        *,
        marks: Sequence[int] = (),
        pair: tuple[str, str] | None = None,
    ) -> None:
        self.head = head
        self.body = body
        self.marks = marks
        self.pair = pair


def _texts(loaded: _Loaded, question: str, answer: str, *, by: By, separator: str) -> list[_Text]:
    """Return the texts whose rewards are an answer's scores."""
    if by == "whole":
        return [loaded.sequence(question, answer)]
    steps = split_steps(answer)
    if loaded.kind == "token":
        return [loaded.marked(question, steps, separator)] if steps else []
    return [loaded.sequence(question, "\n\n".join(steps[: number + 1])) for number in range(len(steps))]


class _Loaded:
    """A model in memory with its tokenizer."""

    def __init__(self, tokenizer: Any, network: Any, *, kind: Kind, label: int, longest: int | None) -> None:
        self.tokenizer = tokenizer
        self.network = network
        self.kind = kind
        self.label = label
        self.longest = longest

    def sequence(self, question: str, answer: str) -> _Text:
        """Return question and answer as a sequence classifier was trained on them: as a chat, or as two texts."""
        if self.tokenizer.chat_template:
            asked = [{"role": "user", "content": question}]
            whole = [*asked, {"role": "assistant", "content": answer}]
            head = self._ids(self.tokenizer.apply_chat_template(asked, tokenize=False))
            ids = self._ids(self.tokenizer.apply_chat_template(whole, tokenize=False))
            shared = next((at for at, pair in enumerate(zip(head, ids, strict=False)) if pair[0] != pair[1]), len(head))
            return _Text(ids[:shared], ids[shared:])
        return _Text(self._ids(question), self._ids(answer), pair=(question, answer))

    def marked(self, question: str, steps: Sequence[str], separator: str) -> _Text:
        """Return question and steps as TRL's trainer of process reward models joins them."""
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        body: list[int] = []
        marks: list[int] = []
        for step in steps:
            body += self._ids(step) + self._ids(separator)
            marks.append(len(body) - 1)
        return _Text(start + self._ids(question), body, marks=marks)

    def rewards(self, texts: Sequence[_Text], batch_size: int) -> list[list[float] | None]:
        """Return the rewards of texts: one a mark, or one for the whole; None for a text that is too long."""
        inputs = [self._inputs(text) for text in texts]
        fitting = [index for index, given in enumerate(inputs) if given is not None]
        rewards: list[list[float] | None] = [None] * len(texts)
        for start in range(0, len(fitting), batch_size):
            batch = fitting[start : start + batch_size]
            for index, reward in zip(batch, self._run([inputs[index] for index in batch], texts, batch), strict=True):
                rewards[index] = reward
        return rewards

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _inputs(self, text: _Text) -> dict[str, list[int]] | None:
        """Return what the network reads, or None where the answer alone is longer than it reads."""
        extra = 0 if text.pair is None else self.tokenizer.num_special_tokens_to_add(pair=True)
        over = 0 if self.longest is None else max(0, len(text.head) + len(text.body) + extra - self.longest)
        if over > len(text.head):
            return None
        if text.pair is None:
            ids = text.head[over:] + text.body
            return {"input_ids": ids, "attention_mask": [1] * len(ids)}
        shortened = {"truncation": "only_first", "max_length": self.longest} if over else {}
        return dict(self.tokenizer(*text.pair, **shortened))

    def _run(self, batch: Sequence[Any], texts: Sequence[_Text], places: Sequence[int]) -> list[list[float]]:
        torch: Any = import_module("torch")
        padded = self.tokenizer.pad(list(batch), return_tensors="pt").to(self.network.device)
        with torch.inference_mode():
            logits = self.network(**padded).logits.float()
        many = logits.shape[-1] > 1
        if self.kind == "sequence":
            rewards = logits.softmax(-1)[:, self.label] if many else logits[:, 0]
            return [[float(reward)] for reward in rewards]
        rewards = logits.softmax(-1)[..., self.label] if many else logits[..., 0].sigmoid()
        found = []
        for row, (place, given) in enumerate(zip(places, batch, strict=True)):
            text = texts[place]
            start = len(given["input_ids"]) - len(text.body)
            found.append([float(rewards[row, start + mark]) for mark in text.marks])
        return found
