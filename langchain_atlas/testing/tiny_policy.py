"""A tiny language model, made on the spot, and a toy pool for it to learn: for tests of training on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def toy_table(n_queries: int = 64) -> OutcomeTable:
    """Two pairs and two kinds of query, which one word tells apart; each pair is right on one kind."""
    rows = [
        {
            "query_id": f"q{number}",
            "query": f"a {kind} about {number}",
            "domain": kind,
            "model": model,
            "tool": "none",
            "score": float(good == kind),
            "cost_usd": 0.001,
            "response": "yes" if good == kind else "no",
        }
        for number in range(n_queries)
        for kind in [("poem", "sum")[number % 2]]
        for model, good in (("adder", "sum"), ("bard", "poem"))
    ]
    return OutcomeTable.from_rows(rows)


def save_tiny_model(
    folder: Path,
    texts: Iterable[str],
    *,
    hidden: int = 32,
    layers: int = 1,
    vocabulary: int = 600,
    initializer_range: float = 0.02,
    seed: int = 0,
) -> str:
    """Write a random model, and a tokenizer that knows the words of some texts; return the folder's name.

    Args:
        folder: where to write them.
        texts: what the tokenizer is made for.
        hidden: width of the model.
        layers: number of its layers.
        vocabulary: number of tokens.
        initializer_range: standard deviation of the weights; so narrow a model learns to read its prompt much sooner
            with ``hidden ** -0.5`` than with the usual 0.02.
        seed: seed of the weights.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast  # which has no types

    words: Any = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    words.train_from_iterator(list(texts) * 4, trainer)
    tokenizer = make(
        tokenizer_object=words,
        pad_token="<|pad|>",  # noqa: S106  # no password
        eos_token="<|im_end|>",  # noqa: S106
        chat_template=_CHATML,
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        initializer_range=initializer_range,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
