"""Every method by name. What runs a method is imported when the method is opened, not before."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType

from e2r_baselines.commands import command_method
from e2r_baselines.controls import CLEAN, DEGRADED
from e2r_baselines.folders import folder_method
from e2r_baselines.method import Build, Method, MethodSpec, fixed
from e2r_baselines.plugins import all_plugins, plugin_named
from e2r_baselines.pretrained_rows import PRETRAINED, late
from e2r_baselines.spandrel_files import spandrel_method
from e2r_metrics.base.declarations import declarations_of
from e2r_metrics.base.errors import UsageError

_NO_WEIGHTS = (Build("no weights"),)


# Bytes per pixel at the peak of one float32 pass on the CPU, measured at 256x256 or 512x512 and
# raised by about a fifth; PromptIR's is the published 11 kB (9.2 kB were measured).
_PEAKS: Mapping[str, int] = MappingProxyType(
    {
        "promptir": 11_000,
        "promptir-nano": 2_100,
        "instructir-7d": 1_750,
        "moce-ir": 8_100,
        "moce-ir-s": 6_200,
        "prenet-rain100l": 1_600,
        "ffdnet-rgb": 450,
    }
)


def _peak_bytes(build: Build, height: int, width: int) -> int:
    """Return what the activations of one picture take; the weights come on top."""
    tall, wide = (-(-side // 16) * 16 for side in (height, width))
    return _PEAKS[build.name] * tall * wide


_NANO = Build(
    "promptir-nano", ("promptir-nano",), miniature=True,
    edition=declarations_of("e2r_baselines")["promptir-nano"].edition,
)  # fmt: skip
_PROMPTIR = MethodSpec(
    name="promptir",
    title="PromptIR",
    source="Potlapalli et al., NeurIPS 2023",
    licence="own code; weights Academic Public License, non-commercial",
    builds=(
        Build("promptir", ("promptir",)),
        _NANO,
    ),
    tasks=frozenset({"denoise", "derain", "dehaze"}),
    open=late("promptir", "open_promptir"),
    peak_bytes=_peak_bytes,
)
_INSTRUCTIR = MethodSpec(
    name="instructir",
    title="InstructIR-7D",
    source="Conde et al., ECCV 2024",
    licence="own code; weights MIT",
    builds=(
        Build("instructir-7d", ("instructir-image", "instructir-prompts")),
        Build("instructir-7d", ("instructir-image", "instructir-head", "bge-micro-v2")),
    ),
    tasks=frozenset({"denoise", "derain", "dehaze", "lowlight"}),
    open=late("instructir", "open_instructir"),
    peak_bytes=_peak_bytes,
)


def _moce_ir(name: str, title: str) -> MethodSpec:
    return MethodSpec(
        name=name,
        title=title,
        source="Zamfir et al., CVPR 2025",
        licence="own code; weights Apache-2.0, the user's file",
        builds=(Build(name, (name,)),),
        tasks=frozenset({"denoise", "derain", "dehaze"}),
        open=late("moce_ir", "open_moce_ir"),
        peak_bytes=_peak_bytes,
    )


_PRENET = MethodSpec(
    name="prenet",
    title="PReNet",
    source="Ren et al., CVPR 2019",
    licence="own code; weights: none stated, the user's file",
    builds=(Build("prenet-rain100l", ("prenet-rain100l",)),),
    tasks=frozenset({"derain"}),
    open=late("prenet", "open_prenet"),
    peak_bytes=_peak_bytes,
)
_FFDNET = MethodSpec(
    name="ffdnet",
    title="FFDNet",
    source="Zhang et al., IEEE TIP 2018",
    licence="own code; weights GPL-3.0, fetched",
    builds=(Build("ffdnet-rgb", ("ffdnet-rgb",)),),
    tasks=frozenset({"denoise"}),
    open=late("ffdnet", "open_ffdnet"),
    peak_bytes=_peak_bytes,
)


def _filter(name: str, title: str, source: str, licence: str, task: str) -> MethodSpec:
    return MethodSpec(
        name=name,
        title=title,
        source=source,
        licence=licence,
        builds=_NO_WEIGHTS,
        tasks=frozenset({task}),
        open=late("classical", f"open_{name.replace('-', '_')}"),
    )


_CLASSICAL = (
    _filter("bm3d", "BM3D", "Dabov et al., IEEE TIP 2007", "PyPI bm3d, non-commercial", "denoise"),
    _filter("nlm", "non-local means", "Buades et al., CVPR 2005", "scikit-image, BSD", "denoise"),
    _filter("wavelet", "BayesShrink", "Chang et al., TIP 2000", "scikit-image, BSD", "denoise"),
    _filter("dcp", "dark channel prior", "He et al., CVPR 2009", "own code", "dehaze"),
    _filter("gf-derain", "guided filters", "after Zheng et al., ICONIP 2013", "own code", "derain"),
)

_ALL = (
    DEGRADED,
    CLEAN,
    _PROMPTIR,
    _INSTRUCTIR,
    _moce_ir("moce-ir", "MoCE-IR"),
    _moce_ir("moce-ir-s", "MoCE-IR-S"),
    _PRENET,
    _FFDNET,
    *_CLASSICAL,
    *PRETRAINED,
)
METHODS: Mapping[str, Method] = MappingProxyType({spec.name: fixed(spec) for spec in _ALL})
"""The methods that come with this package, by name."""

_PARAMETRISED: Mapping[str, Callable[[str], Method]] = MappingProxyType(
    {"folder": folder_method, "command": command_method, "spandrel": spandrel_method}
)


def method_named(name: str, also: Iterable[str] = ()) -> Method:
    """Look a method up: built in, `folder:PATH`, `command:LINE`, `spandrel:FILE`, or a plugin.

    Nothing is opened or started by it, and of the plugins only the one asked for is imported.

    Args:
        name: as on the command line.
        also: names that the caller knows beyond these, for the hint.

    Raises:
        UsageError: nobody knows the name; says which is nearest. Or a plugin is broken.
    """
    kind, colon, rest = name.partition(":")
    if name in METHODS:
        return METHODS[name]
    if colon and rest and kind in _PARAMETRISED:
        return _PARAMETRISED[kind](name)
    if found := plugin_named(name, METHODS):
        return found
    known = [*METHODS, *plugins(), *also]
    near = get_close_matches(name, known, n=1, cutoff=0)
    raise UsageError(
        f"unknown method {name!r}; the nearest is {near[0]!r}; known: {', '.join(known)}, and "
        f"{', '.join(f'{kind}:...' for kind in _PARAMETRISED)}"
    )


@cache
def plugins() -> Mapping[str, Method]:
    """Return the methods that installed packages add, all imported; see `e2r_baselines.plugins`.

    Raises:
        UsageError: one of them is broken, or takes a name that is in use.
    """
    return MappingProxyType(all_plugins(METHODS))
