"""Files of LoRA mixtures, in the layout that ICEdit released; any other key is refused.

Plain Linears have `lora_A.weight` and `lora_B.weight`; mixtures `lora_A.expert_{i}.weight`,
`lora_B.expert_{i}.weight` and `lora_route.weight`. The release's alpha equals its rank.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from e2r_adapters.editors.releases import Routing
from e2r_adapters.lora.dialects import tensor_file
from e2r_adapters.lora.header import (
    ADAPTER_FILE,
    DIGEST_KEY,
    RECORD_KEY,
    damage,
    entry,
    read_header,
    read_record,
)
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

_KEY = re.compile(
    r"transformer\.(?P<name>.+)\.lora_(?:(?P<half>[AB])(?:\.expert_(?P<expert>\d+))?|(?P<route>route))"
    r"\.weight"
)


@dataclass(frozen=True)
class Experts:
    """The tensors of one Linear.

    Attributes:
        a: (E, r, in).
        b: (E, out, r).
        route: (E, in); None for a plain LoRA, which is one expert.
        scale: alpha / r.
    """

    a: "torch.Tensor"
    b: "torch.Tensor"
    route: "torch.Tensor | None"
    scale: float


@dataclass(frozen=True)
class MixtureFile:
    """A mixture as it lies on disk.

    Attributes:
        linears: name of a Linear -> its experts.
        record: what e2r-bench wrote about its training; None for other people's.
    """

    linears: Mapping[str, Experts]
    record: Mapping[str, Any] | None

    @property
    def mixed(self) -> int:
        """Return how many Linears have a router."""
        return sum(one.route is not None for one in self.linears.values())

    @property
    def parameters(self) -> int:
        """Return the number of all its weights."""
        return sum(
            part.numel()
            for one in self.linears.values()
            for part in (one.a, one.b, one.route)
            if part is not None
        )


def is_mixture(path: Path) -> bool:
    """Return whether a safetensors file has a router in it; False for what is no such file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return any(".lora_route." in key for key in file.keys())  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError):
        return False


def check_mixture(given: Path) -> None:
    """Refuse what is no mixture, and say whose plain LoRA it is.

    Raises:
        UsageError: another file than a LoRA mixture in ICEdit's layout.
    """
    path = tensor_file(given)
    if is_mixture(path):
        return
    base = (entry(path, read_header(path)[2], RECORD_KEY) or {}).get("base")
    made = f" made for {base}" if base else ""
    raise UsageError(
        "icedit_moe: expected --set adapter=FILE with a LoRA mixture in ICEdit's layout, found "
        f"{path}, a plain LoRA{made}; run icedit with one of its family"
    )


def routing_of(given: Path | None, asked: Routing | None) -> Routing:
    """Return the routing that a mixture runs with: the one asked for, else that of its training.

    Raises:
        UsageError: the file's record is damaged.
    """
    if asked is not None or given is None or not is_mixture(tensor_file(given)):
        return asked or "released"
    told = (read_record(tensor_file(given)) or {}).get("routing", "released")
    if told not in get_args(Routing):
        raise UsageError(f"{given}: expected a routing in its record, found {told!r}")
    return told


def read_mixture(path: Path, network: "nn.Module") -> MixtureFile:
    """Read a mixture and hold each tensor against the Linear that it is for.

    Raises:
        UsageError: no whole safetensors file, a key of another layout, a Linear that is only partly
            there, or shapes that do not fit the network.
    """
    found, header = _tensors(path)
    if not found:
        raise UsageError(f"{path}: expected a LoRA mixture, found no tensor")
    if changed := damage(path, header):
        raise UsageError(f"{path}: {changed}")
    record = entry(path, header, RECORD_KEY)
    scale = float((record or {}).get("scale", 1.0))
    linears = {
        name: _experts(f"{path}: {name}", parts, scale) for name, parts in sorted(found.items())
    }
    modules = dict(network.named_modules())
    for name, experts in linears.items():
        _check(f"{path}: {name}", experts, modules.get(name))
    return MixtureFile(linears, record)


def _tensors(path: Path) -> tuple[dict[str, dict[str, "torch.Tensor"]], Mapping[str, str]]:
    """Return Linear -> part ("A0", "B0", "route"; "A" and "B" of a plain one) -> tensor."""
    from safetensors import SafetensorError, safe_open

    found: defaultdict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  # not a mapping
                name, part = _split(path, key)
                found[name][part] = file.get_tensor(key)
            return found, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: expected a whole safetensors file, found: {error}") from error


def _split(path: Path, key: str) -> tuple[str, str]:
    matched = _KEY.fullmatch(key)
    if matched is None:
        raise UsageError(
            f"{path}: expected keys of ICEdit's mixtures alone, found {key!r}; a plain LoRA is "
            "loaded with icedit"
        )
    return matched["name"], matched["route"] or f"{matched['half']}{matched['expert'] or ''}"


def _experts(where: str, parts: Mapping[str, "torch.Tensor"], scale: float) -> Experts:
    """Stack the tensors of one Linear; refuse a set that is not whole."""
    import torch

    count = sum(name.startswith("A") for name in parts)
    mixed = "route" in parts
    names = [str(i) for i in range(count)] if mixed else [""]
    wanted = {f"{half}{name}" for half in "AB" for name in names} | ({"route"} if mixed else set())
    odd = sorted(set(parts) ^ wanted)
    if odd or not count:
        raise UsageError(f"{where}: expected whole pairs of matrices, found {odd} alone or amiss")
    a, b = [parts[f"A{name}"] for name in names], [parts[f"B{name}"] for name in names]
    if len({t.shape for t in a}) > 1 or len({t.shape for t in b}) > 1 or a[0].ndim != 2:
        raise UsageError(f"{where}: expected experts of one shape, found several")
    return Experts(torch.stack(a), torch.stack(b), parts.get("route"), scale)


def _check(where: str, experts: Experts, linear: "nn.Module | None") -> None:
    import torch

    if not isinstance(linear, torch.nn.Linear):
        raise UsageError(f"{where}: expected a Linear of this base, found none; choose its own")
    count, rank = experts.a.shape[:2]
    wanted = {
        "A": (count, rank, linear.in_features),
        "B": (count, linear.out_features, rank),
        "route": (count, linear.in_features),
    }
    given = {"A": experts.a, "B": experts.b} | (
        {} if experts.route is None else {"route": experts.route}
    )
    for part, tensor in given.items():
        if tuple(tensor.shape) != wanted[part]:
            raise UsageError(
                f"{where}: expected {part} of shape {wanted[part]} for this base, found "
                f"{tuple(tensor.shape)}; choose its backbone"
            )


def save_mixture(mixtures: Mapping[str, Experts], folder: Path, record: Mapping[str, Any]) -> Path:
    """Write the experts of a network in the released layout, with what they were trained on.

    Raises:
        OSError: the folder cannot be written to; no file is left behind.
    """
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    for name, one in mixtures.items():
        stem = f"transformer.{name}.lora_"
        for half, stack in (("A", one.a), ("B", one.b)):
            for i, part in enumerate(stack.detach().cpu()):
                expert = "" if one.route is None else f".expert_{i}"
                tensors[f"{stem}{half}{expert}.weight"] = part.contiguous()
        if one.route is not None:
            tensors[f"{stem}route.weight"] = one.route.detach().cpu()
    (scale,) = {one.scale for one in mixtures.values()}
    told = json.dumps({**record, "scale": scale}, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    plain = save(tensors, {RECORD_KEY: told})
    data = plain[8 + int.from_bytes(plain[:8], "little") :]
    header = {RECORD_KEY: told, DIGEST_KEY: hashlib.sha256(data).hexdigest()}
    write_bytes(folder / ADAPTER_FILE, save(tensors, header))
    return folder / ADAPTER_FILE
