"""From a sentence to InstructIR's 256 numbers: text encoder, mean over tokens, language head.

`python -m e2r_baselines.instructir_text HEAD ENCODER OUT` writes the cache of the fixed prompts, so
that runs need neither. The cache cannot be made without the released head.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.checkpoints import load_strict
from e2r_baselines.tasks import PROMPTS
from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_text

ENCODER_DIM = 384
CLASSES = ("noise", "blur", "rain", "haze", "lol", "sr", "enhancement")


class LanguageHead(nn.Module):
    """Maps a sentence embedding to the image network's, and to seven kinds of degradation."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(ENCODER_DIM, 256)
        self.fc2 = nn.Linear(256, len(CLASSES))

    def forward(self, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 384) of unit length to (B, 256) of unit length and (B, 7) logits."""
        embedding = F.normalize(self.fc1(sentence), dim=-1)
        return embedding, self.fc2(embedding)


def mean_pooled(tokens: Tensor, mask: Tensor) -> Tensor:
    """Average token features where the mask is 1 and scale to unit length.

    Args:
        tokens: (B, T, D).
        mask: (B, T), 1 for tokens, 0 for padding.

    Returns:
        (B, D). Explicit, since libraries decide by a folder's name whether to pool by the mean.
    """
    weights = mask[..., None].to(tokens)
    return F.normalize((tokens * weights).sum(1) / weights.sum(1).clamp(min=1e-9), dim=-1)


def sentence_encoder(folder: Path) -> Callable[[Sequence[str]], Tensor]:
    """Load bge-micro-v2 from a local folder; return what maps N sentences to (N, 384).

    Raises:
        UsageError: the folder holds no text encoder that transformers can read, or one of another
            width.
    """
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"{folder}: expected the text encoder bge-micro-v2: {first}") from error
    if model.config.hidden_size != ENCODER_DIM:
        raise UsageError(
            f"{folder}: expected a text encoder of width {ENCODER_DIM} (bge-micro-v2), found "
            f"{model.config.hidden_size}"
        )

    @torch.no_grad()
    def encode(sentences: Sequence[str]) -> Tensor:
        tokens = tokenizer(list(sentences), padding=True, truncation=True, return_tensors="pt")
        return mean_pooled(model(**tokens).last_hidden_state, tokens["attention_mask"])

    return encode


@dataclass(frozen=True)
class Embedder:
    """Looks sentences up in the cache, or computes them where head and encoder are here."""

    cache: Mapping[str, Tensor]
    compute: Callable[[Sequence[str]], Tensor] | None

    @classmethod
    def of(cls, files: Sequence[Path]) -> "Embedder":
        """Open a cache (one file), or the head and the encoder's folder (two)."""
        if len(files) == 1:
            return cls(read_cache(files[0]), None)
        head, folder = files
        return cls({}, text_path(head, folder))

    def embed(self, sentence: str) -> Tensor:
        """Return (1, 256).

        Raises:
            UsageError: the cache lacks the sentence and there is no encoder.
        """
        if sentence in self.cache:
            return self.cache[sentence][None]
        if self.compute is None:
            raise UsageError(
                f"InstructIR: the cache of embeddings lacks the prompt {sentence!r}; fetch "
                "instructir-head and bge-micro-v2 to run other prompts"
            )
        return self.compute([sentence])


def text_path(head: Path, folder: Path) -> Callable[[Sequence[str]], Tensor]:
    """Load head and encoder; return what maps N sentences to (N, 256)."""
    network = LanguageHead().eval()
    load_strict(network, read_tensors(head), head, "InstructIR-7D, language head")
    encode = sentence_encoder(folder)

    @torch.no_grad()
    def embed(sentences: Sequence[str]) -> Tensor:
        return network(encode(sentences))[0]

    return embed


def read_cache(path: Path) -> Mapping[str, Tensor]:
    """Read the embeddings of fixed sentences, (256,) each.

    Raises:
        UsageError: the file is no such cache.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows = {text: torch.tensor(row) for text, row in content["embeddings"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: expected a cache of InstructIR embeddings: {error}") from error
    if any(row.shape != (256,) for row in rows.values()):
        raise UsageError(f"{path}: expected 256 numbers per sentence, found another count")
    return rows


def write_cache(path: Path, embed: Callable[[Sequence[str]], Tensor]) -> None:
    """Write the embeddings of all fixed prompts, in one move."""
    sentences = sorted({text for prompts in PROMPTS.values() for text in prompts.values()})
    rows = {text: embed([text])[0].tolist() for text in sentences}
    write_text(path, json.dumps({"embeddings": rows}) + "\n")


def main() -> None:
    """Write the cache of the fixed prompts."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("head", type=Path, help="lm_instructir-7d.pt")
    parser.add_argument("encoder", type=Path, help="folder of bge-micro-v2")
    parser.add_argument("out", type=Path, help="instructir-prompts.json")
    arguments = parser.parse_args()
    write_cache(arguments.out, text_path(arguments.head, arguments.encoder))


if __name__ == "__main__":
    main()
