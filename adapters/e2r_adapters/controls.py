"""The rows of the method catalog that are fed the ground truth: no restorer can pass them."""

from functools import partial

from e2r_adapters.builds import base_build, licence_of, open_resized, open_round_trip
from e2r_adapters.editors.backbones import resolve_backbone
from e2r_adapters.memory import peak_bytes
from e2r_adapters.options import ResizeOptions, RoundTripOptions
from e2r_baselines.method import Build, MethodSpec
from e2r_baselines.tasks import KINDS


def clean_vae(options: RoundTripOptions) -> MethodSpec:
    """Return the row of what the autoencoder by itself costs."""
    backbone = resolve_backbone(options.backbone, options.quantize)
    return MethodSpec(
        name="clean_vae",
        title="ground truth through the autoencoder (control)",
        source="control",
        licence=licence_of(backbone),
        builds=(base_build(backbone),),
        tasks=KINDS,
        open=partial(open_round_trip, backbone, options),
        feed="clean",
        control=True,
        peak_bytes=partial(peak_bytes, backbone, options.resize, options.quantize),
    )


def clean_resized(options: ResizeOptions) -> MethodSpec:
    """Return the row of what the resize policy by itself costs."""
    return MethodSpec(
        name="clean_resized",
        title=f"ground truth through resize={options.resize} (control)",
        source="control",
        licence="none needed",
        builds=(Build("control"),),
        tasks=KINDS,
        open=partial(open_resized, options.resize),
        feed="clean",
        control=True,
    )
