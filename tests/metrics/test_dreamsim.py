"""DreamSim against PyTorch's layers, with its adapter applied beside the weights it is for."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from quality_networks import embedded_patches, encoder_layer, part_of, tiny_dreamsim
from safetensors.torch import load_file, save_file
from scipy.spatial.distance import correlation

from e2r_metrics import UsageError, dreamsim
from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.dreamsim import ADAPTER, BRANCHES, SETTINGS, open_metric, prepare, read_adapter


@pytest.fixture
def files(tmp_path, monkeypatch):
    return tiny_dreamsim(tmp_path, monkeypatch)


def _token(state, x, branch, factors):
    """Return the branch's embedding; `factors` are applied to the inputs of their layers."""
    activation = (lambda y: y * (1.702 * y).sigmoid()) if branch == 1 else F.gelu
    epsilon = 1e-5 if branch else 1e-6
    tokens = embedded_patches(state, x)
    if branch:
        tokens = F.layer_norm(tokens, tokens.shape[-1:], state["pos_drop.weight"],
                              state["pos_drop.bias"], epsilon)  # fmt: skip
    for index in range(2):
        layer = encoder_layer(part_of(state, f"blocks.{index}."), 2, activation, epsilon)
        a, b = (factors[f"blocks.{index}.attn.qkv.lora_{side}.weight"] for side in "AB")
        added = torch.einsum("or,ri->oi", b, a) * (3.0 / 4)
        layer.self_attn.in_proj_weight.data += added
        tokens = layer(tokens)
    if not branch:
        return tokens[0, 0]
    token = F.layer_norm(tokens[0, 0], tokens.shape[-1:], state["norm.weight"], state["norm.bias"],
                         epsilon)  # fmt: skip
    return token @ state["proj"]


def _embedding(files, image):
    adapter, found = load_file(files[ADAPTER]), []
    pixels = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    for index, branch in enumerate(BRANCHES):
        mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in branch.moments)
        factors = part_of(adapter, f"base_model.model.extractor_list.{index}.model.")
        state = read_tensors(files[branch.weights])
        found.append(_token(state, (x - mean) / std, index, factors))
    return torch.cat(found).double().numpy()


def test_it_is_the_distance_of_three_embeddings(files, photo, noisy):
    with torch.inference_mode():
        x, y = (_embedding(files, image) for image in (noisy(40), photo))
    # A cosine less the means is a correlation.
    value = open_metric("ensemble", files, "cpu")([noisy(40)], [photo])[0]
    assert value == pytest.approx(correlation(x, y), abs=1e-5)
    assert value > 1e-3


def test_the_adapter_counts(files, photo, noisy):
    before = open_metric("ensemble", files, "cpu")([noisy(40)], [photo])[0]
    settings = json.loads(files[SETTINGS].read_text())
    files[SETTINGS].write_text(json.dumps({**settings, "lora_alpha": 0.0}))
    assert open_metric("ensemble", files, "cpu")([noisy(40)], [photo])[0] != before


def test_pictures_are_squeezed_to_a_square(photo):
    assert prepare(photo).shape == prepare(photo[:90]).shape == (1, 3, 224, 224)
    assert not torch.equal(prepare(photo), prepare(photo[:90]))


def test_three_means_and_deviations():
    clip = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert [branch.moments for branch in BRANCHES] == [imagenet, clip, clip]
    assert [branch.activation for branch in BRANCHES] == ["gelu", "quick_gelu", "gelu"]


SETTINGS_REFUSED = {
    "use_rslora": {"use_rslora": True},
    "IA3 of rank 4": {"peft_type": "IA3"},
    "rank_pattern": {"rank_pattern": {"qkv": 2}},
}


@pytest.mark.parametrize("looks", SETTINGS_REFUSED)
def test_another_kind_of_adapter_is_refused(files, looks):
    settings = json.loads(files[SETTINGS].read_text())
    files[SETTINGS].write_text(json.dumps({**settings, **SETTINGS_REFUSED[looks]}))
    with pytest.raises(UsageError, match=f"expected a plain LoRA by PEFT, found {looks}"):
        read_adapter(files[ADAPTER], files[SETTINGS])


def test_files_that_do_not_belong_together_are_refused(files, tmp_path):
    adapter = load_file(files[ADAPTER])
    single = {k: v for k, v in adapter.items() if "extractor_list.0" in k}
    save_file(single, tmp_path / "single.safetensors")
    with pytest.raises(UsageError, match="for 3 networks, found 2, 0, 0 layers"):
        read_adapter(tmp_path / "single.safetensors", files[SETTINGS])
    first = next(iter(adapter))
    save_file({**adapter, "unet.conv.weight": adapter[first] + 1}, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=r"ensemble adapter, found unet\.conv\.weight"):
        read_adapter(tmp_path / "other.safetensors", files[SETTINGS])
    files[SETTINGS].write_text("{}")
    with pytest.raises(UsageError, match="expected the settings of a LoRA"):
        read_adapter(files[ADAPTER], files[SETTINGS])
    swapped = {**files, BRANCHES[0].weights: files[BRANCHES[1].weights]}
    with pytest.raises(UsageError, match=r"expected DINO's ViT-B/16.*found a CLIP laid out for"):
        dreamsim.load_branch(BRANCHES[0], swapped[BRANCHES[0].weights], {})
    wrong = {"blocks.7.attn.qkv": torch.zeros(2, 2)}
    with pytest.raises(UsageError, match=r"expected layers of DINO's ViT-B/16, found blocks\.7"):
        dreamsim.load_branch(BRANCHES[0], files[BRANCHES[0].weights], wrong)
