"""Ways from pictures to features, as data: the network and what happens before it."""

from dataclasses import replace

from e2r_metrics.rows.types import Extractor

_TF1 = "bilinear without antialias to 299x299, corner-aligned at the origin as TensorFlow 1 does"
CLEAN = "PIL bicubic with antialias to 299x299 per channel in float32, clipped to [0, 255]"
_TORCH = "torch bilinear, half-pixel centres, to 299x299"
_INCEPTION = ("inception-2015-12-05",)

_WHOLE = (
    Extractor("inception-clean", "inception", 2048, f"{CLEAN}; (x - 128) / 128", _INCEPTION),
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
    *(
        Extractor(
            f"dinov2-vit-{size}-14",
            "dinov2",
            dimension,
            "PIL bicubic with antialias to 224x224 per channel in float32, clipped to [0, 255]; "
            "ImageNet mean and deviation; class token; positions bicubic without antialias by "
            "16.1 / 37",
            (f"dinov2-vit-{size}-14",),
        )
        for size, dimension in (("l", 1024), ("b", 768))
    ),
)


def in_crops(side: int) -> str:
    """Return which crops of a picture are looked at, in the words of a protocol."""
    return f"every {side}x{side} edge to edge from the origin, and from {side // 2} down and across"


def _patches(whole: str, side: int) -> Extractor:
    row = next(row for row in _WHOLE if row.id == whole)
    told = f"{in_crops(side)}; each: {row.preprocessing}"
    return replace(row, id=f"{whole}-patch{side}", preprocessing=told, patch=side, crops_by=whole)


EXTRACTORS = (
    *_WHOLE,
    _patches("inception-clean", 256),
    _patches("inception-tm17", 256),
    _patches("effnet-lite0", 64),
)
