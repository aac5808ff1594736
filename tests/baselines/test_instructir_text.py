"""InstructIR's sentences: the text path on a small random encoder, and the cache."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from e2r_baselines.instructir import InstructIR, open_instructir
from e2r_baselines.instructir_text import (
    Embedder,
    LanguageHead,
    read_cache,
    sentence_encoder,
    text_path,
    write_cache,
)
from e2r_baselines.method import DETERMINISTIC, Build, Compute, Photo
from e2r_baselines.tasks import PROMPTS, TASKS
from e2r_metrics.base.errors import UsageError

SENTENCES = ["remove the rain from the image", "remove noise"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer BERT of the right width, random, in a folder of an arbitrary name."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("any_name")
    words = sorted({word for text in SENTENCES for word in text.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=384, num_hidden_layers=1,
        num_attention_heads=12, intermediate_size=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("head") / "lm_instructir-7d.pt"
    torch.save(LanguageHead().state_dict(), path)
    return path


def test_a_sentence_does_not_depend_on_the_padding_of_others(encoder: Path) -> None:
    encode = sentence_encoder(encoder)
    together, alone = encode(SENTENCES), encode(SENTENCES[1:])
    assert together.shape == (2, 384)
    np.testing.assert_allclose(together[1].numpy(), alone[0].numpy(), atol=1e-5)
    assert np.linalg.norm(alone[0].numpy()) == pytest.approx(1, abs=1e-5)


def test_the_cache_gives_back_what_the_text_path_computes(
    encoder: Path, head: Path, tmp_path: Path
) -> None:
    embed, path = text_path(head, encoder), tmp_path / "instructir-prompts.json"
    write_cache(path, embed)
    cached, computed = Embedder.of([path]), Embedder.of([head, encoder])
    for prompts in PROMPTS.values():
        for sentence in prompts.values():
            torch.testing.assert_close(cached.embed(sentence), computed.embed(sentence))
    with pytest.raises(UsageError, match="lacks the prompt 'sing'"):
        cached.embed("sing")
    assert computed.embed("sing").shape == (1, 256)


def test_a_run_with_the_cache_needs_no_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image, cache = tmp_path / "im.pt", tmp_path / "prompts.json"
    torch.save(InstructIR().state_dict(), image)
    rows = {TASKS["derain"].prompt: [0.1] * 256}
    cache.write_text(json.dumps({"embeddings": rows}))
    build = Build("instructir-7d", ("instructir-image", "instructir-prompts"))
    paths = {"instructir-image": image, "instructir-prompts": cache}
    restorer = open_instructir(build, paths, Compute())
    photo = [Photo("a", np.full((5, 7, 3), 0.5, np.float32))]
    (result,) = restorer.restore(photo, TASKS["derain"], [DETERMINISTIC])
    assert result.pixels.shape == (5, 7, 3)
    with pytest.raises(UsageError, match="lacks the prompt"):
        list(restorer.restore(photo, TASKS["dehaze"], [DETERMINISTIC]))


@pytest.mark.parametrize("text", ["", "[]", '{"embeddings": {"a": [1, 2]}}', '{"embeddings": 3}'])
def test_a_cache_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cache.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="expected"):
        read_cache(path)


def test_a_folder_without_an_encoder_is_one_line(tmp_path: Path, head: Path) -> None:
    with pytest.raises(UsageError, match="expected the text encoder") as caught:
        text_path(head, tmp_path)
    assert "\n" not in str(caught.value)
