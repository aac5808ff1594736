"""The rows of the method catalog that edit by instruction, with and without adapters."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from e2r_adapters.builds import (
    adapted_build,
    base_build,
    check_family,
    licence_of,
    mixture_build,
    open_adapted,
    open_bare,
    open_mixture,
)
from e2r_adapters.controls import clean_resized, clean_vae
from e2r_adapters.editors.backbones import folder_of, read_index, resolve_backbone
from e2r_adapters.editors.klein import KLEIN
from e2r_adapters.editors.miniatures import MINIATURES
from e2r_adapters.editors.releases import FILL_DEV, SIDE
from e2r_adapters.lora.dialects import tensor_file
from e2r_adapters.lora.mixture_files import is_mixture, routing_of
from e2r_adapters.lora.places import adapters_in
from e2r_adapters.memory import peak_bytes
from e2r_adapters.options import (
    AdapterOptions,
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
)
from e2r_adapters.steering import steered
from e2r_baselines.method import Method, MethodSpec
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

_KINDS = frozenset(task.kind for task in TASKS.values())
_KLEIN_NOTE = (
    "the shift of the noise levels depends on the number of steps (mu 2.29 at 4, 2.02 at 50, for "
    "4096 tokens)"
)

_QWEN_NOTE = (
    "otherwise than its pipeline, which makes every picture 1 megapixel first: that is "
    "resize=megapixel"
)
_NANO_NOTE = (
    f"pictures beyond {SIDE}x{SIDE} pixels in windows of {SIDE}, unless --tile says otherwise"
)
_ICEDIT_NOTE = (
    "otherwise than its release: the condition's latents are the mode of the posterior and no "
    "sample, sides are multiples of 16; its squash to 512 pixels is resize=icedit"
)


def _bare(
    name: str, title: str, source: str, backbone: str, options: SampledOptions, how: Sampling
) -> MethodSpec:
    """Return an editor's row without adapters."""
    return MethodSpec(
        name=name,
        title=title,
        source=source,
        licence=licence_of(backbone),
        builds=(base_build(backbone),),
        tasks=_KINDS,
        open=partial(open_bare, backbone, options, how),
        stochastic=True,
        stepped=True,
        note=_NANO_NOTE if backbone in MINIATURES else "",
        peak_bytes=partial(peak_bytes, backbone, options.resize, options.quantize),
    )


def _noted(spec: MethodSpec, note: str) -> MethodSpec:
    """Return a row with a note before what its backbone says."""
    return replace(spec, note="; ".join(filter(None, (note, spec.note))))


def _kontext(options: EditorOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize)
    check_family("kontext", backbone, "kontext")
    how = Sampling(options.guidance)
    source = "Black Forest Labs, FLUX.1 Kontext, 2025"
    return _bare("kontext", "FLUX.1 Kontext, no adapter", source, backbone, options, how)


def _kontext_lora(options: KontextLoraOptions) -> MethodSpec:
    bare = _kontext(options)
    backbone = resolve_backbone(options.backbone, options.quantize)
    how = Sampling(options.guidance)
    spec = _adapted(bare, backbone, options, options, how)
    return replace(
        spec,
        name="kontext_lora",
        title="Edit2Restore (Kontext + LoRA)",
        source="Edit2Restore, 2026",
    )


def _adapted(
    bare: MethodSpec,
    backbone: str,
    options: SampledOptions,
    given: AdapterOptions,
    how: Sampling,
) -> MethodSpec:
    """Return an editor's row with adapters on what the bare one runs with."""
    adapters: Mapping[str, Path] = {} if given.adapter is None else adapters_in(given.adapter)
    embedded = MINIATURES.get(backbone) if given.adapter is None else None
    return replace(
        bare,
        tasks=_KINDS if embedded is None else embedded.kinds,
        builds=(adapted_build(backbone, given, adapters),),
        open=partial(open_adapted, backbone, options, (given, adapters), how),
    )


def _klein(options: KleinOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize, "klein")
    check_family("klein", backbone, "klein")
    source = "Black Forest Labs, FLUX.2 klein, 2026"
    how = _klein_sampling(options, backbone)
    spec = _bare("klein", "FLUX.2 klein, no adapter", source, backbone, options, how)
    note = _KLEIN_NOTE if options.mu == "own" else "mu fixed at that of 50 steps"
    return _noted(spec, note)


def _klein_lora(options: KleinLoraOptions) -> MethodSpec:
    bare = _klein(options)
    backbone = resolve_backbone(options.backbone, options.quantize, "klein")
    spec = _adapted(bare, backbone, options, options, _klein_sampling(options, backbone))
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
    spec = _bare("qwen_edit", title, source, backbone, options, Sampling(options.guidance))
    return replace(spec, note=_QWEN_NOTE if options.resize != "megapixel" else "")


def _qwen_lora(options: QwenLoraOptions) -> MethodSpec:
    bare = _qwen(options)
    backbone = resolve_backbone(options.backbone, options.quantize, "qwen-edit")
    spec = _adapted(bare, backbone, options, options, Sampling(options.guidance))
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
    bare = _bare("icedit", title, "Zhang et al., NeurIPS 2025", backbone, options, how)
    return _noted(_adapted(bare, backbone, options, options, how), _ICEDIT_NOTE)


def _icedit_moe(options: MixtureOptions) -> MethodSpec:
    # No mixture is embedded with the miniature, and the released one does not fit it.
    backbone = FILL_DEV if options.backbone == "auto" else options.backbone
    check_family("icedit_moe", backbone, "fill")
    routing = routing_of(options.adapter, options.routing)
    title = f"ICEdit with its mixture, routing {routing}"
    how = Sampling(options.guidance)
    bare = _bare("icedit_moe", title, "Zhang et al., NeurIPS 2025", backbone, options, how)
    mixed = (mixture_build(backbone, options),)
    spec = replace(bare, builds=mixed, open=partial(open_mixture, backbone, options))
    return _noted(spec, _ICEDIT_NOTE)


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
            Method("clean_vae", RoundTripOptions, clean_vae),
            Method("clean_resized", ResizeOptions, clean_resized),
        )
    }
)
