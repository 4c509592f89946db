"""Training a language model as the policy, end to end on a CPU with a tiny model made here."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("trl", reason="training a language model needs the extra train-llm: make test-train-llm")
pytest.importorskip("peft", reason="training a language model needs the extra train-llm: make test-train-llm")

from langchain_atlas.errors import InvalidInputError, SettingError
from langchain_atlas.learning.language_model.config import LanguageModelConfig
from langchain_atlas.learning.language_model.episodes import Environment
from langchain_atlas.learning.language_model.grpo import PolicyTrainer
from langchain_atlas.learning.language_model.imitation import oracle_transcripts, random_transcripts, to_tokens
from langchain_atlas.learning.language_model.models import WritingCopy, left_as_it_was
from langchain_atlas.learning.language_model.tokens import ChatTokens
from langchain_atlas.learning.language_model.training import descriptions, train_language_model
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.prompted.hugging_face import PolicyWeights, load_causal_model
from langchain_atlas.routers.prompted.router import PromptedRouter
from langchain_atlas.testing.tiny_policy import save_tiny_model, toy_table
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the trainers, about settings that are theirs
    pytest.mark.timeout(600),
]

QUICK: dict[str, Any] = {
    "groups": 1, "group_size": 4, "imitation_steps": 2, "imitation_batch": 4, "max_step": 12, "lora_rank": 4,
    "learning_rate": 1e-2, "checkpoint_every": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    table = toy_table(8)
    environment = Environment(table, descriptions(table, None))
    texts = [str(one.content) for row in range(8) for one in environment.messages(environment.start(row))]
    texts += ["\n".join(steps) for _, steps in random_transcripts(environment)]
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), texts)


@pytest.fixture(scope="module")
def trained(base: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[PromptedRouter, Path]:
    folder = tmp_path_factory.mktemp("trained")
    config = LanguageModelConfig(steps=3, **QUICK)
    return train_language_model(toy_table(8), base, folder=folder, config=config), folder


def arrays(router: Router) -> dict[str, Any]:
    assert isinstance(router, PromptedRouter)
    assert isinstance(router.chat_model, PolicyWeights)
    return dict(router.chat_model.arrays)


def test_the_loss_is_finite_and_the_weights_moved(trained: tuple[PromptedRouter, Path]) -> None:
    router, folder = trained
    lines = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    improved = [line for line in lines if line["part"] == "grpo" and "loss" in line]
    assert [line["step"] for line in improved] == [1, 2, 3]
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    assert {"reward", "rewards/format/mean", "score", "well_formed", "optimal_first"} <= set(improved[0])
    ups = [array for name, array in arrays(router).items() if ".lora_B." in name]
    assert ups
    assert any(np.abs(array).max() > 0 for array in ups), "an adapter starts at zero"


def test_the_adapter_is_saved_loaded_and_routes(trained: tuple[PromptedRouter, Path], tmp_path: Path) -> None:
    router, _ = trained
    router.save(tmp_path / "router")
    loaded = Router.load(tmp_path / "router")
    for name, array in arrays(router).items():
        np.testing.assert_array_equal(arrays(loaded)[name], array)
    query = Query(text="a sum about 3")
    decision = loaded.decide(query)
    assert decision == router.decide(query)
    assert decision.pair in router.pairs
    assert decision.spent is not None
    assert decision.spent.usage.input_tokens


def test_what_was_trained_is_what_is_served(trained: tuple[PromptedRouter, Path], base: str) -> None:
    """The merged weights give the logits that the adapter gave."""
    import torch
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    router, _ = trained
    weights = router.chat_model
    assert isinstance(weights, PolicyWeights)
    model, _ = load_causal_model(base)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    set_peft_model_state_dict(adapted, {name: torch.from_numpy(array) for name, array in weights.arrays.items()})
    served, _ = weights.load()
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        torch.testing.assert_close(served(ids).logits, adapted.eval()(ids).logits, rtol=1e-4, atol=1e-5)


def test_training_resumed_gives_the_same_weights(
    base: str, trained: tuple[PromptedRouter, Path], tmp_path: Path
) -> None:
    whole, _ = trained
    train_language_model(toy_table(8), base, folder=tmp_path, config=LanguageModelConfig(steps=2, **QUICK))
    resumed = train_language_model(
        toy_table(8), base, folder=tmp_path, config=LanguageModelConfig(steps=3, **QUICK), resume=True
    )
    for name, array in arrays(whole).items():
        np.testing.assert_allclose(arrays(resumed)[name], array, rtol=1e-5, atol=1e-7, err_msg=name)


def test_every_weight_can_be_trained(base: str, tmp_path: Path) -> None:
    config = LanguageModelConfig(**{**QUICK, "steps": 0, "lora_rank": 0})
    router = train_language_model(toy_table(8), base, folder=tmp_path / "work", config=config)
    router.save(tmp_path / "router")
    loaded = Router.load(tmp_path / "router")
    assert loaded.decide(Query(text="a poem")) == router.decide(Query(text="a poem"))


def test_what_the_policy_was_told_is_masked(base: str) -> None:
    environment = Environment.of(toy_table(8))
    _, tokenizer = load_causal_model(base)
    chat = ChatTokens(tokenizer)
    row, steps = oracle_transcripts(environment)[0]
    tokens = to_tokens(environment, chat, (row, steps))
    wrote = tokenizer.decode([one for one, mine in zip(tokens.completion, tokens.mask, strict=True) if mine])
    told = tokenizer.decode([one for one, mine in zip(tokens.completion, tokens.mask, strict=True) if not mine])
    assert wrote == "".join(steps)
    assert told == "<|im_end|>\n<|im_start|>user\n<information>yes</information><|im_end|>\n<|im_start|>assistant\n"


def test_in_training_the_policy_reads_what_the_router_shows_it(base: str) -> None:
    environment = Environment.of(toy_table(8))
    _, tokenizer = load_causal_model(base)
    chat = ChatTokens(tokenizer)
    row, steps = oracle_transcripts(environment)[0]
    tokens = to_tokens(environment, chat, (row, steps[:1]))
    router = PromptedRouter(None, environment.described)
    episode = environment.start(row)
    environment.step(episode, steps[0])
    asking = router._asking(episode.query, episode.trajectory)
    messages, _ = next(asking)
    roles = {"system": "system", "human": "user", "ai": "assistant"}
    told = [{"role": roles[one.type], "content": str(one.text)} for one in messages]
    seen = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
    assert seen == tokenizer.decode(tokens.ids)


def silenced(model: Any) -> Any:
    """A copy of a model all of whose weights are 0, so that its logits are."""
    import torch

    silent = copy.deepcopy(model)
    with torch.no_grad():
        for weights in silent.parameters():
            weights.zero_()
    return silent


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(torch.arange(3, 40)[None]).logits


@pytest.mark.parametrize(("way", "rank"), [("imitate", 0), ("improve", 0), ("both", 4)])
def test_a_copy_of_a_trained_model_writes_with_its_own_weights(base: str, tmp_path: Path, way: str, rank: int) -> None:
    """TRL leaves a forward on the model that goes on asking the first model; copies learned, and never wrote it."""
    environment = Environment.of(toy_table(8))
    config = LanguageModelConfig(**{**QUICK, "steps": 1, "lora_rank": rank})
    trainer = PolicyTrainer(*load_causal_model(base), environment, config, folder=tmp_path)
    if way != "improve":
        trainer.imitate(oracle_transcripts(environment))
    if way != "imitate":
        trainer.improve()
    assert logits(trainer.model).abs().max() > 0
    assert logits(silenced(trainer.model)).abs().max() == 0
    if rank == 0:
        writing = WritingCopy(trainer.model, "float32")
        assert logits(writing.synced(silenced(trainer.model))).abs().max() == 0


def test_a_model_is_left_as_it_was_after_a_failure(base: str) -> None:
    from trl.trainer.utils import add_fused_lm_head

    model, _ = load_causal_model(base)
    mine = model.lm_head.forward = model.lm_head.forward  # a forward of the user's own stays
    with pytest.raises(RuntimeError, match="in between"), left_as_it_was(model):
        add_fused_lm_head(model)
        assert "forward" in vars(model)
        raise RuntimeError("in between")
    assert "forward" not in vars(model)
    assert vars(model.lm_head)["forward"] is mine
    del model.lm_head.forward
    assert logits(silenced(model)).abs().max() == 0


def test_mistakes_are_named(base: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Can't load 'no/such-model'"):
        train_language_model(toy_table(8), "no/such-model", folder=tmp_path)
    with pytest.raises(SettingError, match="mini_batch is 3; it must divide the 4 episodes"):
        config = LanguageModelConfig(**{**QUICK, "steps": 1, "imitation_steps": 0, "mini_batch": 3})
        train_language_model(toy_table(8), base, folder=tmp_path, config=config)
    with pytest.raises(SettingError, match="group_size is 1; it must be a whole number from 2"):
        LanguageModelConfig(group_size=1)
