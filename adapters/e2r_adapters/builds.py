"""Which weights an editing method runs with, and how it is opened once they are on this machine."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_adapters.editors.backbones import (
    family_named,
    is_miniature,
    own_files,
    title_of,
)
from e2r_adapters.editors.editor import Resize, Sizes
from e2r_adapters.editors.kontext_facts import PREFERRED
from e2r_adapters.editors.miniatures import MINIATURES, miniature_of
from e2r_adapters.editors.releases import FULL_LENGTH, LENGTH, RELEASES, SIDE
from e2r_adapters.lora.dialects import tensor_file
from e2r_adapters.lora.mixture_files import read_mixture, routing_of
from e2r_adapters.lora.places import adapters_in, files_of, label_of
from e2r_adapters.options import (
    AdapterOptions,
    MixtureOptions,
    RoundTripOptions,
    SampledOptions,
    Sampling,
)
from e2r_adapters.steering import fidelity_of, filter_of
from e2r_baselines.method import Build, Compute, Restorer
from e2r_metrics.base.declarations import declarations_of
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_adapters.editors.editor import Editor
    from e2r_adapters.restorer import Settings
    from e2r_adapters.routing import Router


def base_build(backbone: str) -> Build:
    """Return the build of a bare backbone."""
    if backbone in MINIATURES:
        edition = declarations_of("e2r_adapters")[backbone].edition
        return Build(backbone, files=(backbone,), miniature=True, edition=edition)
    if backbone in RELEASES:
        release = RELEASES[backbone]
        return Build(release.title, files=(release.weights,))
    files = {f"backbone/{name}": path for name, path in own_files(backbone).items()}
    return Build(title_of(backbone), miniature=is_miniature(backbone), own_files=files)


def adapted_build(backbone: str, options: AdapterOptions, adapters: Mapping[str, Path]) -> Build:
    """Return the build of a backbone with adapters, those of a miniature where none are given."""
    base = base_build(backbone)
    given = options.adapter
    if given is None:
        own = MINIATURES.get(backbone)
        return base if own is None else replace(base, files=(backbone, own.adapters))
    label = label_of(given)
    if options.alpha is not None:
        label += f" alpha {options.alpha:g}"
    files = {**base.own_files, **files_of(adapters)}
    return replace(base, name=f"{base.name}+{label}", own_files=files)


def mixture_build(backbone: str, options: MixtureOptions) -> Build:
    """Return the build of a backbone with a LoRA mixture; the bare one's where none is given."""
    base, given = base_build(backbone), options.adapter
    if given is None:
        return base
    name = f"{base.name}+{label_of(given)} routing {routing_of(given, options.routing)}"
    return replace(base, name=name, own_files={**base.own_files, "adapter": tensor_file(given)})


def licence_of(backbone: str) -> str:
    """Return the licence of a backbone's weights."""
    if backbone in MINIATURES:
        return "Apache-2.0"
    return RELEASES[backbone].licence if backbone in RELEASES else "that of its weights"


def open_bare(
    backbone: str,
    options: SampledOptions,
    sampling: Sampling,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    """Open a backbone without adapters; see `MethodSpec.open`."""
    return _restorer(backbone, options, sampling, build, files, compute, {})


def open_adapted(
    backbone: str,
    options: SampledOptions,
    chosen: tuple[AdapterOptions, Mapping[str, Path]],
    sampling: Sampling,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    """Open a backbone with a LoRA by task kind, or one for all; see `MethodSpec.open`."""
    given, adapters = chosen
    own = MINIATURES.get(backbone)
    if not adapters and own is None:
        small = miniature_of(family_named(backbone).name)
        other = f", or run the miniature with --set backbone={small}" if small else ""
        raise UsageError(
            f"{build.name} has no adapter of its own and needs --set adapter=FILE: train one with "
            f"`e2r-bench train`{other}"
        )
    found = adapters if own is None or adapters else adapters_in(files[own.adapters])
    return _restorer(backbone, options, sampling, build, files, compute, found, given.alpha)


def _restorer(
    backbone: str,
    options: SampledOptions,
    sampling: Sampling,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
    adapters: Mapping[str, Path],
    alpha: float | None = None,
) -> Restorer:
    """Load the model of a build, with a LoRA by task kind if it has any."""
    from e2r_adapters.restorer import EditorRestorer
    from e2r_adapters.routing import TaskSpecific, Unified

    names = {kind: f"for-{kind or 'any'}" for kind in adapters}
    router: Router | None = None
    if names:
        router = Unified(names[""]) if "" in names else TaskSpecific(names)
    editor = _editor(backbone, options, files, compute)
    settings = _settings(sampling, options, build, files, compute, editor)
    by_name = {names[kind]: path for kind, path in adapters.items()}
    return EditorRestorer(editor, settings, by_name, router, alpha)


def open_mixture(
    backbone: str,
    options: MixtureOptions,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    """Open a backbone with a LoRA mixture on it; see `MethodSpec.open`."""
    if options.adapter is None:
        raise UsageError(
            "icedit_moe: expected --set adapter=FILE with a LoRA mixture in ICEdit's layout, found "
            "none; `hf download sanaka87/ICEdit-MoE-LoRA` fetches the release"
        )
    path = tensor_file(options.adapter)
    from e2r_adapters.lora.fitting import check_base
    from e2r_adapters.lora.mixture import put_on
    from e2r_adapters.restorer import EditorRestorer

    editor = _editor(backbone, options, files, compute)
    transformer = editor.networks["transformer"]
    mixture = read_mixture(path, transformer)
    check_base(editor, mixture.record, path)
    put_on(transformer, mixture, routing_of(path, options.routing))
    how = Sampling(options.guidance)
    return EditorRestorer(editor, _settings(how, options, build, files, compute, editor))


def _settings(
    how: Sampling,
    options: SampledOptions,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
    editor: "Editor",
) -> "Settings":
    from e2r_adapters.restorer import Settings

    short = max(LENGTH, editor.family.least_length)
    length, tile = (short, SIDE) if build.miniature else (FULL_LENGTH, None)
    return Settings(
        guidance=how.guidance,
        length=options.max_sequence_length or length,
        resize=options.resize,
        batch=compute.batch,
        shift=how.shift,
        tile=compute.tile or tile,
        fidelity=fidelity_of(options),
        early=filter_of(options, files, compute.device),
    )


def open_round_trip(
    backbone: str,
    options: RoundTripOptions,
    build: Build,
    files: Mapping[str, Path],
    compute: Compute,
) -> Restorer:
    """Open the control that goes through the autoencoder; see `MethodSpec.open`."""
    from e2r_adapters.restorer import RoundTrip

    del build
    editor = _editor(backbone, options, files, compute)
    return RoundTrip(options.resize, editor.sizes, editor)


def open_resized(
    resize: Resize, build: Build, files: Mapping[str, Path], compute: Compute
) -> Restorer:
    """Open the control that only resizes; see `MethodSpec.open`."""
    from e2r_adapters.restorer import RoundTrip

    del build, files, compute
    return RoundTrip(resize, Sizes(1, 2, PREFERRED))


def _editor(
    backbone: str,
    options: RoundTripOptions,
    files: Mapping[str, Path],
    compute: Compute,
) -> "Editor":
    import torch

    from e2r_adapters.editors.loading import open_editor

    # The weights are where the resolver found them, which need not be inside this package.
    own = base_build(backbone).files
    place = str(files[own[0]]) if own else backbone
    return open_editor(
        place, getattr(torch, compute.dtype), compute.device, options.offload, options.quantize
    )
