"""Network metrics against the peers' own network code with the same random weights."""

import warnings

import numpy as np
import pytest
import torch

from e2r_metrics import UsageError
from e2r_metrics.base.checkpoints import read_arrays
from e2r_metrics.clip_features import prepare as prepare_clip
from e2r_metrics.clip_iqa import VARIANTS, ClipIqa, embed_without_position
from e2r_metrics.clip_networks import MEAN, STD, _state, load_clip
from e2r_metrics.dists import load_dists
from e2r_metrics.inception import open_extractor, prepare
from e2r_metrics.lpips import load_lpips, lpips_distance, lpips_map, lpips_spatial
from e2r_metrics.resize import pillow_bicubic, tensorflow_bilinear

# Peers warn on import and on loading; their warnings are theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def pair(photo, noisy):
    def tensor(image):
        return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255

    return tensor(noisy(20)[:96, :80]), tensor(photo[:96, :80])


@pytest.fixture(scope="module")
def random_backbones(tmp_path_factory):
    """torchvision checkpoints with random weights, as `load_lpips` takes them."""
    from torchvision import models

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("backbones")
    made = {}
    for name, build in (("alexnet", models.alexnet), ("squeezenet", models.squeezenet1_1)):
        state = {f"features.{k}": v for k, v in build(weights=None).features.state_dict().items()}
        made[f"{name}-imagenet"] = folder / f"{name}.pth"
        torch.save(state, made[f"{name}-imagenet"])
    return made


@pytest.mark.parametrize(("net", "backbone"), [("alex", "alexnet"), ("squeeze", "squeezenet")])
def test_lpips_against_lpips(net, backbone, random_backbones, files, pair):
    import lpips

    heads = files(f"lpips-heads-{net}")
    ours = load_lpips(net, {**random_backbones, **heads})
    theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    convolutions = [m for m in theirs.net.modules() if isinstance(m, torch.nn.Conv2d)]
    mine = [m for m in ours.features.modules() if isinstance(m, torch.nn.Conv2d)]
    for target, source in zip(convolutions, mine, strict=True):
        target.load_state_dict(source.state_dict())
    with torch.inference_mode():
        expected = theirs(*pair, normalize=True).item()
        theirs.spatial = True
        expected_map = theirs(*pair, normalize=True)[0, 0]
        assert lpips_distance(ours, *pair).item() == pytest.approx(expected, rel=1e-5)
        assert torch.allclose(lpips_spatial(ours, *pair)[0], expected_map, rtol=1e-4, atol=1e-7)


def test_lpips_heads_are_the_same_in_both_artifacts(files):
    found = files("alexnet-imagenet", "lpips-heads-alex")
    if found["alexnet-imagenet"].suffix != ".ckpt":
        pytest.skip("the backbone here is torchvision's")
    arrays = read_arrays(found["alexnet-imagenet"])
    heads = torch.load(found["lpips-heads-alex"], map_location="cpu", weights_only=True)
    for index in range(5):
        theirs = heads[f"lin{index}.model.1.weight"].flatten()
        assert torch.equal(arrays[f"NetLinLayer_{index}.Conv_0.kernel"].flatten(), theirs)


def test_lpips_map_is_where_the_damage_is(files, photo):
    network = load_lpips("alex", files("alexnet-imagenet", "lpips-heads-alex"))
    hurt = photo.copy()
    hurt[20:50, 120:160] = 255 - hurt[20:50, 120:160]
    values = lpips_map(network, hurt, photo)
    assert values.shape == photo.shape[:2]
    assert values.dtype == np.float32
    assert values[20:50, 120:160].mean() > 10 * values[120:, :80].mean()


def test_dists_against_piq(files, pair):
    import piq
    from piq.perceptual import VGG16_LAYERS, ContentLoss
    from torchvision import models

    found = files("vgg16-imagenet", "dists-weights")
    ours = load_dists(found)
    weights = torch.load(found["dists-weights"], map_location="cpu", weights_only=True)
    vgg = models.vgg16(weights=None).features
    vgg.load_state_dict(
        dict(zip(vgg.state_dict(), ours.features.state_dict().values(), strict=True))
    )
    theirs = piq.DISTS.__new__(piq.DISTS)
    channels = [3, 64, 128, 256, 512, 512]
    split = [part for key in ("alpha", "beta") for part in weights[key].split(channels, 1)]
    layers = [VGG16_LAYERS[f"relu{s}"] for s in ("1_2", "2_2", "3_3", "4_3", "5_3")]
    ContentLoss.__init__(
        theirs, vgg, layers, split, reduction="none", allow_layers_weights_mismatch=True
    )
    theirs.replace_pooling(vgg)
    with torch.inference_mode():
        assert ours(*pair).item() == pytest.approx(theirs(*pair).item(), abs=1e-5)


def test_clip_iqa_against_piq(random_clip, pair):
    import open_clip
    from piq.feature_extractors import clip

    theirs = clip.build_model(torch.load(random_clip, weights_only=True)).float().eval()
    network = load_clip("RN50-quickgelu", random_clip, "cpu")
    x = (pair[0] - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.inference_mode():
        features = theirs.encode_image(x, pos_embedding=False)
        own = embed_without_position(network.visual, x)
        assert torch.allclose(own, features, rtol=1e-4, atol=1e-4)
        tokens = open_clip.get_tokenizer("RN50")(["Good photo.", "Bad photo."])
        anchors = torch.nn.functional.normalize(theirs.encode_text(tokens), dim=-1)
        unit = torch.nn.functional.normalize(features, dim=-1)
        expected = (theirs.logit_scale.exp() * unit @ anchors.T).softmax(-1)[0, 0].item()
        model = ClipIqa(network, *VARIANTS["official"])
        assert model.score(pair[0]).item() == pytest.approx(expected, abs=1e-5)
        hundred = ClipIqa(network, *VARIANTS["torchmetrics"]).score(pair[0]).item()
        assert hundred == pytest.approx((100 * unit @ anchors.T).softmax(-1)[0, 0].item(), abs=1e-5)
        five = ClipIqa(network, *VARIANTS["pyiqa5"])
        assert five.anchors.shape == (10, 1024)
        assert 0 < five.score(pair[0]).item() < 1


def test_clip_is_read_from_the_archives_that_openai_published(tmp_path):
    """They are TorchScript; PyTorch's warning of that is nobody's business."""

    class Held(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = torch.nn.Linear(2, 2)

        def forward(self, x):
            return self.visual(x)

    torch.jit.script(Held()).save(str(tmp_path / "RN50.pt"))
    torch.save(Held().state_dict(), tmp_path / "plain.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(_state(tmp_path / "RN50.pt")) == {"visual.weight", "visual.bias"}
        assert set(_state(tmp_path / "plain.pt")) == {"visual.weight", "visual.bias"}


def test_clip_of_another_kind_is_refused(random_clip, tmp_path):
    state = torch.load(random_clip, weights_only=True)
    state.pop("visual.attnpool.c_proj.bias")
    torch.save(state, tmp_path / "RN50.pt")
    with pytest.raises(UsageError, match="expected the weights of CLIP RN50"):
        load_clip("RN50-quickgelu", tmp_path / "RN50.pt", "cpu")


def test_clean_resize_against_clean_fid(photo):
    from cleanfid.resize import build_resizer

    expected = build_resizer("clean")(photo)
    assert np.array_equal(pillow_bicubic(photo, 299), expected)


def test_tensorflow_resize_against_torch_fidelity(photo):
    theirs = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow", reason="`bench`")
    x = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    expected = theirs.interpolate_bilinear_2d_like_tensorflow1x(x, (299, 299), align_corners=False)
    assert torch.allclose(tensorflow_bilinear(x, 299), expected, atol=1e-4)


def test_inception_variants_against_torch_fidelity(photo, tmp_path):
    """Their network with random weights, wrapped as the TorchScript file wraps its own."""
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="`bench`")

    class Layers(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            names = [n for n, _ in network.named_children() if n not in ("fc", "AvgPool")]
            # torch-fidelity registers its pools out of order.
            order = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1",
                     "Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"]  # fmt: skip
            names = order + [n for n in names if n.startswith("Mixed")]
            self.steps = torch.nn.Sequential(*(getattr(network, n) for n in names))

        def forward(self, x):
            return self.steps(x).mean((2, 3))

    class Wrapper(torch.nn.Module):
        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            return self.layers(x)

    torch.manual_seed(0)
    plain = theirs.FeatureExtractorInceptionV3.__new__(theirs.FeatureExtractorInceptionV3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *a, **k: {}, raising=False)
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *a, **k: None)
        plain.__init__("inception", ["2048"])
    plain.eval()
    path = tmp_path / "inception-2015-12-05.pt"
    wrapper = Wrapper(Layers(plain)).eval()
    torch.jit.trace(wrapper, torch.zeros(1, 3, 299, 299)).save(str(path))
    x = torch.from_numpy(photo).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = plain(x)[0][0].numpy()
    ours = open_extractor("inception-tm17", {"inception-2015-12-05": path}, "cpu")(photo)
    assert ours.shape == (2048,)
    assert np.allclose(ours, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_a_pickle_is_not_an_inception(tmp_path):
    path = tmp_path / "inception-2015-12-05.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match="expected the TorchScript"):
        open_extractor("inception-clean", {"inception-2015-12-05": path}, "cpu")


def test_inception_variants_differ_as_published(photo):
    """Mean distance of the input to clean-fid's, 8-bit units: larger without antialias."""
    large = np.kron(photo, np.ones((4, 4, 1), np.uint8))
    names = ("inception-clean", "inception-tm", "inception-pytorch-fid", "inception-tm17")
    inputs = {name: prepare(name, large) for name in names}
    assert all(x.shape == (1, 3, 299, 299) for x in inputs.values())
    gaps = [float((inputs[n] - inputs[names[0]]).abs().mean() * 128) for n in names[1:]]
    assert 0 < gaps[0] < gaps[1] < gaps[2]


def test_clip_input_is_the_centre_square(photo):
    x = prepare_clip(photo)
    side = min(photo.shape[:2])
    left = (photo.shape[1] - side) // 2
    assert torch.equal(x, prepare_clip(photo[:, left : left + side]))
    assert x.shape == (1, 3, 336, 336)
    raw = x * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)
    assert float(raw.min()) > -1e-6
    assert float(raw.max()) < 1 + 1e-6


def test_effnet_knows_its_classes(files):
    """The head of the same file names scikit-image's photographs."""
    from skimage import data
    from timm import create_model

    from e2r_metrics.base.checkpoints import load_in_order, read_tensors

    path = files("efficientnet-lite0")["efficientnet-lite0"]
    network = create_model("tf_efficientnet_lite0", pretrained=False)
    load_in_order(network, list(read_tensors(path).values()), path)
    # Which breed of cat the second one is depends on the crop: tabby, tiger or Egyptian.
    cats = {281, 282, 285}
    for image, labels in ((data.coffee(), {967}), (data.chelsea()[:, 75:375], cats)):
        x = torch.from_numpy(pillow_bicubic(image, 224)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.inference_mode():
            assert network.eval()(x).argmax().item() in labels


def test_arrays_pickle_runs_nothing(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (eval, ("1",))

    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(UsageError, match=r"builtins\.eval"):
        read_arrays(path)
