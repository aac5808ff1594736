"""ncnn's `.param` files: a graph in text, read into layers, and which graph is which network.

A magic number, the number of layers and of blobs, then one layer a line: kind, name, how many
inputs and outputs, their names, and settings `index=value`. A layer or a setting that is not
understood is refused: skipping one would shift the weights of all behind it.

Our networks are written out in torch, and were held against the graphs of the files layer by layer.
A digest of the graph stands for that comparison: a file with another graph, be it only another
slope, is refused. Blob names, splits and the size hint of the input do not enter the digest.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from e2r_metrics.base.errors import UsageError

MAGIC = 7767517

_LONGEST = 4_000_000  # bytes; the longest graph read here has 117,030
_ARRAY = -23300  # an array of numbers has the key -23300 - index
Setting = float | tuple[float, ...]

# Of each kind, the settings that are understood: what others change is not known here.
_SETTINGS: Mapping[str, frozenset[int]] = {
    "Input": frozenset({0, 1, 2}),
    "Split": frozenset(),
    "Concat": frozenset({0}),
    "Eltwise": frozenset({0, 1}),
    "BinaryOp": frozenset({0}),
    "Interp": frozenset({0, 1, 2}),
    "Crop": frozenset({0, 1}),
    "Pooling": frozenset({0, 4}),
    "Scale": frozenset({0}),
    "Convolution": frozenset({0, 1, 2, 3, 4, 5, 6, 9, 10}),
    "Deconvolution": frozenset({0, 1, 2, 3, 4, 5, 6, 9, 10}),
    "InnerProduct": frozenset({0, 1, 2, 9, 10}),
}


Graph = Literal[
    "Real-ESRGAN x4plus",
    "Real-ESRGAN x4plus-anime",
    "waifu2x upconv_7",
    "waifu2x cunet 1x",
    "waifu2x cunet 2x",
]

# Those without a network here are known by name only, for the message.
GRAPHS: Mapping[str, Graph] = MappingProxyType(
    {
        "3c29171f83a1ead3": "Real-ESRGAN x4plus",
        "ec2c518fc8f96f2b": "Real-ESRGAN x4plus-anime",
        "b473281358e1b242": "waifu2x upconv_7",
        "a64e3f4b2bc22570": "waifu2x cunet 1x",
        "8bee775d6b1a9c0e": "waifu2x cunet 2x",
    }
)


@dataclass(frozen=True)
class Layer:
    """One line of a graph.

    Attributes:
        kind: ncnn's name, such as "Convolution".
        name: of this layer; its tensors are called `name.weight` and `name.bias`.
        inputs: names of the blobs it reads.
        outputs: names of the blobs it writes.
        settings: by index; what is missing has ncnn's default.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[int, Setting]


def read_graph(path: Path) -> tuple[Layer, ...]:
    """Read the layers of a `.param` file.

    Raises:
        UsageError: the file is missing, or a line is not understood.
    """
    content = file_bytes(path, _LONGEST)
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected ncnn's graph in text, found bytes") from error
    if not lines or lines[0].strip() != str(MAGIC):
        found = lines[0][:40] if lines else "an empty file"
        raise UsageError(f"{path}: expected ncnn's magic number {MAGIC}, found {found!r}")
    layers = tuple(
        _layer(path, number, line) for number, line in enumerate(lines[2:], 3) if line.strip()
    )
    blobs = [name for layer in layers for name in layer.outputs]
    counts = f"{len(layers)} {len(blobs)}"
    said = " ".join(lines[1].split()) if len(lines) > 1 else ""
    if said != counts:
        raise UsageError(f"{path}: expected {said[:40]!r} layers and blobs, found {counts!r}")
    _check_order(path, layers)
    names = [layer.name for layer in layers]
    if len(set(names)) != len(names) or len(set(blobs)) != len(blobs):
        raise UsageError(f"{path}: expected every layer and blob once, found a name twice")
    return layers


def _check_order(path: Path, layers: Sequence[Layer]) -> None:
    made: set[str] = set()
    for layer in layers:
        for name in layer.inputs:
            if name not in made:
                raise UsageError(f"{path}: layer {layer.name} reads {name!r} before it is made")
        made.update(layer.outputs)


def file_bytes(path: Path, longest: int) -> bytes:
    """Return what a file holds.

    Raises:
        UsageError: it is missing, or longer than any file of its kind.
    """
    try:
        size = path.stat().st_size
        if size > longest:
            raise UsageError(f"{path}: expected at most {longest} bytes, found {size}")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: expected an ncnn file, found: {error.strerror}") from error


def _layer(path: Path, number: int, line: str) -> Layer:
    """Parse `Kind name n_in n_out in... out... index=value...`."""
    words = line.split()
    where = f"{path}, line {number}"
    try:
        kind, name, ins, outs = words[0], words[1], int(words[2]), int(words[3])
    except (ValueError, IndexError) as error:
        raise UsageError(f"{where}: expected kind, name and two counts: {line[:60]!r}") from error
    if kind not in _SETTINGS:
        raise UsageError(
            f"{where}: expected one of the layers {', '.join(_SETTINGS)}, found {kind[:40]!r}"
        )
    if ins < 0 or outs < 1 or ins + outs > len(words) - 4:
        raise UsageError(f"{where}: expected {ins} inputs and {outs} outputs: {line[:60]!r}")
    blobs, rest = words[4 : 4 + ins + outs], words[4 + ins + outs :]
    settings = dict(_setting(where, word) for word in rest)
    strange = settings.keys() - _SETTINGS[kind]
    if strange or len(settings) != len(rest):
        what = f"setting {min(strange)}" if strange else "a setting twice"
        raise UsageError(f"{where}: {kind} with {what} is not known here")
    return Layer(kind, name, tuple(blobs[:ins]), tuple(blobs[ins:]), settings)


def _setting(where: str, word: str) -> tuple[int, Setting]:
    key, equals, value = word.partition("=")
    try:
        index = int(key)
        if not equals:
            raise ValueError
        if index > _ARRAY:
            return index, _number(value)
        count, *items = value.split(",")
        if int(count) != len(items):
            raise ValueError
        return _ARRAY - index, tuple(_number(item) for item in items)
    except ValueError as error:
        raise UsageError(f"{where}: expected index=value, found {word[:40]!r}") from error


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def graph_digest(layers: Sequence[Layer]) -> str:
    """Return the first 16 hex digits of the sha256 of what a graph computes."""
    maker: dict[str, str] = {}
    digest = hashlib.sha256()
    for number, layer in enumerate(layer for layer in layers if layer.kind != "Split"):
        maker |= {name: f"{number}.{i}" for i, name in enumerate(layer.outputs)}
    for layer in layers:
        inputs = [maker[name] for name in layer.inputs]
        if layer.kind == "Split":
            maker |= dict.fromkeys(layer.outputs, inputs[0])
            continue
        settings = [] if layer.kind == "Input" else sorted(layer.settings.items())
        digest.update(f"{layer.kind} {inputs} {len(layer.outputs)} {settings}\n".encode())
    return digest.hexdigest()[:16]
