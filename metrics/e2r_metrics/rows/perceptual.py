"""Metrics of learned features, picture by picture: with a reference, or of one picture alone."""

from e2r_metrics.rows.types import Metric

_LPIPS = "LPIPS v0.1: input in [-1, 1], five stages, learned linear heads, mean over positions"
_CLIP_IQA = (
    "softmax over the cosines of image and prompts, RN50 with attention pool without positional "
    "embedding"
)
_PAIR = '"Good photo." against "Bad photo."'


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


def _clip_iqa(variant: str, prompts: str, scale: str, reference: str) -> Metric:
    return Metric(
        "clip_iqa", variant, f"CLIP-IQA ({variant})", "clip_iqa", True,
        f"{_CLIP_IQA}; {prompts}; logit scale {scale}",
        "Wang et al., AAAI 2023", reference, "1e-5 on equal weights", "single",
        low=0.0, high=1.0, resize="none, native resolution", weights=("clip-rn50",),
    )  # fmt: skip


ROWS = (
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
)
