"""The text encoders of the miniatures: CLIP and T5, or Qwen3, tiny and never trained.

A random encoder still gives different prompts different states, which is all that a few edits and
tasks need. The tokenizer is byte-level BPE, so that any prompt can be typed.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from transformers import (
        CLIPTextModel,
        PreTrainedTokenizerFast,
        Qwen3ForCausalLM,
        T5EncoderModel,
    )

WIDTH = 64
_VOCABULARY = 512
_PAD, _START, _UNKNOWN, _END = "<pad>", "<start>", "<unknown>", "<end>"
_TEMPLATE = (
    f"{{% for message in messages %}}{_START}{{{{ message['content'] }}}}{_END}{{% endfor %}}"
)


class TextParts(NamedTuple):
    """The four text components of a Flux pipeline."""

    text_encoder: "CLIPTextModel"
    tokenizer: "PreTrainedTokenizerFast"
    text_encoder_2: "T5EncoderModel"
    tokenizer_2: "PreTrainedTokenizerFast"


def build_text(phrases: Iterable[str], seed: int) -> TextParts:
    """Return both encoders and tokenizers.

    Args:
        phrases: what the merges of the tokenizers are learnt from.
        seed: of the random weights.
    """
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    corpus = sorted(set(phrases))
    clip_tokenizer, t5_tokenizer = (
        _tokenizer(corpus, f"{_START} $A {_END}", 77),
        _tokenizer(corpus, f"$A {_END}", 512),
    )
    shared: dict[str, Any] = {"vocab_size": _VOCABULARY, "eos_token_id": 3, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=WIDTH,
                intermediate_size=2 * WIDTH,
                num_hidden_layers=2,
                num_attention_heads=4,
                projection_dim=WIDTH,
                bos_token_id=1,
                # CLIP's usual 0.02 would leave the pooled vector all but blind to the prompt.
                initializer_factor=20.0,
                **shared,
            )
        )
        t5 = T5EncoderModel(
            T5Config(
                d_model=WIDTH, d_kv=16, d_ff=2 * WIDTH, num_layers=2, num_heads=4,
                dropout_rate=0.0, **shared,
            )
        )  # fmt: skip
    return TextParts(clip.eval(), clip_tokenizer, t5.eval(), t5_tokenizer)


def build_chat(
    phrases: Iterable[str], seed: int
) -> "tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]":
    """Return klein's text encoder and its tokenizer, with a chat template of two marks.

    Args:
        phrases: what the merges of the tokenizer are learnt from.
        seed: of the random weights.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer(sorted(set(phrases)), None, 512)
    tokenizer.chat_template = _TEMPLATE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        qwen = Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=_VOCABULARY,
                hidden_size=WIDTH,
                intermediate_size=2 * WIDTH,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=2,
                head_dim=16,
                tie_word_embeddings=True,
                # States of about 1; the usual 0.02 would leave next to nothing to read.
                initializer_range=0.12,
                bos_token_id=1,
                eos_token_id=3,
                pad_token_id=0,
            )
        )
    return qwen.eval(), tokenizer


def _tokenizer(corpus: list[str], ends: str | None, longest: int) -> "PreTrainedTokenizerFast":
    """Return a tokenizer that puts `ends` around a text, None for what a template puts there."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[_PAD, _START, _UNKNOWN, _END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    if ends is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=ends, special_tokens=[(_START, 1), (_END, 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        pad_token=_PAD,
        bos_token=_START,
        unk_token=_UNKNOWN,
        eos_token=_END,
    )
