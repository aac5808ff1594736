"""What the rows of the editing methods share: a bare editor's, one with adapters, and notes."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from e2r_adapters.builds import (
    adapted_build,
    base_build,
    licence_of,
    open_adapted,
    open_bare,
)
from e2r_adapters.editors.backbones import family_named
from e2r_adapters.editors.miniatures import MINIATURES
from e2r_adapters.editors.releases import SIDE
from e2r_adapters.lora.places import adapters_in, kinds_of
from e2r_adapters.memory import peak_bytes
from e2r_adapters.options import AdapterOptions, SampledOptions, Sampling
from e2r_baselines.method import MethodSpec
from e2r_baselines.tasks import KINDS, Task
from e2r_metrics.base.errors import UsageError

BY_FAMILY = MappingProxyType(
    {
        "kontext": "kontext",
        "klein": "klein",
        "fill": "icedit",
        "qwen-edit": "qwen_edit",
        "sana-concat": "sana_paired",
    }
)
"""Family -> the method that runs a model of it."""
_NANO_NOTE = (
    f"pictures beyond {SIDE}x{SIDE} pixels in windows of {SIDE}, unless --tile says otherwise"
)


def check_family(method: str, backbone: str, family: str) -> None:
    """Stop where a method is given a backbone of another family.

    Raises:
        UsageError: it is another's; or a folder that is no pipeline.
    """
    found = family_named(backbone).name
    if found != family:
        raise UsageError(
            f"method {method}: expected a backbone of the family {family}, found {backbone} of "
            f"{found}; run {BY_FAMILY[found]} with it"
        )


def bare_row(
    name: str, title: str, source: str, backbone: str, options: SampledOptions, how: Sampling
) -> MethodSpec:
    """Return an editor's row without adapters."""
    return MethodSpec(
        name=name,
        title=title,
        source=source,
        licence=licence_of(backbone),
        builds=(base_build(backbone),),
        tasks=KINDS,
        open=partial(open_bare, backbone, options, how),
        stochastic=True,
        stepped=True,
        note=_NANO_NOTE if backbone in MINIATURES else "",
        peak_bytes=partial(peak_bytes, backbone, options.resize, options.quantize),
    )


def noted(spec: MethodSpec, note: str) -> MethodSpec:
    """Return a row with a note before what its backbone says."""
    return replace(spec, note="; ".join(filter(None, (note, spec.note))))


def adapted_row(
    bare: MethodSpec,
    backbone: str,
    options: SampledOptions,
    given: AdapterOptions,
    how: Sampling,
) -> MethodSpec:
    """Return an editor's row with adapters on what the bare one runs with."""
    adapters: Mapping[str, Path] = {} if given.adapter is None else adapters_in(given.adapter)
    build = adapted_build(backbone, given, adapters)
    return replace(
        bare,
        tasks=_kinds(backbone, adapters),
        unserved=partial(_without_adapter, _adapted_kinds(backbone, adapters), build.name),
        builds=(build,),
        open=partial(open_adapted, backbone, options, (given, adapters), how),
    )


def _kinds(backbone: str, adapters: Mapping[str, Path]) -> frozenset[str]:
    """Return what the adapters are for; other tasks run, if at all, and are marked as outside."""
    if adapters:
        return kinds_of(adapters)
    embedded = MINIATURES.get(backbone)
    return KINDS if embedded is None else embedded.kinds


def _adapted_kinds(backbone: str, adapters: Mapping[str, Path]) -> frozenset[str] | None:
    """Return the kinds of task that have an adapter each; None where one serves every task."""
    if adapters:
        return None if "" in adapters else frozenset(adapters)
    embedded = MINIATURES.get(backbone)
    # A release without an adapter is refused when it is opened, whatever the task.
    return None if embedded is None else embedded.kinds


def _without_adapter(kinds: frozenset[str] | None, build: str, task: Task) -> str | None:
    """Return why no adapter can run a task; see `MethodSpec.unserved`."""
    if kinds is None or task.kind in kinds:
        return None
    return f"no adapter for {task.kind} in {build}"
