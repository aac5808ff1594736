"""Full-reference metrics without weights: pixels, structure, colour."""

from math import inf

from e2r_metrics.rows.types import Metric

_SSIM_PAPER = "Wang et al., IEEE TIP 2004"
_GAUSS = (
    "11x11 Gaussian sigma 1.5, K1 0.01, K2 0.03, population covariance, windows inside the "
    "picture, mean over pixels and channels; 8-bit input in float32"
)
_Y_FULL = "Y of BT.601 at full range (YIQ), not rounded"
_Y = "Y of BT.601 at 16-235, not rounded"


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


ROWS = (
    _psnr("rgb", "PSNR", "10 log10(peak^2 / MSE), no epsilon", "RGB", "NumPy float64"),
    _psnr("y", "PSNR (Y)", "10 log10(255^2 / MSE), no epsilon", _Y, "MATLAB rgb2ycbcr, BasicSR"),
    _psnr(
        "y_full",
        "PSNR (Y, full range)",
        "10 log10(255^2 / MSE), no epsilon",
        _Y_FULL,
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
    Metric(
        "l1",
        "rgb",
        "L1",
        "l1",
        False,
        "mean of |restored - clean| over pixels and channels, white at 1",
        "-",
        "NumPy float64",
        "1e-12 relative",
        low=0.0,
        high=1.0,
        identical=0.0,
    ),
    Metric(
        "ciede2000",
        "mean",
        "CIEDE2000",
        "ciede2000",
        False,
        "mean over pixels of the colour difference CIEDE2000, kL = kC = kH = 1; 8-bit input in "
        "float32",
        "Sharma, Wu, Dalal, Color Res. Appl. 2005",
        "scikit-image deltaE_ciede2000",
        "1e-6 relative in float64, 2e-6 from 8 bits",
        low=0.0,
        identical=0.0,
        colour="sRGB to CIELAB, D65, 2 degrees",
    ),
    Metric(
        "gmsd",
        "luma",
        "GMSD",
        "gmsd",
        False,
        "2x2 means, Prewitt / 3, T 170, zeros beyond the border, deviation with N - 1; float64",
        "Xue et al., IEEE TIP 2014",
        "its MATLAB code by definition; piq, whose deviation has N",
        "1e-12 after that factor",
        low=0.0,
        identical=0.0,
        colour=_Y_FULL,
    ),
    Metric(
        "haarpsi",
        "colour",
        "HaarPSI",
        "haarpsi",
        True,
        "2x2 means, Haar responses at 2 and 4 pixels weighed by those at 8, chroma of 2x2 means, "
        "C 30, alpha 4.2, zeros beyond the border; float64",
        "Reisenhofer et al., Signal Process. Image Commun. 2018",
        "piq, whose YIQ has four digits",
        "1e-12 with its digits; 1e-5 without",
        low=0.0,
        high=1.0,
        identical=1.0,
        colour="YIQ with three digits, as its authors have it",
    ),
    Metric(
        "vif",
        "pixel",
        "VIF",
        "vif",
        True,
        "pixel domain, four scales, Gaussians of 17, 9, 5 and 3 taps with sigma a fifth, noise "
        "variance 2, windows inside the picture; float64",
        "Sheikh, Bovik, IEEE TIP 2006",
        "piq vif_p",
        "1e-8",
        low=0.0,
        identical=1.0,
        colour=_Y_FULL,
        symmetric=False,
    ),
)
