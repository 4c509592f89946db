"""Reward models from Hugging Face, made here: tiny, with random weights, written to a folder and read back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.ranking import RankingTool, RewardModel
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "#", "what", "is", "six", "times", "seven", "forty", "two", "one", "so"]
QUESTION = Query(text="what is six times seven")
ANSWERS = ["forty two", "forty one", "so six times seven is forty two", "seven"]
CHAT = (
    "{% for message in messages %}[CLS] {% if message.role == 'user' %}what{% else %}so{% endif %} "
    "{{ message.content }} [SEP] {% endfor %}"
)


def tokenizer_of(folder: Path, *, chat: str | None = None) -> Any:
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, **names)
    if chat:
        tokenizer.chat_template = chat
    tokenizer.save_pretrained(folder)
    return tokenizer


def network_of(folder: Path, head: str, labels: int, **settings: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        num_labels=labels,
        initializer_range=0.8,  # so that answers get scores that differ
        **settings,
    )
    network = getattr(transformers, f"BertFor{head}")(config).eval()
    network.save_pretrained(folder)
    return network


def logits(network: Any, tokenizer: Any, *texts: str) -> Any:
    """Return what the network says of one text or pair of texts, computed apart from ours."""
    with torch.no_grad():
        return network(**tokenizer(*texts, return_tensors="pt")).logits[0]


def test_a_sequence_classifier_scores_whole_answers_by_its_logit(tmp_path: Path) -> None:
    network, tokenizer = network_of(tmp_path, "SequenceClassification", 1), tokenizer_of(tmp_path)
    scores = RewardModel(str(tmp_path), batch_size=3).score(QUESTION, ANSWERS)
    expected = [float(logits(network, tokenizer, QUESTION.text, answer)[0]) for answer in ANSWERS]
    assert [one.score for one in scores.answers] == pytest.approx(expected, abs=1e-5)
    assert scores.best == expected.index(max(expected))
    assert len(set(expected)) == len(expected)
    assert scores.cost_usd == 0


def test_of_several_labels_the_probability_of_the_right_one_counts(tmp_path: Path) -> None:
    names = {"id2label": {0: "wrong", 1: "unsure", 2: "right"}, "label2id": {"wrong": 0, "unsure": 1, "right": 2}}
    network, tokenizer = network_of(tmp_path, "SequenceClassification", 3, **names), tokenizer_of(tmp_path)
    shares = logits(network, tokenizer, QUESTION.text, "forty two").softmax(-1)
    for label, number in ((None, 2), ("right", 2), ("wrong", 0), (1, 1)):
        (one,) = RewardModel(str(tmp_path), label=label).score(QUESTION, ["forty two"]).answers
        assert one.score == pytest.approx(float(shares[number]), abs=1e-5)
    with pytest.raises(SettingError, match=r"no label 'rihgt'. Did you mean 'right'"):
        RewardModel(str(tmp_path), label="rihgt").score(QUESTION, ["forty two"])


def test_steps_are_scored_by_a_sequence_classifier_as_ever_longer_beginnings(tmp_path: Path) -> None:
    network, tokenizer = network_of(tmp_path, "SequenceClassification", 1), tokenizer_of(tmp_path)
    answer = "six times seven\n\nso forty two"
    (one, none) = RewardModel(str(tmp_path), by="steps").score(QUESTION, [answer, " \n"]).answers
    expected = [float(logits(network, tokenizer, QUESTION.text, text)[0]) for text in ("six times seven", answer)]
    assert one.steps == pytest.approx(expected, abs=1e-5)
    assert one.score == pytest.approx(sum(expected) / 2, abs=1e-5)
    assert (none.score, none.error) == (None, "it has no steps")


def test_a_token_classifier_scores_a_step_at_its_separator(tmp_path: Path) -> None:
    network, tokenizer = network_of(tmp_path, "TokenClassification", 2), tokenizer_of(tmp_path)
    scorer = RewardModel(str(tmp_path), by="steps", separator="#")
    answers = ["six times seven\nso forty two", "forty one"]
    joined = [f"{QUESTION.text} six times seven # so forty two #", f"{QUESTION.text} forty one #"]
    for answer, text in zip(scorer.score(QUESTION, answers).answers, joined, strict=True):
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            shares = network(**ids).logits[0].softmax(-1)[:, 1]
        places = [place for place, word in enumerate(text.split()) if word == "#"]
        assert answer.steps == pytest.approx([float(shares[place]) for place in places], abs=1e-5)


def test_a_token_classifier_does_not_score_whole_answers(tmp_path: Path) -> None:
    network_of(tmp_path, "TokenClassification", 2)
    tokenizer_of(tmp_path)
    with pytest.raises(SettingError, match="set by='steps'"):
        RewardModel(str(tmp_path)).score(QUESTION, ["forty two"])


def test_a_tokenizer_with_a_chat_template_gets_a_chat(tmp_path: Path) -> None:
    network, tokenizer = network_of(tmp_path, "SequenceClassification", 1), tokenizer_of(tmp_path, chat=CHAT)
    (one,) = RewardModel(str(tmp_path)).score(QUESTION, ["forty two"]).answers
    text = f"[CLS] what {QUESTION.text} [SEP] [CLS] so forty two [SEP]"
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        expected = float(network(input_ids=ids["input_ids"]).logits[0, 0])
    assert one.score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("chat", [None, CHAT])
def test_of_a_long_question_the_beginning_is_left_out(tmp_path: Path, chat: str | None) -> None:
    network_of(tmp_path, "SequenceClassification", 1)
    tokenizer_of(tmp_path, chat=chat)
    scorer = RewardModel(str(tmp_path), max_length=12)
    long = Query(text=f"{'one ' * 40}{QUESTION.text}")
    longer = Query(text=f"{'one ' * 50}{QUESTION.text}")
    assert scorer.score(long, ["forty two"]) == scorer.score(longer, ["forty two"])
    (one, other) = scorer.score(long, ["forty " * 30, "forty"]).answers
    assert (one.score, one.error) == (None, "it is longer than the model reads")
    assert other.score is not None


def test_longer_texts_in_a_batch_change_nothing(tmp_path: Path) -> None:
    network_of(tmp_path, "SequenceClassification", 1)
    tokenizer_of(tmp_path)
    together = RewardModel(str(tmp_path), batch_size=4).score(QUESTION, ANSWERS)
    alone = RewardModel(str(tmp_path), batch_size=1).score(QUESTION, ANSWERS)
    assert [one.score for one in together.answers] == pytest.approx([one.score for one in alone.answers], abs=1e-5)


def test_ranks_from_the_tool_on_an_event_loop(tmp_path: Path) -> None:
    network, tokenizer = network_of(tmp_path, "SequenceClassification", 1), tokenizer_of(tmp_path)
    tool = RankingTool(scorer=RewardModel(str(tmp_path)))
    said = asyncio.run(tool.ainvoke({"question": QUESTION.text, "answers": ANSWERS}))
    expected = [float(logits(network, tokenizer, QUESTION.text, answer)[0]) for answer in ANSWERS]
    assert f'"best": {expected.index(max(expected))}' in said


def test_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Can't read the reward model"):
        RewardModel(str(tmp_path / "nothing")).score(QUESTION, ANSWERS)
