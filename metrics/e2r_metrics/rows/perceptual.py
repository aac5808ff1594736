"""Full-reference metrics of learned features."""

from e2r_metrics.rows.types import Metric

_LPIPS = "LPIPS v0.1: input in [-1, 1], five stages, learned linear heads, mean over positions"


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


def _likeness(name: str, variant: str, title: str, features: str, weights: str) -> Metric:
    shorter = 256 if name == "dino" else 224
    return Metric(
        name, variant, title, "likeness", True, f"cosine of {features}, in float64",
        "Zhang et al., MagicBrush, NeurIPS 2023", "MagicBrush's image_eval.py, by definition",
        "1e-6 on equal weights", low=-1.0, high=1.0, identical=1.0, crop="centre square of 224",
        resize=f"short side to {shorter} by Pillow bicubic in 8 bits", weights=(weights,),
    )  # fmt: skip


_DREAMSIM = Metric(
    "dreamsim", "ensemble", "DreamSim", "dreamsim", False,
    "1 - cosine of embeddings less their means, of DINO (class token before the last norm), CLIP "
    "and OpenCLIP, ViT-B/16 each, with the LoRA of release 0.2; float64",
    "Fu et al., NeurIPS 2023", "dreamsim 0.2.1", "1e-5 on equal weights",
    low=0.0, high=2.0, identical=0.0,
    resize="224x224 by Pillow bicubic in 8 bits, aspect not kept",
    weights=(
        "dino-vit-b-16", "dreamsim-clip", "dreamsim-open-clip", "dreamsim-lora",
        "dreamsim-lora-settings",
    ),
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
    _likeness("clip_i", "b32", "CLIP-I (ViT-B/32)", "CLIP's image embeddings", "clip-vit-b-32"),
    _likeness("clip_i", "l14", "CLIP-I (ViT-L/14)", "CLIP's image embeddings", "clip-vit-l-14"),
    _likeness("dino", "s16", "DINO (ViT-S/16)", "DINO's class tokens", "dino-vit-s-16"),
    _DREAMSIM,
)
