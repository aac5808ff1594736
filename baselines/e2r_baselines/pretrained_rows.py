"""Catalog rows of networks whose weights come from a registry, and of the newer all-in-one ones.

What runs a method is imported when the method is opened, not before.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from e2r_baselines.method import Build, Compute, MethodSpec, Opener, Restorer

_THREE = frozenset({"denoise", "derain", "dehaze"})


def late(module: str, function: str) -> Opener:
    """Return an opener that imports its module when it is called."""
    return partial(_open_late, module, function)


def _open_late(
    module: str, function: str, build: Build, files: Mapping[str, Path], compute: Compute
) -> Restorer:
    return getattr(import_module(f"e2r_baselines.{module}"), function)(build, files, compute)


def _per_pixel(count: int) -> Callable[[Build, int, int], int]:
    """Return an estimate of `count` bytes per pixel, sides filled up to x16.

    The counts are the peaks of one float32 pass on the CPU, measured at 256x256 and raised by about
    a fifth; the weights come on top.
    """
    return partial(_peak_bytes, count)


def _peak_bytes(count: int, build: Build, height: int, width: int) -> int:
    del build
    tall, wide = (-(-side // 16) * 16 for side in (height, width))
    return count * tall * wide


def _waifu2x(network: str, level: int) -> MethodSpec:
    """Return the row of one level; the one without a number is level 3."""
    photo = network == "photo"
    name = "waifu2x" if photo else "waifu2x-cunet"
    seen = "photographs" if photo else "drawings"
    return MethodSpec(
        name=name if level == 3 else f"{name}-{level}",
        title=f"waifu2x {network}, level {level}",
        source="nagadomi/waifu2x, as packed for ncnn",
        licence="own code; weights MIT, fetched",
        builds=(
            Build(
                f"waifu2x-{network}-{level}",
                (f"waifu2x-{network}-graph", f"waifu2x-{network}-{level}"),
            ),
        ),
        tasks=frozenset({"dejpeg"}),
        open=late("waifu2x", "open_waifu2x" if photo else "open_cunet"),
        note=f"trained on {seen}; its level stands for JPEG artefacts, not for a sigma",
        peak_bytes=_per_pixel(4_100 if photo else 3_000),
    )


_REALESRGAN = MethodSpec(
    name="realesrgan",
    title="Real-ESRGAN x4plus, same size",
    source="Wang et al., ICCV-W 2021",
    licence="own code; weights BSD-3-Clause, fetched",
    builds=(Build("realesrgan-x4plus", ("realesrgan-x4plus-graph", "realesrgan-x4plus-weights")),),
    tasks=frozenset({"denoise", "dejpeg"}),
    open=late("realesrgan", "open_realesrgan"),
    note="shrinks to a quarter by an antialiased bicubic and enlarges x4: its detail is invented",
    peak_bytes=_per_pixel(1_400),
)


def _adair(tasks: int) -> MethodSpec:
    return MethodSpec(
        name=f"adair-{tasks}d",
        title=f"AdaIR, {tasks} tasks",
        source="Cui et al., ICLR 2025",
        licence="own code; weights MIT, the user's file",
        builds=(Build(f"adair-{tasks}d", (f"adair-{tasks}d",)),),
        tasks=_THREE if tasks == 3 else _THREE | {"lowlight"},
        open=late("adair", "open_adair"),
        note=(
            "its low-frequency branch was never trained and switches on where both sides, filled "
            "up to x8, reach 512 pixels; --tile 504 keeps it off"
        ),
        peak_bytes=_per_pixel(11_700),
    )


def _bioir(tasks: int) -> MethodSpec:
    return MethodSpec(
        name=f"bioir-{tasks}d",
        title=f"BioIR, {tasks} tasks",
        source="Cui et al., NeurIPS 2025",
        licence="own code; weights MIT, the user's file",
        builds=(Build(f"bioir-{tasks}d", (f"bioir-{tasks}d",)),),
        tasks=_THREE if tasks == 3 else _THREE | {"lowlight"},
        open=late("bioir", "open_bioir"),
        note="its context is the whole picture: tiles are answered otherwise",
        peak_bytes=_per_pixel(7_600),
    )


_DIFFUIR_PEAKS: Mapping[str, int] = MappingProxyType(
    {"T": 6_400, "S": 6_400, "B": 7_900, "L": 9_200}
)


def _diffuir(size: str) -> MethodSpec:
    name = f"diffuir-{size.lower()}"
    return MethodSpec(
        name=name,
        title=f"DiffUIR-{size}",
        source="Zheng et al., CVPR 2024",
        licence="own code; weights MIT, the user's file",
        builds=(Build(name, (name,)),),
        tasks=frozenset({"derain", "dehaze", "lowlight"}),
        open=late("diffuir", "open_diffuir"),
        stochastic=True,
        note="three steps; the seed draws the noise at the start and nothing else",
        peak_bytes=_per_pixel(_DIFFUIR_PEAKS[size]),
    )


_LORA_IR = MethodSpec(
    name="lora-ir",
    title="LoRA-IR, setting I",
    source="Ai et al., 2024",
    licence="own code; weights Apache-2.0",
    builds=(Build("lora-ir", ("lora-ir", "lora-ir-router")),),
    # Of its three tasks (snow, rain with haze, raindrops) none is a task here.
    tasks=frozenset(),
    open=late("lora_ir", "open_lora_ir"),
    note="made for snow, rain with haze, and raindrops; its router picks one of them",
    peak_bytes=_per_pixel(4_300),
)

PRETRAINED: tuple[MethodSpec, ...] = (
    *(_waifu2x(network, level) for network in ("photo", "cunet") for level in (3, 2, 1, 0)),
    _REALESRGAN,
    _adair(3),
    _adair(5),
    _bioir(3),
    _bioir(5),
    *(_diffuir(size) for size in _DIFFUIR_PEAKS),
    _LORA_IR,
)
