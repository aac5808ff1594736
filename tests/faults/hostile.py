"""Methods of somebody else that do all that a method must not do, and what a run makes of each."""

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bad_pictures
from matrix import Case, Words

from e2r_metrics.base.pictures import write_png

NAMES = ("a", "b", "c")
SOURCE = """
import os, sys, signal
import numpy as np
from e2r_baselines.controls import ANY_TASK
from e2r_baselines.method import Build, MethodSpec, Restored

class Gone(BaseException):
    pass

class Plugin:
    def restore(self, photos, task, draws):
        for photo in photos:
            for draw in draws:
                pixels = photo.pixels
                if photo.id == "b":
                    {line}
                yield Restored(photo.id, draw, pixels)

HOSTILE = MethodSpec(
    name="hostile", title="hostile", source="nobody", licence="MIT", builds=(Build("hostile"),),
    tasks=ANY_TASK, open=lambda build, files, compute: Plugin(), stochastic=True,
)
"""


@dataclass(frozen=True)
class Hostility:
    """What a plugin does with picture b.

    Attributes:
        line: of Python.
        fails: whether b has no result then.
    """

    line: str
    fails: bool = True


PLUGINS: Mapping[str, Hostility] = {
    "raises": Hostility("raise ValueError('so')"),
    "raises what is no Exception": Hostility("raise Gone"),
    "raises without words": Hostility("raise Exception"),
    "raises many lines": Hostility("raise Exception('one\\ntwo\\n' * 500)"),
    "stops the iteration": Hostility("raise StopIteration"),
    "leaves": Hostility("sys.exit(0)"),
    "leaves with words": Hostility("sys.exit('so long')"),
    "meets the end of a file": Hostility("raise EOFError"),
    "has no memory": Hostility("raise MemoryError"),
    "recurses": Hostility("f = lambda g: g(g); f(f)"),
    "NaN": Hostility("pixels = pixels * np.nan"),
    "infinity": Hostility("pixels = pixels + np.inf"),
    "another height": Hostility("pixels = pixels[1:]"),
    "no channels": Hostility("pixels = pixels[..., 0]"),
    "channels first": Hostility("pixels = pixels.transpose(2, 0, 1)"),
    "a batch": Hostility("pixels = pixels[None]"),
    "no pixels": Hostility("pixels = pixels[:0]"),
    "0..255": Hostility("pixels = pixels * 255"),
    "bytes": Hostility("pixels = (pixels * 255).astype(np.uint8)"),
    "integers": Hostility("pixels = pixels.astype(int)"),
    "objects": Hostility("pixels = pixels.astype(object)"),
    "complex": Hostility("pixels = pixels.astype(complex)"),
    "a list": Hostility("pixels = pixels.tolist()"),
    "a tensor": Hostility("import torch; pixels = torch.from_numpy(pixels.copy())"),
    "nothing": Hostility("pixels = None"),
    "a name": Hostility("pixels = 'b.png'"),
    "no Restored": Hostility("yield pixels; continue"),
    "none of what was asked": Hostility("yield None; continue"),
    "says it is another's": Hostility("yield Restored('z', draw, pixels); continue"),
    "forgets": Hostility("continue"),
    "changes what it was given": Hostility("pixels *= 0.5"),
    "changes it on the way": Hostility("photo.pixels[0] = 0; pixels = photo.pixels + 0.01"),
    "prints": Hostility("print('x' * 100000)", fails=False),
    "prints what is no text": Hostility(
        "os.write(1, b'\\xff\\xfe'); print('\\udcff'.encode('utf-8', 'replace'))", fails=False
    ),
    "closes standard output": Hostility("sys.stdout.close()", fails=False),
    "takes standard output away": Hostility("sys.stdout = None", fails=False),
    "goes elsewhere": Hostility("os.chdir('/')", fails=False),
    "forks": Hostility("os.fork()", fails=False),
    "sets NumPy's errors": Hostility("np.seterr(all='raise')", fails=False),
    "warns": Hostility("import warnings; warnings.warn('hostile')", fails=False),
    "turns warnings into errors": Hostility(
        "import warnings; warnings.simplefilter('error')", fails=False
    ),
    "yields twice": Hostility("yield Restored(photo.id, draw, pixels)", fails=False),
    "doubles": Hostility("pixels = pixels.astype(np.float64)", fails=False),
    "backwards in memory": Hostility("pixels = pixels[::-1][::-1]", fails=False),
    "half floats": Hostility("pixels = pixels.astype(np.float16).astype(np.float32)", fails=False),
    "ignores signals": Hostility("signal.signal(signal.SIGTERM, signal.SIG_IGN)", fails=False),
    "draws from the global generator": Hostility("np.random.seed(0)", fails=False),
}  # fmt: skip


def install(line: str, folder: Path) -> None:
    """Write a plugin as pip would leave it."""
    about = folder / "site" / "hostile_plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "site" / "hostile_plugin.py").write_text(SOURCE.replace("{line}", line))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-plugin\nVersion: 1.0\n")
    points = "[e2r_bench.methods]\nhostile = hostile_plugin:HOSTILE\n"
    (about / "entry_points.txt").write_text(points)


def seen() -> None:
    """Let this process find the plugin of the case whose folder it works in."""
    from e2r_baselines.catalog import plugins

    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path.cwd().parent / "site"))
    plugins.cache_clear()


def _run(line: str, batch: int, folder: Path) -> Words:
    install(line, folder)
    for k, name in enumerate(NAMES):
        write_png(folder / "data" / f"{name}.png", bad_pictures.pixels(k))
    # A relative folder: where the plugin goes elsewhere, the run must not follow.
    return ["run", "--methods", "hostile,degraded", "--data", str(folder / "data"), "--tasks",
            "derain", "--metrics", "psnr", "--seeds", "0,1", "--batch", str(batch), "--device",
            "cpu", "--offline", "--out", "../out"]  # fmt: skip


def _counted(fails: bool, folder: Path, said: str) -> list[str]:
    """Every other picture, and the control, has its numbers."""
    del said
    path = folder / "out" / "summary.csv"
    if not path.is_file():
        return ["the run was lost: no summary.csv"]
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    rows = [row for row in rows if row["metric"] == "psnr" and row["method"] != "clean"]
    found = {(row["method"], row["seed"]): row["n"] for row in rows}
    n = "2" if fails else "3"
    wanted = {("hostile", "0"): n, ("hostile", "1"): n, ("degraded", "0"): "3"}
    values = {row["value"][:6] for row in rows}
    wrong = [] if found == wanted else [f"found {found}"]
    # It hands back what it was given: its numbers are the control's, but for what it left out.
    return wrong if fails or len(values) == 1 else [*wrong, f"found values {sorted(values)}"]


def cases() -> Iterator[Case]:
    """Each plugin alone with a picture, and with several at once."""
    for kind, one in PLUGINS.items():
        for batch in (1, 3):
            yield Case(
                f"plugin, batch {batch}", kind, partial(_run, one.line, batch),
                frozenset({int(one.fails)}), partial(_counted, one.fails), seen,
            )  # fmt: skip
