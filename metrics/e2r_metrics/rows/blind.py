"""Metrics of one picture alone."""

from e2r_metrics.rows.types import Metric

_CLIP_IQA = (
    "softmax over the cosines of image and prompts, RN50 with attention pool without positional "
    "embedding"
)
_PAIR = '"Good photo." against "Bad photo."'
_NIQE = (
    "distance of Gaussians of 36 features, blocks of 96 pixels at two scales, the authors' model "
    "of undistorted photographs; grey in whole levels; flat areas exactly zero; float64"
)
_BRISQUE = "36 features at two scales, support vector regression with a Gaussian kernel; "


def _clip_iqa(variant: str, prompts: str, scale: str, reference: str) -> Metric:
    return Metric(
        "clip_iqa", variant, f"CLIP-IQA ({variant})", "clip_iqa", True,
        f"{_CLIP_IQA}; {prompts}; logit scale {scale}",
        "Wang et al., AAAI 2023", reference, "1e-5 on equal weights", "single",
        low=0.0, high=1.0, resize="none, native resolution", weights=("clip-rn50",),
    )  # fmt: skip


def _niqe(variant: str, colour: str, reference: str) -> Metric:
    return Metric(
        "niqe", variant, f"NIQE ({variant})", "niqe", False, _NIQE,
        "Mittal et al., IEEE Signal Process. Lett. 2013", reference,
        "1e-10 in float64; 0.06 on pictures with flat areas, where rounding decides theirs",
        "single", low=0.0, colour=colour,
    )  # fmt: skip


def _brisque(variant: str, definition: str, colour: str, reference: str, tolerance: str) -> Metric:
    return Metric(
        "brisque", variant, f"BRISQUE ({variant})", "brisque", False, f"{_BRISQUE}{definition}",
        "Mittal, Moorthy, Bovik, IEEE TIP 2012", reference, tolerance, "single", colour=colour,
        weights=(f"brisque-{variant}",),
    )  # fmt: skip


def _maniqa(variant: str, places: str) -> Metric:
    return Metric(
        "maniqa", variant, f"MANIQA ({variant})", "maniqa", True,
        f"ViT-B/8, attention over channels and over windows, weighted mean over patches; mean over "
        f"{places}; trained on KonIQ-10k, 0 to about 1",
        "Yang et al., CVPR Workshops 2022", "MANIQA of its authors, by definition",
        "1e-5 on equal weights", "single", low=0.0, crop="224x224", weights=("maniqa-koniq",),
    )  # fmt: skip


def _hyperiqa(variant: str, places: str) -> Metric:
    return Metric(
        "hyperiqa", variant, f"HyperIQA ({variant})", "hyperiqa", True,
        f"ResNet-50 whose features make the weights of five layers; mean over {places} drawn once, "
        "the same for every picture; trained on KonIQ-10k, about 0 to 100",
        "Su et al., CVPR 2020", "HyperIQA of its authors, by definition", "1e-5 on equal weights",
        "single", crop="224x224, after the resize",
        resize="512 high and 384 wide whatever the aspect, Pillow bilinear",
        weights=("hyperiqa-koniq",),
    )  # fmt: skip


ROWS = (
    _clip_iqa("official", _PAIR, "learned", "CLIP-IQA of its authors; piq 0.8"),
    _clip_iqa("torchmetrics", _PAIR, "100", "torchmetrics clip_image_quality_assessment"),
    _clip_iqa(
        "pyiqa5",
        "mean over five pairs: Good / Bad image, Sharp / Blurry image, sharp / blurry edges, "
        "High / low resolution image, Noise-free / noisy image",
        "learned",
        "pyiqa clipiqa",
    ),
    Metric(
        "musiq",
        "koniq",
        "MUSIQ (KonIQ)",
        "musiq",
        True,
        "transformer over patches of 32 pixels of the picture at its own size and with longer "
        "sides of 224 and 384 by TensorFlow's Gaussian resize; trained on KonIQ-10k, about 0 to "
        "100; GELU by tanh",
        "Ke et al., ICCV 2021",
        "musiq of google-research, by definition",
        "1e-4 on equal weights",
        "single",
        resize="224, 384 and none",
        weights=("musiq-koniq",),
    ),
    _maniqa("seed20", "20 places drawn by NumPy's RandomState(20) for each picture"),
    _maniqa("five", "the four corners and the centre"),
    _hyperiqa("seeded25", "25 places, as many as the authors' test has,"),
    _hyperiqa("seeded10", "10 places, as many as the authors' script for one picture has,"),
    _niqe("matlab", "MATLAB rgb2gray, rounded", "the authors' MATLAB code, by definition"),
    _niqe("basicsr", "Y of BT.601 at 16-235, rounded", "BasicSR 1.4.2, in float64"),
    _brisque(
        "live",
        "the authors' vectors of LIVE; shapes in steps of 0.001, neighbours cyclic, bicubic "
        "reduction with antialias, zeros beyond the border",
        "MATLAB rgb2gray, rounded",
        "the authors' MATLAB code, by definition",
        "not compared",
    ),
    _brisque(
        "pypi",
        "vectors of the package brisque 0.2.0, trained anew; shapes solved for, neighbours inside, "
        "cubic reduction without antialias, zeros beyond the border",
        "scikit-image rgb2gray on [0, 1], not rounded",
        "brisque 0.2.0",
        "1e-3; 0.5 on pictures with flat areas, where rounding decides theirs",
    ),
)
