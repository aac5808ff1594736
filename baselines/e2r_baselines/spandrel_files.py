"""`spandrel:FILE`: any checkpoint that the library spandrel knows, in the optional extra.

NAFNet, Restormer, DRUNet, DnCNN, SCUNet, SwinIR, MixDehazeNet and others. PromptIR and InstructIR
are looked for first: spandrel would take them for Restormer and NAFNet.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_baselines.controls import ANY_TASK
from e2r_baselines.method import Build, Compute, Method, MethodSpec, NoOptions, Restorer
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from e2r_baselines.network import Forward


def spandrel_method(name: str) -> Method:
    """Return the row of `spandrel:FILE`.

    Raises:
        UsageError: there is no such file.
    """
    path = Path(os.path.expanduser(name.partition(":")[2]))
    if not os.path.isfile(path):  # False where pathlib raises, such as a name too long
        raise UsageError(f"{name}: expected spandrel:FILE with a checkpoint, found no such file")
    return Method(name, NoOptions, partial(_spandrel_spec, name, path))


def _spandrel_spec(name: str, path: Path, options: NoOptions) -> MethodSpec:
    """Return the method; its build carries the first digits of the file's hash.

    Where a file has raw and averaged weights, the build also says that it is the averaged ones.
    """
    from e2r_baselines.checkpoints import averaged

    del options
    build = f"{path.stem}@{sha256_of(path)[:12]}"
    chosen = averaged(path)
    return MethodSpec(
        name=name,
        title=f"{path.name} by spandrel",
        source="the user's file",
        licence="code MIT (spandrel); weights the user's",
        builds=(Build(f"{build} ({chosen})" if chosen else build, own_files={"file": path}),),
        tasks=ANY_TASK,
        open=_open_own_file,
    )


def _open_own_file(build: Build, files: Mapping[str, Path], compute: Compute) -> Restorer:
    del files
    return open_checkpoint(build, build.own_files["file"], compute)


def open_checkpoint(build: Build, path: Path, compute: Compute) -> Restorer:
    """Open a checkpoint by what it holds.

    Raises:
        UsageError: the extra is not installed, or nobody knows the network, or it does not map a
            picture to one of the same size.
    """
    from e2r_baselines.checkpoints import looks_like
    from e2r_metrics.base.checkpoints import read_tensors

    tensors = read_tensors(path)
    kind = looks_like(tensors)
    if kind == "PromptIR":
        from e2r_baselines.promptir import open_promptir

        return open_promptir(Build(build.name, ("file",)), {"file": path}, compute)
    if kind.startswith("InstructIR"):
        raise UsageError(
            f"{path}: found {kind}, which needs its text path: put it into a folder under the "
            "name that `e2r-bench weights` shows, and pass --weights FOLDER --methods instructir"
        )
    return _restorer(_descriptor(tensors, path, kind), path, compute)


def _descriptor(tensors: "Mapping[str, Tensor]", path: Path, kind: str) -> Any:
    try:
        from spandrel import MAIN_REGISTRY, ArchRegistry, ModelLoader, UnsupportedModelError
    except ImportError as error:
        raise UsageError(
            "spandrel:FILE needs the optional library: pip install 'e2r-bench[spandrel]'"
        ) from error
    registry = ArchRegistry()
    registry.add(*MAIN_REGISTRY)
    try:
        from spandrel_extra_arches import EXTRA_REGISTRY

        registry.add(*EXTRA_REGISTRY)
    except ImportError:
        pass  # Restormer and MPRNet are then unknown, and the message below says what was found.
    try:
        return ModelLoader(registry=registry).load_from_state_dict(dict(tensors))
    except (UnsupportedModelError, RuntimeError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{path}: expected a network that spandrel knows, found {kind}: {first[:200]}"
        ) from error


def _restorer(descriptor: Any, path: Path, compute: Compute) -> Restorer:
    from e2r_baselines.network import NetworkRestorer, place

    channels = (descriptor.input_channels, descriptor.output_channels)
    if descriptor.scale != 1 or channels not in ((3, 3), (1, 1)):
        raise UsageError(
            f"{path}: expected a network from a picture to one of the same size, found "
            f"{descriptor.architecture.name}, scale {descriptor.scale}, channels {channels}"
        )
    place(descriptor.model, compute)
    told = descriptor.architecture.id == "DRUNet" or "FDnCNN" in descriptor.tags
    inner = _told_the_noise(descriptor) if told else _blind(descriptor)
    forward = _by_channel(inner) if channels == (1, 1) else inner
    needs = descriptor.size_requirements
    multiple = needs.multiple_of
    return NetworkRestorer(forward, compute, multiple, smallest=max(needs.minimum, 8 * multiple))


def _blind(descriptor: Any) -> "Forward":
    """Return a call per picture: spandrel promises nothing about batches."""
    import torch

    return lambda images, _: torch.cat([descriptor(image[None]) for image in images])


def _told_the_noise(descriptor: Any) -> "Forward":
    """Return a call with a map of the task's noise; spandrel's own would always say 15/255."""
    import torch

    from e2r_baselines.ffdnet import noise_levels

    def forward(images: "Tensor", task: Any) -> "Tensor":
        level = noise_levels(images, task)[:, None, None, None].expand_as(images[:, :1])
        return descriptor.model(torch.cat([images, level], 1))

    return forward


def _by_channel(forward: "Forward") -> "Forward":
    """Run a network for grey pictures on each colour channel."""

    def each(images: "Tensor", task: Any) -> "Tensor":
        return forward(images.flatten(0, 1)[:, None], task).reshape(images.shape)

    return each
