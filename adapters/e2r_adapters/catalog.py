"""The rows of the method catalog that edit by instruction, with and without adapters."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from e2r_adapters.editors.backbones import (
    FULL,
    FULL_LENGTH,
    LENGTH,
    NANO,
    is_miniature,
    own_files,
    resolve_backbone,
)
from e2r_adapters.editors.editor import Resize, Sizes
from e2r_adapters.editors.kontext_facts import PREFERRED
from e2r_adapters.lora.places import adapters_in, files_of, label_of
from e2r_adapters.memory import peak_bytes
from e2r_adapters.options import EditorOptions, KontextOptions, ResizeOptions, RoundTripOptions
from e2r_baselines.method import Build, Compute, Method, MethodSpec, Restorer
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_adapters.editors.editor import Editor
    from e2r_adapters.routing import Router

NANO_ADAPTERS = "kontext-nano-adapters"
FULL_WEIGHTS = "flux1-kontext-dev"
_KINDS = frozenset(task.kind for task in TASKS.values())
_NANO_KINDS = frozenset({"denoise", "derain", "dehaze"})


def _kontext(options: EditorOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize)
    base = _base_build(backbone)
    return MethodSpec(
        name="kontext",
        title="FLUX.1 Kontext, no adapter",
        source="Black Forest Labs, FLUX.1 Kontext, 2025",
        licence=_licence(backbone),
        builds=(base,),
        tasks=_KINDS,
        open=partial(_open_bare, backbone, options),
        stochastic=True,
        stepped=True,
        peak_bytes=partial(peak_bytes, options.resize, options.quantize),
    )


def _kontext_lora(options: KontextOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize)
    adapters = {} if options.adapter is None else adapters_in(options.adapter)
    embedded = backbone == NANO and not adapters
    return MethodSpec(
        name="kontext_lora",
        title="Edit2Restore (Kontext + LoRA)",
        source="Edit2Restore, 2026",
        licence=_licence(backbone),
        builds=(_adapted_build(backbone, options, adapters),),
        tasks=_NANO_KINDS if embedded else _KINDS,
        open=partial(_open_adapted, backbone, options, adapters),
        stochastic=True,
        stepped=True,
        peak_bytes=partial(peak_bytes, options.resize, options.quantize),
    )


def _clean_vae(options: RoundTripOptions) -> MethodSpec:
    backbone = resolve_backbone(options.backbone, options.quantize)
    return MethodSpec(
        name="clean_vae",
        title="ground truth through the autoencoder (control)",
        source="control",
        licence=_licence(backbone),
        builds=(_base_build(backbone),),
        tasks=_KINDS,
        open=partial(_open_round_trip, backbone, options),
        feed="clean",
        control=True,
        peak_bytes=partial(peak_bytes, options.resize, options.quantize),
    )


def _clean_resized(options: ResizeOptions) -> MethodSpec:
    return MethodSpec(
        name="clean_resized",
        title=f"ground truth through resize={options.resize} (control)",
        source="control",
        licence="none needed",
        builds=(Build("control"),),
        tasks=_KINDS,
        open=partial(_open_resized, options.resize),
        feed="clean",
        control=True,
    )


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        row.name: row
        for row in (
            Method("kontext", EditorOptions, _kontext),
            Method("kontext_lora", KontextOptions, _kontext_lora),
            Method("clean_vae", RoundTripOptions, _clean_vae),
            Method("clean_resized", ResizeOptions, _clean_resized),
        )
    }
)


def _base_build(backbone: str) -> Build:
    if backbone == NANO:
        return Build(NANO, files=(NANO,), miniature=True)
    if backbone == FULL:
        return Build("FLUX.1-Kontext-dev", files=(FULL_WEIGHTS,))
    files = {f"backbone/{name}": path for name, path in own_files(backbone).items()}
    name = backbone.rstrip("/").rpartition("/")[2]
    return Build(name, miniature=is_miniature(backbone), own_files=files)


def _adapted_build(backbone: str, options: KontextOptions, adapters: Mapping[str, Path]) -> Build:
    base = _base_build(backbone)
    given = options.adapter
    if given is None:
        embedded = (NANO, NANO_ADAPTERS) if backbone == NANO else base.files
        return Build(base.name, embedded, base.miniature, base.own_files)
    label = label_of(given)
    if options.alpha is not None:
        label += f" alpha {options.alpha:g}"
    files = {**base.own_files, **files_of(adapters)}
    return Build(f"{base.name}+{label}", base.files, base.miniature, files)


def _licence(backbone: str) -> str:
    known = {NANO: "Apache-2.0", FULL: "FLUX.1 [dev] non-commercial"}
    return known.get(backbone, "that of its weights")


def _open_bare(
    backbone: str, options: EditorOptions, build: Build, files: Mapping[str, Path], compute: Compute
) -> Restorer:
    return _restorer(backbone, options, build, files, compute, {})


def _open_adapted(
    backbone: str,
    options: KontextOptions,
    adapters: Mapping[str, Path],
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    if not adapters and NANO_ADAPTERS not in files:
        raise UsageError(
            f"kontext_lora on {build.name} needs --set adapter=FILE: train one with `e2r-bench "
            f"train`, or run the miniature with --set backbone={NANO}"
        )
    found = adapters or adapters_in(files[NANO_ADAPTERS])
    return _restorer(backbone, options, build, files, compute, found, options.alpha)


def _restorer(
    backbone: str,
    options: EditorOptions,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
    adapters: Mapping[str, Path],
    alpha: float | None = None,
) -> Restorer:
    """Load the model of a build, with a LoRA by task kind if it has any."""
    from e2r_adapters.restorer import EditorRestorer, Settings
    from e2r_adapters.routing import TaskSpecific, Unified

    names = {kind: f"for-{kind or 'any'}" for kind in adapters}
    router: Router | None = None
    if names:
        router = Unified(names[""]) if "" in names else TaskSpecific(names)
    length = LENGTH if build.miniature else FULL_LENGTH
    settings = Settings(
        guidance=options.guidance,
        length=options.max_sequence_length or length,
        resize=options.resize,
        batch=compute.batch,
    )
    editor = _editor(backbone, options, build, files, compute)
    by_name = {names[kind]: path for kind, path in adapters.items()}
    return EditorRestorer(editor, settings, by_name, router, alpha)


def _open_round_trip(
    backbone: str,
    options: RoundTripOptions,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    from e2r_adapters.restorer import RoundTrip

    editor = _editor(backbone, options, build, files, compute)
    return RoundTrip(options.resize, editor.sizes, editor)


def _open_resized(
    resize: Resize, build: Build, files: Mapping[str, Path], compute: Compute
) -> Restorer:
    from e2r_adapters.restorer import RoundTrip

    del build, files, compute
    return RoundTrip(resize, Sizes(1, 2, PREFERRED))


def _editor(
    backbone: str,
    options: RoundTripOptions,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> "Editor":
    import torch

    from e2r_adapters.editors.loading import open_editor

    # The weights are where the resolver found them, which need not be inside this package.
    place = str(files[build.files[0]]) if build.files else backbone
    return open_editor(
        place, getattr(torch, compute.dtype), compute.device, options.offload, options.quantize
    )
