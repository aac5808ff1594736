"""Every metric by name and variant, as data: what a number means travels with it.

Adding a metric: write its module (an `open_metric` for per-image metrics, an `open_set` for set
metrics), add one row here and, if it needs weights, one table to `weights.toml`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType
from typing import Literal

from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.variants import described, with_channel

VERSION = "1"
"""Raised whenever a definition below changes what a number means."""


Distance = Literal["frechet", "kid", "mmd_v", "mmd_u"]
"""What the resamples of a set metric compute: see `e2r_bench.statistics`."""


@dataclass(frozen=True)
class Metric:
    """One row of the catalog.

    Attributes:
        name: the bare name, such as "psnr".
        variant: which definition of it, such as "rgb".
        title: how a table names it.
        module: the module of `e2r_metrics` that computes it.
        higher_is_better: the direction.
        unit: "dB", or "" for none.
        low: the smallest value it can take.
        high: the largest value it can take.
        identical: what a pair of equal images, or of equal sets, gives; None where nothing is
            compared.
        scope: "image" compares pairs, "single" looks at the restored image alone, "set" compares
            two sets of features.
        definition: the formula and its constants, from which a number can be recomputed.
        colour: which channels are read.
        crop: what is cut.
        resize: how pictures are brought to the network's size.
        paper: where it is defined.
        reference: the implementation that it agrees with.
        tolerance: how closely, absolute, and on what.
        weights: names of weight files, as in `weights.toml`.
        extractor: id of the feature extractor, for set metrics.
        distance: which distance a set metric is; its intervals and tests resample that one.
    """

    name: str
    variant: str
    title: str
    module: str
    higher_is_better: bool
    definition: str
    paper: str
    reference: str
    tolerance: str
    scope: Literal["image", "single", "set"] = "image"
    unit: str = ""
    low: float = -inf
    high: float = inf
    identical: float | None = None
    colour: str = "RGB"
    crop: str = "none"
    resize: str = "none"
    weights: tuple[str, ...] = ()
    extractor: str | None = None
    distance: Distance | None = None

    def __post_init__(self) -> None:
        told = (self.extractor is not None, self.distance is not None)
        if told != ((True, True) if self.scope == "set" else (False, False)):
            raise TypeError(f"{self.id}: a set metric states its extractor and its distance")

    @property
    def id(self) -> str:
        """Return name and variant, such as "psnr:rgb"."""
        return f"{self.name}:{self.variant}"

    @property
    def per_image(self) -> bool:
        """Return whether every picture has its own value."""
        return self.scope != "set"

    @property
    def protocol(self) -> str:
        """Return the line that travels with every value of this metric."""
        weights = f"; weights {'+'.join(self.weights)}" if self.weights else ""
        return (
            f"{self.id} v{VERSION} [{self.definition}; colour {self.colour}; crop {self.crop}; "
            f"resize {self.resize}{weights}]"
        )


@dataclass(frozen=True)
class Extractor:
    """One way from pictures to features.

    Attributes:
        id: its name, which says network and preprocessing.
        module: the module of `e2r_metrics` with its `open_extractor`.
        dimension: length of a feature vector.
        preprocessing: what happens before the network, in words that define it.
        weights: names of weight files.
    """

    id: str
    module: str
    dimension: int
    preprocessing: str
    weights: tuple[str, ...]


_TF1 = "bilinear without antialias to 299x299, corner-aligned at the origin as TensorFlow 1 does"
_CLEAN = "PIL bicubic with antialias to 299x299 per channel in float32, clipped to [0, 255]"
_TORCH = "torch bilinear, half-pixel centres, to 299x299"
_INCEPTION = ("inception-2015-12-05",)

_EXTRACTORS = (
    Extractor("inception-clean", "inception", 2048, f"{_CLEAN}; (x - 128) / 128", _INCEPTION),
    Extractor("inception-tm17", "inception", 2048, f"{_TF1}; (x - 128) / 128", _INCEPTION),
    Extractor(
        "inception-tm", "inception", 2048, f"{_TORCH}, antialias; (x - 128) / 128", _INCEPTION
    ),
    Extractor(
        "inception-pytorch-fid",
        "inception",
        2048,
        f"{_TORCH}, no antialias, on [0, 1]; 2 x - 1",
        _INCEPTION,
    ),
    Extractor(
        "clip-vit-l-14-336",
        "clip_features",
        768,
        "centre square, PIL bicubic to 336x336 in 8 bits, CLIP mean and deviation; projected, "
        "L2-normalised",
        ("clip-vit-l-14-336",),
    ),
    Extractor(
        "effnet-lite0",
        "effnet",
        1280,
        "PIL bicubic with antialias to 224x224 per channel in float32, clipped to [0, 255]; "
        "(x / 255 - 0.5) / 0.5; global average pool of the last feature map",
        ("efficientnet-lite0",),
    ),
)

_SSIM_PAPER = "Wang et al., IEEE TIP 2004"
_GAUSS = (
    "11x11 Gaussian sigma 1.5, K1 0.01, K2 0.03, population covariance, windows inside the "
    "picture, mean over pixels and channels; 8-bit input in float32"
)
_Y = "Y of BT.601 at 16-235, not rounded"
_LPIPS = "LPIPS v0.1: input in [-1, 1], five stages, learned linear heads, mean over positions"
_FRECHET = (
    "Frechet distance of two Gaussians, covariances with n - 1, float64, exact trace of the root"
)
_CLIP_IQA = (
    "softmax over the cosines of image and prompts, RN50 with attention pool without positional "
    "embedding"
)


def _psnr(variant: str, title: str, definition: str, colour: str, reference: str) -> Metric:
    return Metric(
        "psnr", variant, title, "psnr", True, definition, "-", reference,
        "1e-12 relative", unit="dB", identical=inf, colour=colour,
    )  # fmt: skip


def _ssim(variant: str, title: str, definition: str, colour: str, reference: str) -> Metric:
    return Metric(
        "ssim", variant, title, "ssim", True, definition, _SSIM_PAPER, reference,
        "1e-12 in float64; 2e-6 from 8 bits on photographs",
        low=-1.0, high=1.0, identical=1.0, colour=colour,
    )  # fmt: skip


def _lpips(variant: str, backbone: str, definition: str) -> Metric:
    return Metric(
        "lpips", variant, f"LPIPS ({variant})", "lpips", False, definition,
        "Zhang et al., CVPR 2018", "lpips 0.1.4", "1e-6 on equal weights",
        low=0.0, identical=0.0, weights=(backbone, f"lpips-heads-{variant}"),
    )  # fmt: skip


def _dists(variant: str, resize: str, reference: str) -> Metric:
    return Metric(
        "dists", variant, f"DISTS ({variant})", "dists", False,
        "VGG16 stages with L2 pooling, learned alpha and beta, c1 = c2 = 1e-6",
        "Ding et al., TPAMI 2020", reference, "1e-5 on equal weights",
        identical=0.0, resize=resize, weights=("vgg16-imagenet", "dists-weights"),
    )  # fmt: skip


def _fid(variant: str, reference: str) -> Metric:
    return Metric(
        "fid", variant, f"FID ({variant})", "frechet", False,
        f"{_FRECHET}, of InceptionV3 pool3 features (2015-12-05)",
        "Heusel et al., NeurIPS 2017", reference, "1e-9 relative for the Frechet step", "set",
        low=0.0, identical=0.0, resize=_preprocessing(f"inception-{variant}"),
        weights=_INCEPTION, extractor=f"inception-{variant}", distance="frechet",
    )  # fmt: skip


def _preprocessing(extractor: str) -> str:
    return next(row.preprocessing for row in _EXTRACTORS if row.id == extractor)


def _mmd(name: str, variant: str, title: str, extractor: str, weights: str) -> Metric:
    statistic = "with the diagonal" if variant == "v" else "without the diagonal (unbiased)"
    return Metric(
        name, variant, title, "mmd", False,
        f"1000 MMD^2, Gaussian kernel sigma 10 on unit vectors, {variant.upper()}-statistic "
        f"{statistic}",
        "Jayasumana et al., CVPR 2024", "cmmd of google-research", "1e-6 relative", "set",
        low=0.0 if variant == "v" else -inf, identical=0.0 if variant == "v" else None,
        resize=_preprocessing(extractor), weights=(weights,), extractor=extractor,
        distance="mmd_v" if variant == "v" else "mmd_u",
    )  # fmt: skip


def _clip_iqa(variant: str, prompts: str, scale: str, reference: str) -> Metric:
    return Metric(
        "clip_iqa", variant, f"CLIP-IQA ({variant})", "clip_iqa", True,
        f"{_CLIP_IQA}; {prompts}; logit scale {scale}",
        "Wang et al., AAAI 2023", reference, "1e-5 on equal weights", "single",
        low=0.0, high=1.0, resize="none, native resolution", weights=("clip-rn50",),
    )  # fmt: skip


_PAIR = '"Good photo." against "Bad photo."'
_ROWS = (
    _psnr("rgb", "PSNR", "10 log10(peak^2 / MSE), no epsilon", "RGB", "NumPy float64"),
    _psnr("y", "PSNR (Y)", "10 log10(255^2 / MSE), no epsilon", _Y, "MATLAB rgb2ycbcr, BasicSR"),
    _psnr(
        "y_full",
        "PSNR (Y, full range)",
        "10 log10(255^2 / MSE), no epsilon",
        "Y of BT.601 at full range (YIQ), not rounded",
        "pyiqa and piq without their epsilon",
    ),
    _ssim("gauss", "SSIM", _GAUSS, "RGB", "MATLAB ssim; scikit-image with its parameters"),
    _ssim(
        "uniform7",
        "SSIM (7x7)",
        "7x7 box, K1 0.01, K2 0.03, sample covariance, windows inside the picture, mean over "
        "pixels and channels; 8-bit input in float32",
        "RGB",
        "scikit-image defaults",
    ),
    _ssim("y", "SSIM (Y)", _GAUSS.replace("float32", "float64"), _Y, "MATLAB ssim on Y"),
    _ssim(
        "pooled",
        "SSIM (pooled)",
        "average-pooled by round(shorter side / 256) before: "
        + _GAUSS.replace("float32", "float64"),
        "RGB",
        "DehazeFormer's test script",
    ),
    Metric(
        "ms_ssim",
        "gauss",
        "MS-SSIM",
        "ms_ssim",
        True,
        "five scales, exponents 0.0448 0.2856 0.3001 0.2363 0.1333, 2x2 mean between scales, "
        "11x11 Gaussian sigma 1.5, windows inside, per channel then mean, negative factors to 0; "
        "float64",
        "Wang et al., Asilomar 2003",
        "torchmetrics and pytorch-msssim on sides divisible by 16",
        "1e-5",
        low=0.0,
        high=1.0,
        identical=1.0,
    ),
    _lpips("alex", "alexnet-imagenet", _LPIPS),
    _lpips("vgg", "vgg16-imagenet", _LPIPS),
    _lpips("squeeze", "squeezenet-imagenet", _LPIPS.replace("five", "seven")),
    _dists("native", "none", "DISTS_pytorch 0.1"),
    _dists(
        "short256",
        "short side to 256 by Pillow bilinear with antialias, if it is longer",
        "DISTS_pytorch 0.1 with its prepare_image(resize=True)",
    ),
    _dists(
        "piq", "short side to 256 by torch bilinear without antialias, if it is longer", "piq 0.8"
    ),
    _clip_iqa("official", _PAIR, "learned", "CLIP-IQA of its authors; piq 0.8"),
    _clip_iqa("torchmetrics", _PAIR, "100", "torchmetrics clip_image_quality_assessment"),
    _clip_iqa(
        "pyiqa5",
        "mean over five pairs: Good / Bad image, Sharp / Blurry image, sharp / blurry edges, "
        "High / low resolution image, Noise-free / noisy image",
        "learned",
        "pyiqa clipiqa",
    ),
    _fid("clean", "clean-fid's extractor and resize"),
    _fid("tm17", "torchmetrics <= 1.7, torch-fidelity"),
    _fid("tm", "torchmetrics >= 1.8"),
    _fid("pytorch-fid", "pytorch-fid"),
    Metric(
        "kid",
        "unbiased",
        "KID",
        "kid",
        False,
        "unbiased MMD^2 over all pairs, no subsets, kernel (x.y / D + 1)^3, float64",
        "Binkowski et al., ICLR 2018",
        "torch-fidelity with one subset of all samples",
        "1e-10",
        "set",
        resize=_CLEAN,
        weights=_INCEPTION,
        extractor="inception-clean",
        distance="kid",
    ),
    _mmd("cmmd", "v", "CMMD", "clip-vit-l-14-336", "clip-vit-l-14-336"),
    _mmd("cmmd", "u", "CMMD (U)", "clip-vit-l-14-336", "clip-vit-l-14-336"),
    Metric(
        "fd_effnet",
        "lite0",
        "FD (EffNet)",
        "frechet",
        False,
        f"{_FRECHET}, of EfficientNet-Lite0 features; a proxy of its own name, not FID",
        "this project",
        "scipy eigendecomposition in float64",
        "1e-9 relative for the Frechet step",
        "set",
        low=0.0,
        identical=0.0,
        resize=_preprocessing("effnet-lite0"),
        weights=("efficientnet-lite0",),
        extractor="effnet-lite0",
        distance="frechet",
    ),
    _mmd("mmd_effnet", "v", "MMD (EffNet)", "effnet-lite0", "efficientnet-lite0"),
    _mmd("mmd_effnet", "u", "MMD (EffNet, U)", "effnet-lite0", "efficientnet-lite0"),
)

CATALOG: Mapping[str, Metric] = MappingProxyType({row.id: row for row in _ROWS})
EXTRACTORS: Mapping[str, Extractor] = MappingProxyType({row.id: row for row in _EXTRACTORS})

# Metrics whose other variants are composed when they are asked for, and the row that they vary.
COMPOSED: Mapping[str, str] = MappingProxyType({"psnr": "psnr:rgb", "ssim": "ssim:gauss"})

_DEFAULT = {
    "psnr": "rgb",
    "ssim": "gauss",
    "ms_ssim": "gauss",
    "lpips": "alex",
    "dists": "native",
    "clip_iqa": "official",
    "fid": "clean",
    "kid": "unbiased",
    "cmmd": "v",
    "fd_effnet": "lite0",
    "mmd_effnet": "v",
}
PROFILES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "default": MappingProxyType(_DEFAULT),
        # Edit2Restore as released.
        "paper": MappingProxyType({**_DEFAULT, "fid": "tm17", "clip_iqa": "torchmetrics"}),
    }
)


def resolve(
    names: Sequence[str],
    profile: str = "default",
    variants: Mapping[str, str] | None = None,
    channel: str | None = None,
) -> tuple[Metric, ...]:
    """Return the metrics asked for, in that order, each once.

    Args:
        names: bare names, whose variant the profile chooses, or "name:variant".
        profile: a key of `PROFILES`.
        variants: variants by bare name that replace the profile's.
        channel: what PSNR and SSIM are computed on, of `CHANNELS`; None: their own.

    Raises:
        UsageError: an unknown name, variant, profile or channel; it names the nearest one.
    """
    if profile not in PROFILES:
        raise unknown("metric profile", profile, PROFILES)
    chosen = {**PROFILES[profile], **(variants or {})}
    for name, variant in (variants or {}).items():
        _row(name, variant)
    rows = [_named(name, chosen) for name in names]
    if channel is not None:
        rows = [_on(row, channel) if row.name in COMPOSED else row for row in rows]
        if not any(row.name in COMPOSED for row in rows):
            raise UsageError(
                f"--channel {channel}: expected {' or '.join(COMPOSED)} among the metrics, found "
                f"{', '.join(row.name for row in rows)}, which have no channel to choose"
            )
    return tuple(dict.fromkeys(rows))


def metric_of(key: str) -> Metric:
    """Return the metric of an id, "name:variant", listed or composed; UsageError for none."""
    return _row(*key.split(":", 1))


def _on(row: Metric, channel: str) -> Metric:
    return _row(row.name, with_channel(row.name, row.variant, channel))


def _named(name: str, chosen: Mapping[str, str]) -> Metric:
    bare, colon, variant = name.partition(":")
    if bare not in _DEFAULT:
        raise unknown("metric", bare, _DEFAULT)
    return _row(bare, variant if colon else chosen[bare])


def _row(name: str, variant: str) -> Metric:
    if name not in _DEFAULT:
        raise unknown("metric", name, _DEFAULT)
    if name in COMPOSED:
        told = described(name, variant)
        usual = CATALOG.get(f"{name}:{told.variant}")
        return usual or replace(CATALOG[COMPOSED[name]], **told._asdict(), reference="-")
    if f"{name}:{variant}" not in CATALOG:
        known = [row.variant for row in _ROWS if row.name == name]
        raise unknown(f"variant of {name}", variant, known)
    return CATALOG[f"{name}:{variant}"]
