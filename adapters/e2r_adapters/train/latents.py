"""Encoded views in a folder: kept between trainings, and never answered for another input.

An entry is named by its sample and by the sha256 of all that decides it: the pixels of both
pictures, the instruction, and what the encoders at hand make of a fixed picture and text. So
another picture, wording, encoder or precision finds nothing. Tensors lie by the sha256 of their own
content, each once: texts that thousands of entries share take the room of one.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_adapters.editors.editor import Conditioning, Editor, Instruction
from e2r_baselines.method import Photo
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text, refuse_foreign_folder, write_bytes, write_json

if TYPE_CHECKING:
    import torch

_LAYOUT = 1
_ENTRIES = "entries"
_PROBE = Instruction("what these encoders say", 1.0, 77)
_LEAST_PROBE = 64
_PLAIN_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Memory:
    """Encoded views in memory, for one training; see `Shelf` for its methods."""

    _latents: dict[str, "torch.Tensor"] = field(default_factory=dict[str, Any])
    _given: dict[tuple[str, Instruction], Conditioning] = field(
        default_factory=dict[tuple[str, Instruction], Conditioning]
    )

    def has(self, key: str, sample: str, told: Sequence[Instruction]) -> bool:
        """See `Shelf.has`."""
        del sample
        return key in self._latents and all((key, one) in self._given for one in told)

    def read(self, key: str, sample: str, told: Instruction) -> tuple["torch.Tensor", Conditioning]:
        """See `Shelf.read`."""
        del sample
        return self._latents[key], self._given[key, told]

    def put(
        self,
        key: str,
        sample: str,
        told: Sequence[Instruction],
        latents: "torch.Tensor",
        given: Sequence[Conditioning],
    ) -> None:
        """See `Shelf.put`."""
        del sample
        self._latents[key] = latents
        self._given.update({(key, one): made for one, made in zip(told, given, strict=True)})


@dataclass(frozen=True)
class Shelf:
    """A folder of encoded views.

    Attributes:
        folder: of the entries and tensors.
        maker: sha256 of what the encoders make of a fixed picture and text.
        like: a conditioning of the family at hand.
    """

    folder: Path
    maker: str
    like: Conditioning

    def has(self, key: str, sample: str, told: Sequence[Instruction]) -> bool:
        """Return whether a view is here whole, under each of some instructions."""
        names = [None, *told]
        return all(self._held(self._entry(key, sample, name)) is not None for name in names)

    def read(self, key: str, sample: str, told: Instruction) -> tuple["torch.Tensor", Conditioning]:
        """Return the (C, h, w) float32 latents of a view's target, and its conditioning.

        Raises:
            UsageError: it is gone, or a tensor is not what it is named by.
        """
        target, held = (self._held(self._entry(key, sample, name)) for name in (None, told))
        if target is None or held is None:
            raise UsageError(
                f"{self.folder}: expected the latents of {sample}, which were here when the "
                "training began; give the same command again"
            )
        tensors = {name: self._tensor(digest) for name, digest in held["tensors"].items()}
        # JSON has lists where a conditioning has tuples.
        plain = {n: tuple(v) if isinstance(v, list) else v for n, v in held["plain"].items()}
        like: Any = self.like
        return self._tensor(target["tensors"]["target"]), replace(like, **tensors, **plain)

    def put(
        self,
        key: str,
        sample: str,
        told: Sequence[Instruction],
        latents: "torch.Tensor",
        given: Sequence[Conditioning],
    ) -> None:
        """Keep a view: the latents of its target, and a conditioning for each instruction."""
        self._put(self._entry(key, sample, None), sample, {"target": latents})
        for one, made in zip(told, given, strict=True):
            self._put(self._entry(key, sample, one), sample, _fields(made))

    def _entry(self, key: str, sample: str, told: Instruction | None) -> Path:
        """Return the file of a view's conditioning under an instruction, or of its target."""
        inputs = [_LAYOUT, self.maker, sample, key, told and astuple(told)]
        digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
        return self.folder / _ENTRIES / f"{_PLAIN_NAME.sub('-', sample)[:60]}.{digest[:40]}.json"

    def _held(self, path: Path) -> dict[str, Any] | None:
        """Return an entry; None for one that is not there, or a tensor of which is gone."""
        if not path.is_file():
            return None
        try:
            held = json.loads(read_text(path))
            files = [self._file(digest) for digest in held["tensors"].values()]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: expected an entry of latents; delete it") from error
        return held if all(file.is_file() for file in files) else None

    def _put(self, path: Path, sample: str, fields: dict[str, Any]) -> None:
        """Write tensors first: an entry names only what is there."""
        import torch
        from safetensors.torch import save

        tensors: dict[str, str] = {}
        for name, value in fields.items():
            if isinstance(value, torch.Tensor):
                content = save({"tensor": value.detach().cpu().contiguous()})
                tensors[name] = hashlib.sha256(content).hexdigest()
                file = self._file(tensors[name])
                if not file.is_file():
                    write_bytes(file, content)
        plain = {name: value for name, value in fields.items() if name not in tensors}
        write_json(path, {"sample": sample, "tensors": tensors, "plain": plain})

    def _file(self, digest: str) -> Path:
        return self.folder / "tensors" / f"{digest}.safetensors"

    def _tensor(self, digest: str) -> "torch.Tensor":
        return read_tensor(self._file(digest))


def open_shelf(folder: Path, editor: Editor) -> Shelf:
    """Open a folder for the encoders of an editor that is not parked; it need not be there yet.

    Raises:
        UsageError: the folder holds files of something else.
    """
    refuse_foreign_folder(folder, (_ENTRIES,))
    multiple = editor.sizes.multiple
    side = multiple * -(-max(editor.sizes.least, _LEAST_PROBE) // multiple)
    pixels = np.linspace(0, 1, side * side * 3, dtype=np.float32).reshape(side, side, 3)
    (like,) = editor.condition(Photo("probe", pixels), [_PROBE])
    made = {"target": editor.encode([pixels], [pixels])[0].float().cpu(), **_fields(like)}
    whole = hashlib.sha256(type(like).__name__.encode())
    for name, value in sorted(made.items()):
        whole.update(f"{name} {_content(value)}".encode())
    return Shelf(folder, whole.hexdigest(), like)


def _content(value: Any) -> str:
    """Return what a field holds: the digest of a tensor, the text of a plain value."""
    import torch
    from safetensors.torch import save

    if isinstance(value, torch.Tensor):
        return hashlib.sha256(save({"tensor": value.detach().cpu().contiguous()})).hexdigest()
    return repr(value)


def _fields(given: Conditioning) -> dict[str, Any]:
    held: Any = given
    return {one.name: getattr(held, one.name) for one in fields(held)}


@lru_cache(maxsize=64)
def read_tensor(path: Path) -> "torch.Tensor":
    """Read a tensor and hold it against its name; texts that samples share are one object."""
    from safetensors.torch import load

    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise UsageError(f"{path}: expected the content that it is named by; delete it")
    return load(content)["tensor"]
