"""Tokenizers of single characters, for the tiny pipelines."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def chat_letters(special: tuple[str, ...], longest: int) -> "PreTrainedTokenizerFast":
    """Return one of Qwen's class, whose special tokens come first and stay whole."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import Qwen2TokenizerFast

    letters = (*special, *(chr(code) for code in range(32, 127)), "\n")
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return Qwen2TokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token=special[1],
        model_max_length=longest, additional_special_tokens=list(special),
    )  # fmt: skip
