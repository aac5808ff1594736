"""Encoded views in a folder: kept between trainings, and never answered for another input.

An entry is named by its sample and by the sha256 of all that decides it: the pixels of both
pictures, the instruction, and what the encoders at hand make of a fixed picture and text. So
another picture, wording, encoder or precision finds nothing. Tensors lie by the sha256 of their own
content, each once: texts that thousands of entries share take the room of one. What was damaged
since is made anew, and said.
"""

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from errno import ENOENT
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
MARKS = (_ENTRIES,)
"""What tells a folder of latents."""
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
            UsageError: it is gone, or was damaged since.
        """
        target, held = (self._held(self._entry(key, sample, name)) for name in (None, told))
        if target is None or held is None:
            raise UsageError(
                f"{self.folder}: expected the latents of {sample}, which were here when the "
                "training began; give the same command again"
            )
        tensors, plain = held
        like: Any = self.like
        return target[0]["target"], replace(like, **tensors, **plain)

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

    def _held(self, path: Path) -> "tuple[dict[str, torch.Tensor], dict[str, Any]] | None":
        """Return the tensors and plain values of an entry; None where it is not here whole."""
        try:
            told = json.loads(read_text(path))
            names = {name: self._file(str(digest)) for name, digest in told["tensors"].items()}
            # JSON has lists where a conditioning has tuples.
            plain = {n: tuple(v) if isinstance(v, list) else v for n, v in told["plain"].items()}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            _remove_damaged(path)
            return None
        if not all(map(_is_whole, names.values())):
            return None
        return {name: read_tensor(file) for name, file in names.items()}, plain

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
                if not _is_whole(file):
                    write_bytes(file, content)
        plain = {name: value for name, value in fields.items() if name not in tensors}
        write_json(path, {"sample": sample, "tensors": tensors, "plain": plain})

    def _file(self, digest: str) -> Path:
        return self.folder / "tensors" / f"{digest}.safetensors"


def open_shelf(folder: Path, editor: Editor) -> Shelf:
    """Open a folder for the encoders of an editor that is not parked; it need not be there yet.

    Raises:
        UsageError: the folder holds files of something else.
    """
    refuse_foreign_folder(folder, MARKS)
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
    """Read a tensor and hold it against its name; texts that samples share are one object.

    Raises:
        FileNotFoundError: it is not there; one that was damaged is removed first.
    """
    from safetensors.torch import load

    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem:
        _remove_damaged(path)
        raise FileNotFoundError(ENOENT, "no whole tensor", str(path))
    return load(content)["tensor"]


def _is_whole(path: Path) -> bool:
    """Return whether a tensor is here as it was written."""
    # Read before, it may have been removed since.
    if not path.is_file():
        return False
    try:
        read_tensor(path)
    except FileNotFoundError:
        return False
    return True


def _remove_damaged(path: Path) -> None:
    """Remove a file that is not as it was written, and say so: it is made anew."""
    logging.getLogger("e2r_adapters").warning(
        "%s: expected what was encoded as it was written, found another content; made anew", path
    )
    path.unlink(missing_ok=True)
