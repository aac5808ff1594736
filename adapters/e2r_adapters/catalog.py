"""The rows of the method catalog that edit by instruction, with and without adapters."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from e2r_adapters.builds import mixture_build, open_mixture
from e2r_adapters.controls import clean_resized, clean_vae
from e2r_adapters.editors.backbones import folder_of, read_index, resolve_backbone
from e2r_adapters.editors.klein import KLEIN
from e2r_adapters.editors.releases import FILL_DEV
from e2r_adapters.lora.dialects import tensor_file
from e2r_adapters.lora.made_for import check_made_for
from e2r_adapters.lora.mixture_files import check_mixture, is_mixture, routing_of
from e2r_adapters.options import (
    EditorOptions,
    IceditOptions,
    KleinLoraOptions,
    KleinOptions,
    KontextLoraOptions,
    MixtureOptions,
    QwenLoraOptions,
    QwenOptions,
    ResizeOptions,
    RoundTripOptions,
    SampledOptions,
    Sampling,
    SanaOptions,
)
from e2r_adapters.rows import adapted_row, bare_row, check_family, noted
from e2r_adapters.steering import steered
from e2r_baselines.method import Method, MethodSpec
from e2r_metrics.base.errors import UsageError

_KLEIN_NOTE = (
    "the shift of the noise levels depends on the number of steps (mu 2.29 at 4, 2.02 at 50, for "
    "4096 tokens)"
)

_QWEN_NOTE = (
    "otherwise than its pipeline, which makes every picture 1 megapixel first: that is "
    "resize=megapixel"
)
_ICEDIT_NOTE = (
    "otherwise than its release: the condition's latents are the mode of the posterior and no "
    "sample, sides are multiples of 16; its squash to 512 pixels is resize=icedit"
)
_SANA_NOTE = (
    "otherwise than its pipeline: Euler's steps on the folder's noise levels, where the releases "
    "take DPM-Solver++ of second order, no bins of sizes, no preamble before prompts"
)


def _kontext(options: EditorOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize)
    check_family("kontext", backbone, "kontext")
    how = Sampling(options.guidance)
    source = "Black Forest Labs, FLUX.1 Kontext, 2025"
    return bare_row("kontext", "FLUX.1 Kontext, no adapter", source, backbone, options, how)


def _kontext_lora(options: KontextLoraOptions) -> MethodSpec:
    bare = _kontext(options)
    backbone = resolve_backbone(options.backbone, options.quantize)
    how = Sampling(options.guidance)
    spec = adapted_row(bare, backbone, options, options, how)
    return replace(
        spec,
        name="kontext_lora",
        title="Edit2Restore (Kontext + LoRA)",
        source="Edit2Restore, 2026",
    )


def _klein(options: KleinOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize, "klein")
    check_family("klein", backbone, "klein")
    source = "Black Forest Labs, FLUX.2 klein, 2026"
    how = _klein_sampling(options, backbone)
    spec = bare_row("klein", "FLUX.2 klein, no adapter", source, backbone, options, how)
    note = _KLEIN_NOTE if options.mu == "own" else "mu fixed at that of 50 steps"
    return noted(spec, note)


def _klein_lora(options: KleinLoraOptions) -> MethodSpec:
    bare = _klein(options)
    backbone = resolve_backbone(options.backbone, options.quantize, "klein")
    spec = adapted_row(bare, backbone, options, options, _klein_sampling(options, backbone))
    return replace(spec, name="klein_lora", title="Edit2Restore's recipe on klein (klein + LoRA)")


def _klein_sampling(options: KleinOptions, backbone: str) -> Sampling:
    """Decide the guidance.

    Raises:
        UsageError: one is set for the distilled model, which heeds none.
    """
    distilled = folder_of(backbone) is not None and read_index(backbone).get("is_distilled")
    if distilled and options.guidance not in (None, 1.0):
        raise UsageError(
            f"--set guidance={options.guidance:g}: expected none for {backbone}, which was "
            "distilled to heed no guidance; leave it out, or choose the undistilled base model"
        )
    chosen = KLEIN.guidance if options.guidance is None else options.guidance
    return Sampling(1.0 if distilled else chosen, options.mu)


def _qwen(options: QwenOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize, "qwen-edit")
    check_family("qwen_edit", backbone, "qwen-edit")
    if options.max_sequence_length is not None:
        raise UsageError(
            f"--set max_sequence_length={options.max_sequence_length}: expected none for "
            "Qwen-Image-Edit, whose pipelines cut texts to no length; leave it out"
        )
    title, source = "Qwen-Image-Edit, no adapter", "Wu et al., Qwen-Image, 2025"
    spec = bare_row("qwen_edit", title, source, backbone, options, Sampling(options.guidance))
    return replace(spec, note=_QWEN_NOTE if options.resize != "megapixel" else "")


def _qwen_lora(options: QwenLoraOptions) -> MethodSpec:
    bare = _qwen(options)
    backbone = resolve_backbone(options.backbone, options.quantize, "qwen-edit")
    spec = adapted_row(bare, backbone, options, options, Sampling(options.guidance))
    title = "Edit2Restore's recipe on Qwen-Image-Edit (with LoRA)"
    return replace(spec, name="qwen_edit_lora", title=title)


def _icedit(options: IceditOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize, "fill")
    check_family("icedit", backbone, "fill")
    if options.adapter is not None and is_mixture(tensor_file(options.adapter)):
        raise UsageError(
            f"--set adapter={options.adapter}: expected a plain LoRA, found a mixture; run "
            "icedit_moe with it"
        )
    how = Sampling(options.guidance)
    title = "ICEdit (FLUX.1 Fill, diptych + LoRA)"
    bare = bare_row("icedit", title, "Zhang et al., NeurIPS 2025", backbone, options, how)
    return noted(adapted_row(bare, backbone, options, options, how), _ICEDIT_NOTE)


def _icedit_moe(options: MixtureOptions) -> MethodSpec:
    # No mixture is embedded with the miniature, and the released one does not fit it.
    backbone = FILL_DEV if options.backbone == "auto" else options.backbone
    check_family("icedit_moe", backbone, "fill")
    if options.adapter is not None:
        check_mixture(options.adapter)
        check_made_for(backbone, tensor_file(options.adapter))
    routing = routing_of(options.adapter, options.routing)
    title = f"ICEdit with its mixture, routing {routing}"
    how = Sampling(options.guidance)
    bare = bare_row("icedit_moe", title, "Zhang et al., NeurIPS 2025", backbone, options, how)
    mixed = (mixture_build(backbone, options),)
    spec = replace(bare, builds=mixed, open=partial(open_mixture, backbone, options))
    return noted(spec, _ICEDIT_NOTE)


def _sana_paired(options: SanaOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize, "sana-concat")
    check_family("sana_paired", backbone, "sana-concat")
    how = Sampling(options.guidance)
    title = "SANA, paired training (condition as channels, LoRA + projection)"
    bare = bare_row("sana_paired", title, "Xie et al., ICLR 2025", backbone, options, how)
    return noted(adapted_row(bare, backbone, options, options, how), _SANA_NOTE)


def _row(name: str, options: type[Any], make: Callable[[Any], MethodSpec]) -> Method:
    """Return the row of an editor, whose samples may be steered."""
    return Method(name, options, partial(_steered, make))


def _steered(make: Callable[[Any], MethodSpec], options: SampledOptions) -> MethodSpec:
    return steered(make(options), options)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        row.name: row
        for row in (
            _row("kontext", EditorOptions, _kontext),
            _row("kontext_lora", KontextLoraOptions, _kontext_lora),
            _row("klein", KleinOptions, _klein),
            _row("klein_lora", KleinLoraOptions, _klein_lora),
            _row("qwen_edit", QwenOptions, _qwen),
            _row("qwen_edit_lora", QwenLoraOptions, _qwen_lora),
            _row("icedit", IceditOptions, _icedit),
            _row("icedit_moe", MixtureOptions, _icedit_moe),
            _row("sana_paired", SanaOptions, _sana_paired),
            Method("clean_vae", RoundTripOptions, clean_vae),
            Method("clean_resized", ResizeOptions, clean_resized),
        )
    }
)
