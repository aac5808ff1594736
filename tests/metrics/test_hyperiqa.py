"""HyperIQA against torchvision's ResNet-50 and transforms, plain sums, and pyiqa's network."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_networks import SMALL_HYPERIQA as SMALL
from quality_networks import hyperiqa_state, part_of

from e2r_metrics import UsageError
from e2r_metrics.hyperiqa import VARIANTS, crops, open_metric, places, prepare
from e2r_metrics.hyperiqa_network import PUBLISHED, HyperIqa, load_hyperiqa


@pytest.fixture(scope="module")
def state():
    """The published sizes, with random weights."""
    return hyperiqa_state(PUBLISHED)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("hyperiqa") / "koniq_pretrained.pkl"
    torch.save(hyperiqa_state(SMALL), path)
    return path


@pytest.fixture
def three(photo):
    """Three crops whose scores differ."""
    return crops(photo, "seeded10")[:3]


def _stages(state, x):
    """Yield what torchvision's ResNet-50 gives after each of its stages."""
    from torchvision.models import resnet50

    network = resnet50(weights=None)
    trunk = {k: v for k, v in part_of(state, "res.").items() if not k.startswith("lda")}
    gone = network.load_state_dict(trunk, strict=False)
    assert (gone.missing_keys, gone.unexpected_keys) == (["fc.weight", "fc.bias"], [])
    network.eval()
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        x = stage(x)
        yield x


def _local(state, index, x):
    """Return what a stage says of its places, one picture: plain means of squares of 7x7."""
    if index < 4:
        x = torch.einsum("oc,chw->ohw", state[f"res.lda{index}_pool.0.weight"][..., 0, 0], x)
    count = x.shape[1] // 7
    squares = x.reshape(len(x), count, 7, count, 7).mean((2, 4))
    return state[f"res.lda{index}_fc.weight"] @ squares.flatten() + state[f"res.lda{index}_fc.bias"]


def _second(state, told, content):
    """Return the score of one picture: five layers whose weights are made of its content."""
    whole = content.mean((1, 2))
    x = told
    for index in range(1, 5):
        made = F.conv2d(content[None], state[f"fc{index}w_conv.weight"],
                        state[f"fc{index}w_conv.bias"], padding=1)  # fmt: skip
        bias = state[f"fc{index}b_fc.weight"] @ whole + state[f"fc{index}b_fc.bias"]
        x = 1 / (1 + torch.exp(-(made.flatten().view(len(bias), len(x)) @ x + bias)))
    row = state["fc5w_fc.weight"] @ whole + state["fc5w_fc.bias"]
    return float(row @ x + state["fc5b_fc.weight"][0] @ whole + state["fc5b_fc.bias"][0])


def _score(state, x):
    """Return the score of one crop, (3, 224, 224)."""
    stages = [stage[0] for stage in _stages(state, x[None])]
    told = torch.cat([_local(state, index, stage) for index, stage in enumerate(stages, 1)])
    content = stages[-1]
    for layer in (0, 2, 4):
        kernel, bias = (state[f"conv1.{layer}.{part}"] for part in ("weight", "bias"))
        content = torch.einsum("oc,chw->ohw", kernel[..., 0, 0], content) + bias[:, None, None]
        content = content.clamp(min=0)
    return _second(state, told, content)


def _full(state):
    network = HyperIqa(PUBLISHED).eval()
    network.load_state_dict(state, strict=True)
    return network


def test_the_network_is_the_published_one(state, three):
    with torch.inference_mode():
        found = _full(state)(three).tolist()
        expected = [_score(state, x) for x in three]
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected) > 1e-2


def _named_as_pyiqa(state, names):
    """Return weights under the other network's names; its groups have the same order."""
    own = {f"base_model.{k}": v for k, v in part_of(state, "res.").items() if k[:3] != "lda"}
    own.update({k: v for k, v in state.items() if k.startswith("conv1.")})
    groups = {"lda_modules": "res.lda", "fc_w_modules": "fc.w", "fc_b_modules": "fc.b"}
    for group, ours in groups.items():
        values = [value for name, value in state.items() if re.match(ours, name)]
        theirs = [name for name in names if name.startswith(group)]
        own.update(zip(theirs, values, strict=True))
    return own


def test_the_network_against_pyiqa(state, photo, monkeypatch):
    """On the crops that it takes, which are others than ours: they are seen on their way in."""
    import timm

    pyiqa = pytest.importorskip("pyiqa", reason="extra `bench`")
    real = timm.create_model
    # It would fetch weights of the ResNet, which are replaced here.
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **rest: real(name, **rest))
    theirs = pyiqa.create_metric("hyperiqa", device="cpu", pretrained=False).net.eval()
    theirs.load_state_dict(_named_as_pyiqa(state, theirs.state_dict()), strict=True)
    seen = []
    theirs.base_model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        expected = float(theirs(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255))
        found = _full(state)(torch.cat(seen))
    assert found.shape == (25,)
    assert float(found.mean()) == pytest.approx(expected, abs=1e-5)


def test_the_published_sizes():
    """The tensors of the published file: it has 109,768,650 bytes, of which names take 54,694."""
    state = HyperIqa(PUBLISHED).state_dict()
    floats = [value for value in state.values() if value.is_floating_point()]
    assert sum(4 * value.numel() for value in floats) == 109_713_956
    assert state["fc1w_conv.weight"].shape == (512, 112, 3, 3)
    assert state["res.lda4_fc.weight"].shape == (176, 2048)


def test_pictures_come_as_torchvision_brings_them(photo):
    """The authors' `Resize((512, 384))`: the height comes first."""
    from PIL import Image
    from torchvision import transforms

    wide = np.ascontiguousarray(np.tile(photo, (1, 3, 1)))
    theirs = transforms.Compose([
        transforms.Resize((512, 384)), transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])  # fmt: skip
    for image in (photo, wide):
        assert torch.allclose(prepare(image), theirs(Image.fromarray(image)), atol=1e-6)
    assert prepare(wide).shape == (3, 512, 384)


def test_the_places_are_even_and_stay():
    """Every place that a crop can have is as likely, ends included, as in the authors' draws."""
    expected = [(271, 55), (223, 27), (163, 39), (1, 134), (179, 101), (132, 97), (48, 33)]
    assert places("seeded25")[:7] == expected
    assert places("seeded25")[:10] == places("seeded10")
    assert {name: len(places(name)) for name in VARIANTS} == {"seeded25": 25, "seeded10": 10}
    drawn = np.array(places("seeded25"))
    assert (drawn >= 0).all()
    assert (drawn <= (288, 160)).all()
    assert drawn.mean(0) == pytest.approx((144, 80), abs=40)


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(sorted(VARIANTS)))
@settings(max_examples=10, deadline=None)
def test_crops_are_parts_of_the_resized_picture(height, width, variant):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    found, whole = crops(image, variant), prepare(image)
    assert found.shape == (VARIANTS[variant], 3, 224, 224)
    for part, (top, left) in zip(found, places(variant), strict=True):
        assert torch.equal(part, whole[:, top : top + 224, left : left + 224])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_metric_is_the_mean_of_its_crops(variant, small, photo, monkeypatch):
    monkeypatch.setattr("e2r_metrics.hyperiqa.PUBLISHED", SMALL)
    network = load_hyperiqa(small, SMALL)
    measure = open_metric(variant, {"hyperiqa-koniq": small}, "cpu")
    with torch.inference_mode():
        alone = [float(network(x[None])) for x in crops(photo, variant)]
    assert measure([photo], [photo])[0] == pytest.approx(np.mean(alone), abs=1e-6)


OTHERS = {
    "a ResNet of torchvision": lambda state: {
        k: v for k, v in part_of(state, "res.").items() if k[:3] != "lda"
    },
    "the ResNet of HyperIQA alone": lambda state: part_of(state, "res."),
    "HyperIQA": lambda state: {k: v for k, v in state.items() if k != "fc5b_fc.bias"},
    "no network known here": lambda state: {"a": state["fc5b_fc.bias"]},
}


@pytest.mark.parametrize("looks", OTHERS)
def test_another_file_is_refused_by_its_name(looks, tmp_path):
    path = tmp_path / "koniq_pretrained.pkl"
    torch.save(OTHERS[looks](hyperiqa_state(SMALL)), path)
    with pytest.raises(UsageError, match=rf"expected HyperIQA \(.*found {looks} \("):
        load_hyperiqa(path, SMALL)


def test_a_file_of_an_old_pytorch_is_read(small, tmp_path):
    """Before 1.6 another format, before 0.4.1 no counters of batches; the weights are the same."""
    path = tmp_path / "koniq_pretrained.pkl"
    state = hyperiqa_state(SMALL)
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    torch.save(old, path, _use_new_zipfile_serialization=False)
    found, usual = load_hyperiqa(path, SMALL).state_dict(), load_hyperiqa(small, SMALL).state_dict()
    assert all(torch.equal(found[name], usual[name]) for name in usual)


class _Runs:
    def __reduce__(self):
        return print, ("run",)


def test_a_pickle_with_code_is_refused(tmp_path, capsys):
    path = tmp_path / "koniq_pretrained.pkl"
    torch.save({**hyperiqa_state(SMALL), "more": _Runs()}, path)
    with pytest.raises(UsageError, match="expected tensors only, found a pickle"):
        load_hyperiqa(path, SMALL)
    assert capsys.readouterr().out == ""
