"""Distances of sets of pictures, on features of a named extractor."""

from math import inf
from typing import Literal

from e2r_metrics.rows.extractors import CLEAN, EXTRACTORS, in_crops
from e2r_metrics.rows.types import Metric

_PREPROCESSING = {row.id: row.preprocessing for row in EXTRACTORS}
_INCEPTION = ("inception-2015-12-05",)
_FRECHET = (
    "Frechet distance of two Gaussians, covariances with n - 1, float64, exact trace of the root"
)


def _fid(variant: str, reference: str) -> Metric:
    return Metric(
        "fid", variant, f"FID ({variant})", "frechet", False,
        f"{_FRECHET}, of InceptionV3 pool3 features (2015-12-05)",
        "Heusel et al., NeurIPS 2017", reference, "1e-9 relative for the Frechet step", "set",
        low=0.0, identical=0.0, resize=_PREPROCESSING[f"inception-{variant}"],
        weights=_INCEPTION, extractor=f"inception-{variant}", distance="frechet",
    )  # fmt: skip


def _fd_dinov2(size: str) -> Metric:
    extractor = f"dinov2-vit-{size}-14"
    return Metric(
        "fd_dinov2", size, f"FD (DINOv2 {size.upper()})", "frechet", False,
        f"{_FRECHET}, of DINOv2 ViT-{size.upper()}/14 features", "Stein et al., NeurIPS 2023",
        "dgm-eval with its clean resize, by definition", "1e-9 relative for the Frechet step",
        "set", low=0.0, identical=0.0, resize=_PREPROCESSING[extractor], weights=(extractor,),
        extractor=extractor, distance="frechet",
    )  # fmt: skip


_WEIGHED = "each crop counts once, so that a picture weighs as much as it has crops"


def _patch_fid(variant: str, reference: str) -> Metric:
    return Metric(
        "patch_fid", f"{variant}-256", f"pFID ({variant})", "frechet", False,
        f"{_FRECHET}, of InceptionV3 pool3 features (2015-12-05) of crops; {_WEIGHED}",
        "Mentzer et al., NeurIPS 2020", reference, "exact for the crops", "set",
        low=0.0, identical=0.0, crop=in_crops(256), resize=_PREPROCESSING[f"inception-{variant}"],
        weights=_INCEPTION, extractor=f"inception-{variant}-patch256", distance="frechet",
    )  # fmt: skip


def _mmd(name: str, variant: str, title: str, extractor: str, weights: str) -> Metric:
    statistic = "with the diagonal" if variant == "v" else "without the diagonal (unbiased)"
    return Metric(
        name, variant, title, "mmd", False,
        f"1000 MMD^2, Gaussian kernel sigma 10 on unit vectors, {variant.upper()}-statistic "
        f"{statistic}",
        "Jayasumana et al., CVPR 2024", "cmmd of google-research", "1e-6 relative", "set",
        low=0.0 if variant == "v" else -inf, identical=0.0 if variant == "v" else None,
        resize=_PREPROCESSING[extractor], weights=(weights,), extractor=extractor,
        distance="mmd_v" if variant == "v" else "mmd_u",
    )  # fmt: skip


_KINDS: tuple[Literal["precision", "recall", "density", "coverage"], ...] = (
    "precision", "recall", "density", "coverage",
)  # fmt: skip
_NEIGHBOURS = {
    "precision": "share of the restored inside some clean ball",
    "recall": "share of the clean inside some restored ball",
    "density": "clean balls that a restored lies in, on average, over 5",
    "coverage": "share of clean balls with a restored inside",
}


def _prdc(name: str, extractor: str, weights: str, shown: str) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            name, kind, f"{kind.capitalize()}{shown}", "prdc", True,
            f"{_NEIGHBOURS[kind]}; open balls to the fifth neighbour",
            "Kynkaanniemi et al., NeurIPS 2019" if kind in ("precision", "recall")
            else "Naeem et al., ICML 2020",
            "prdc 0.2", "exact", "set", low=0.0, high=inf if kind == "density" else 1.0,
            identical=1.0, resize=_PREPROCESSING[extractor], weights=(weights,),
            extractor=extractor, distance=kind, symmetric=False,
        )
        for kind in _KINDS
    )  # fmt: skip


ROWS = (
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
        resize=CLEAN,
        weights=_INCEPTION,
        extractor="inception-clean",
        distance="kid",
    ),
    _fd_dinov2("l"),
    _fd_dinov2("b"),
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
        resize=_PREPROCESSING["effnet-lite0"],
        weights=("efficientnet-lite0",),
        extractor="effnet-lite0",
        distance="frechet",
    ),
    _patch_fid("clean", "NeuralCompression's crops; clean-fid's extractor and resize"),
    _patch_fid("tm17", "NeuralCompression's crops; torchmetrics' extractor, torch-fidelity"),
    Metric(
        "patch_fd_effnet",
        "lite0-64",
        "pFD (EffNet)",
        "frechet",
        False,
        f"{_FRECHET}, of EfficientNet-Lite0 features of crops; {_WEIGHED}; a proxy of its own "
        "name, not pFID",
        "this project",
        "NeuralCompression's crops",
        "exact for the crops",
        "set",
        low=0.0,
        identical=0.0,
        crop=in_crops(64),
        resize=_PREPROCESSING["effnet-lite0"],
        weights=("efficientnet-lite0",),
        extractor="effnet-lite0-patch64",
        distance="frechet",
    ),
    _mmd("mmd_effnet", "v", "MMD (EffNet)", "effnet-lite0", "efficientnet-lite0"),
    _mmd("mmd_effnet", "u", "MMD (EffNet, U)", "effnet-lite0", "efficientnet-lite0"),
    *_prdc("prdc", "inception-clean", "inception-2015-12-05", ""),
    *_prdc("prdc_effnet", "effnet-lite0", "efficientnet-lite0", " (EffNet)"),
)
