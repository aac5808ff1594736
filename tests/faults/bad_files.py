"""Text, JSON and adapter files that are damaged, and pickles that would run code."""

import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

Damage = Callable[[Path], object]


def _bytes(content: bytes) -> Damage:
    return lambda path: path.write_bytes(content)


def _changed(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _middle_row(content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = len(lines) // 2
    lines[at] = lines[at][: len(lines[at]) // 2]
    return b"\n".join(lines)


def _special(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


DAMAGES: Mapping[str, Damage] = {
    "empty": _bytes(b""),
    "a word": _bytes(b"damaged\n"),
    "a list": _bytes(b"[]\n"),
    "an object": _bytes(b"{}\n"),
    "null": _bytes(b"null\n"),
    "a number": _bytes(b"1\n"),
    "NaN": _bytes(b"NaN\n"),
    "no text": _bytes(b"\xff\xfe\x00\x80\n"),
    "zeros": _bytes(b"\0" * 512),
    "deep": _bytes(b"[" * 100_000),
    "half": _changed(lambda content: content[: len(content) // 2]),
    "torn at its end": _changed(lambda content: content[:-7]),
    "torn in the middle": _changed(_middle_row),
    "twice": _changed(lambda content: content + content),
    "foreign keys": _changed(lambda content: content.replace(b'"', b'"x', 3)),
    "a pipe": _special(os.mkfifo),
    "a folder": _special(lambda path: path.mkdir()),
    "absent": _special(lambda path: None),
}

TOML: Mapping[str, bytes] = {
    "empty": b"",
    "no toml": b"methods = [\n",
    "no text": b"\xff\xfe\x00",
    "zeros": b"\0" * 64,
    "json": b'{"methods": ["degraded"]}',
    "unknown key": b'methods = ["degraded"]\nmetrcs = ["psnr"]\n',
    "method as number": b"methods = 3\n",
    "methods as table": b"[methods]\na = 1\n",
    "empty methods": b"methods = []\nmetrics = []\n",
    "negative steps": b'methods = ["degraded"]\nsteps = [-1]\n',
    "no steps": b'methods = ["degraded"]\nsteps = []\n',
    "steps as text": b'methods = ["degraded"]\nsteps = ["many"]\n',
    "no seeds": b'methods = ["degraded"]\nseeds = []\n',
    "nan range": b'methods = ["degraded"]\nvalue_range = nan\n',
    "infinite range": b'methods = ["degraded"]\nvalue_range = inf\n',
    "no limit": b'methods = ["degraded"]\nlimit = 0\n',
    "negative batch": b'methods = ["degraded"]\nbatch = -4\n',
    "unknown task": b'methods = ["degraded"]\ntasks = ["deraim"]\n',
    "unknown metric": b'methods = ["degraded"]\nmetrics = ["pnsr"]\n',
    "unknown protocol": b'methods = ["degraded"]\nprotocol = "paper?"\n',
    "unknown device": b'methods = ["degraded"]\ndevice = "tpu:9"\n',
    "unknown option": b'methods = ["degraded"]\n[method]\nstrength = 1\n',
    "unknown instance": b'methods = ["degraded"]\n[method.other]\nstrength = 1\n',
    "weights missing": b'methods = ["degraded"]\nweights = ["/nonexistent"]\n',
    "a command": b'methods = ["command:touch ran-by-a-stranger"]\n',
    "a named command": b'methods = ["a=command:touch ran-by-a-stranger"]\n',
    "colour": b'methods = ["degraded"]\nflatten = "whit"\n',
    "twice": b'methods = ["degraded"]\nmethods = ["clean"]\n',
    "deep": b"methods = " + b"[" * 5000 + b"]" * 5000,
}
"""Experiments, and claims, that cannot be meant; each is one line and exit code 2."""

STEM = "transformer.transformer_blocks.0.attn.to_q"


def _lora(**change: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        f"{STEM}.lora_A.weight": change.get("a", torch.ones(4, 128)),
        f"{STEM}.lora_B.weight": change.get("b", torch.ones(128, 4)),
    }


def _settings(**change: object) -> dict[str, str]:
    told = {"transformer.r": 4, "transformer.lora_alpha": 4} | {
        f"transformer.{key}": value for key, value in change.items()
    }
    return {"lora_adapter_metadata": json.dumps(told)}


def _tensors(tensors: dict[str, torch.Tensor], header: dict[str, str] | None = None) -> Damage:
    return lambda path: save_file(tensors, path, header)


def _kohya(stem: str) -> dict[str, torch.Tensor]:
    return {
        f"{stem}.lora_down.weight": torch.ones(4, 64),
        f"{stem}.lora_up.weight": torch.ones(64, 4),
        f"{stem}.alpha": torch.tensor(4.0),
    }


ADAPTERS: Mapping[str, Damage] = {
    "metadata no json": _tensors(_lora(), {"lora_adapter_metadata": "{"}),
    "metadata a list": _tensors(_lora(), {"lora_adapter_metadata": "[1]"}),
    "record no json": _tensors(_lora(), _settings() | {"e2r_adapters": "?"}),
    "record a list": _tensors(_lora(), _settings() | {"e2r_adapters": "[]"}),
    "alpha as text": _tensors(_lora(), _settings(lora_alpha="four")),
    "alpha nan": _tensors(_lora(), _settings(lora_alpha=float("nan"))),
    "alpha 0": _tensors(_lora(), _settings(lora_alpha=0)),
    "rank as text": _tensors(_lora(), _settings(r="four")),
    "rank 0 said": _tensors(_lora(), _settings(r=0)),
    "rank 0": _tensors(_lora(a=torch.ones(0, 128), b=torch.ones(128, 0)), _settings()),
    "another rank": _tensors(_lora(), _settings(r=8)),
    "pattern a list": _tensors(_lora(), _settings(alpha_pattern=[1])),
    "pattern no expression": _tensors(_lora(), _settings(rank_pattern={"(": 9}, r=8)),
    "no alpha": _tensors(_lora()),
    "ranks differ": _tensors(_lora(b=torch.ones(128, 5)), _settings()),
    "three axes": _tensors(_lora(a=torch.ones(4, 128, 1)), _settings()),
    "half": _tensors({f"{STEM}.lora_A.weight": torch.ones(4, 128)}, _settings()),
    "alpha of two": _tensors(_lora() | {f"{STEM}.alpha": torch.ones(2)}),
    "alpha negative": _tensors(_lora() | {f"{STEM}.alpha": torch.tensor(-4.0)}),
    "no tensor": _tensors({}),
    "other keys": _tensors({"weight": torch.ones(3)}),
    "sdxl": _tensors(_kohya("lora_unet_input_blocks_4_1_proj_in")),
    "sd text": _tensors(_kohya("lora_te_text_model_encoder_layers_0_self_attn_q_proj")),
    "wan": _tensors(_kohya("lora_unet_blocks_0_self_attn_q")),
    "comfy of another": _tensors(_kohya("diffusion_model.layers.0.attention.qkv")),
    "peft alone": _tensors({f"base_model.model.{k}": v for k, v in _lora().items()}),
    "header only": _bytes(b"\x02\0\0\0\0\0\0\0{}"),
    "header too long": _bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
    "header no json": _bytes(b"\x04\0\0\0\0\0\0\0oops"),
    "a pickle": _bytes(pickle.dumps({"a": 1})),
    "text": _bytes(b"no adapter"),
    "empty": _bytes(b""),
}
"""Adapters that must not act; `adapter inspect` says why, in a table or one line."""


class _Runs:
    """Touches a file when it is unpickled."""

    def __init__(self, witness: Path, how: str) -> None:
        self._witness, self._how = witness, how

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        command = f"touch {self._witness}"
        ways: dict[str, tuple[object, tuple[object, ...]]] = {
            "os.system": (os.system, (command,)),
            "exec": (exec, (f"open({str(self._witness)!r}, 'w')",)),
            "eval": (eval, (f"open({str(self._witness)!r}, 'w')",)),
            "open": (open, (str(self._witness), "w")),
            "popen": (os.popen, (command,)),
        }
        return ways[self._how]


def pickles(witness: Path) -> Mapping[str, Damage]:
    """Return writers of checkpoints that touch `witness` if anything in them is run."""

    def plain(how: str) -> Damage:
        return lambda path: path.write_bytes(pickle.dumps({"state_dict": _Runs(witness, how)}))

    def in_torch(path: Path) -> None:
        torch.save({"params": _Runs(witness, "os.system")}, path)

    def old_torch(path: Path) -> None:
        torch.save({"params": _Runs(witness, "exec")}, path, _use_new_zipfile_serialization=False)

    ways = {f"pickle {how}": plain(how) for how in ("os.system", "exec", "eval", "open", "popen")}
    return {**ways, "torch": in_torch, "old torch": old_torch}
