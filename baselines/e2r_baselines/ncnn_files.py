"""ncnn's `.bin` files as plain tensors, and into a network: weights in the order of a graph.

Per layer with weights a tag (0: float32, 0x01306B47: float16), the weights, padded to four bytes,
and float32 biases. Every byte of the file is accounted for, or the file is refused.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from e2r_baselines.ncnn_graphs import (
    GRAPHS,
    Graph,
    Layer,
    file_bytes,
    graph_digest,
    read_graph,
)
from e2r_metrics.base.checkpoints import load_in_order
from e2r_metrics.base.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)

FLOAT16, FLOAT32 = 0x01306B47, 0

_LONGEST = 1_000_000_000  # bytes; the longest file read here has 33,424,520
_FROM_INPUT = -233  # Scale: the factors come as the second input


def load_ncnn(network: Network, param: Path, weights: Path, graph: Graph) -> Network:
    """Copy the weights of an ncnn file into a network and return it.

    Args:
        network: its parameters stand in the order of the file's layers.
        param: the graph, text.
        weights: the weights, binary.
        graph: which graph `network` computes.

    Raises:
        UsageError: a file is damaged, or its graph is another one; says which it looks like.
    """
    layers, tensors = read_ncnn(param, weights)
    found = GRAPHS.get(graph_digest(layers), "no graph known here")
    if found != graph:
        raise UsageError(f"{param}: expected {graph}, found {found} ({len(layers)} layers)")
    load_in_order(network, list(tensors.values()), weights)
    return network


def read_ncnn(param: Path, weights: Path) -> tuple[tuple[Layer, ...], dict[str, Tensor]]:
    """Read a graph and its weights on the CPU.

    Args:
        param: the graph, text.
        weights: the weights, binary.

    Returns:
        The layers in order, and float32 tensors by name, in the order of the file: convolutions
        (out, in, k, k), deconvolutions (in, out, k, k) as torch has them, inner products
        (out, in), biases (out,).

    Raises:
        UsageError: a file is missing, is not of this format, or holds fewer or more bytes than
            the graph asks for.
    """
    layers = read_graph(param)
    content = file_bytes(weights, _LONGEST)
    reader = _Weights(weights, content)
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        tensors |= _TENSORS[layer.kind](layer, reader) if layer.kind in _TENSORS else {}
    if reader.at != len(content):
        raise UsageError(
            f"{weights}: expected {reader.at} bytes for {param.name}, found {len(content)}; give "
            "the file that belongs to this graph"
        )
    return layers, tensors


@dataclass
class _Weights:
    """The bytes of a `.bin` file and how far they are read."""

    path: Path
    content: bytes
    at: int = 0

    def count(self, layer: Layer, index: int) -> int:
        """Return a setting that is a whole number and not negative, 0 where it is missing."""
        value = layer.settings.get(index, 0)
        if isinstance(value, tuple) or value < 0 or value != int(value):
            raise UsageError(
                f"{self.path}: layer {layer.name}: expected a count as setting {index}: {value}"
            )
        return int(value)

    def tagged(self, count: int, layer: Layer) -> npt.NDArray[np.float32]:
        """Return `count` weights behind their tag, (count,)."""
        (tag,) = struct.unpack("<I", self._take(4, layer))
        if tag == FLOAT32:
            return self.plain(count, layer)
        if tag != FLOAT16:
            raise UsageError(
                f"{self.path}: expected float16 or float32 weights for layer {layer.name}, found "
                f"the tag {tag:#010x}; quantised files are not read"
            )
        padding = -2 * count % 4
        values = np.frombuffer(self._take(2 * count, layer), "<f2").astype(np.float32)
        if any(self._take(padding, layer)):
            raise UsageError(f"{self.path}: expected zeros behind the weights of {layer.name}")
        return self._finite(values, layer)

    def plain(self, count: int, layer: Layer) -> npt.NDArray[np.float32]:
        """Return `count` float32 values without a tag, (count,)."""
        values = np.frombuffer(self._take(4 * count, layer), "<f4").astype(np.float32)
        return self._finite(values, layer)

    def _take(self, count: int, layer: Layer) -> bytes:
        left = len(self.content) - self.at
        if count > left:
            raise UsageError(
                f"{self.path}: expected {count} bytes for layer {layer.name}, found {left}; the "
                "file is cut off or belongs to another graph"
            )
        self.at += count
        return self.content[self.at - count : self.at]

    def _finite(self, values: npt.NDArray[np.float32], layer: Layer) -> npt.NDArray[np.float32]:
        if not np.isfinite(values).all():
            raise UsageError(f"{self.path}: expected finite weights in layer {layer.name}")
        return values


def _filters(layer: Layer, reader: _Weights) -> dict[str, Tensor]:
    """Read a convolution or deconvolution; in the file both are (out, in, k, k)."""
    out, side, total = (reader.count(layer, index) for index in (0, 1, 6))
    area = out * side * side
    if area == 0 or total == 0 or total % area:
        raise UsageError(
            f"{reader.path}: layer {layer.name}: expected weights for {out} filters of "
            f"{side}x{side}, found {total}"
        )
    flat = reader.tagged(total, layer).reshape(out, total // area, side, side)
    weight = torch.from_numpy(flat)
    if layer.kind == "Deconvolution":
        weight = weight.transpose(0, 1).contiguous()
    return {f"{layer.name}.weight": weight} | _bias(layer, reader, out, reader.count(layer, 5))


def _matrix(layer: Layer, reader: _Weights) -> dict[str, Tensor]:
    out, total = reader.count(layer, 0), reader.count(layer, 2)
    if out == 0 or total == 0 or total % out:
        raise UsageError(
            f"{reader.path}: layer {layer.name}: expected weights for {out} outputs, found {total}"
        )
    weight = torch.from_numpy(reader.tagged(total, layer).reshape(out, total // out))
    return {f"{layer.name}.weight": weight} | _bias(layer, reader, out, reader.count(layer, 1))


def _bias(layer: Layer, reader: _Weights, out: int, there: int) -> dict[str, Tensor]:
    if there not in (0, 1):
        raise UsageError(f"{reader.path}: layer {layer.name}: expected 0 or 1 biases: {there}")
    return {f"{layer.name}.bias": torch.from_numpy(reader.plain(out, layer))} if there else {}


def _factors(layer: Layer, reader: _Weights) -> dict[str, Tensor]:
    if layer.settings.get(0) != _FROM_INPUT:
        raise UsageError(f"{reader.path}: layer {layer.name}: expected factors as an input")
    return {}


_TENSORS = {
    "Convolution": _filters,
    "Deconvolution": _filters,
    "InnerProduct": _matrix,
    "Scale": _factors,
}
