"""What a bundle says of itself: every file by its hash, and what its numbers stand on."""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from e2r_metrics.base.pictures import read_image

NAME = "manifest.json"
RUN = "run"
"""The folder of a bundle that a run's own files lie in."""
_UNSAFE = re.compile(r"[\\\x00-\x1f]|^/|^[A-Za-z]:|(^|/)\.\.?(/|$)|//|/$|^$")


def safe(name: str) -> str:
    """Return a file's name below a folder; ValueError for one that could lie elsewhere."""
    if _UNSAFE.search(name):
        raise ValueError(f"expected a name below the bundle, found {name!r}")
    return name


Safe = Annotated[str, AfterValidator(safe)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Content(_Frozen):
    """A file that lies in the bundle."""

    sha256: Digest
    bytes: int = Field(ge=0)


class Absent(Content):
    """A picture of the run that the bundle holds by its hashes alone."""

    pixels: Digest
    """See `pixels_of`: another encoder may write the same picture in other bytes."""
    reason: str


class Licences(_Frozen):
    """What may be done with what the run used."""

    methods: Mapping[str, str]
    """By instance."""
    weights: Mapping[str, str]
    """By name of the weight file, as run.json has it."""
    data: Mapping[str, Mapping[str, str]]
    """By set and scene; the scene "" for all of a set."""


class Manifest(_Frozen):
    """The content of manifest.json."""

    kind: Literal["e2r-bench bundle"] = "e2r-bench bundle"
    format: Literal[1] = 1
    hashes_only: bool
    files: Mapping[Safe, Content]
    absent: Mapping[Safe, Absent]
    licences: Licences
    versions: Mapping[str, str]
    """Of packages, as in run.json."""
    device: str
    """The torch device, as in run.json."""
    digest: str = ""
    """SHA-256 of `text` without this field."""


def text(manifest: Manifest) -> bytes:
    """Return the one spelling of a manifest."""
    content = manifest.model_dump(mode="json")
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sealed(manifest: Manifest) -> Manifest:
    """Return a manifest with its digest."""
    plain = manifest.model_copy(update={"digest": ""})
    return plain.model_copy(update={"digest": sha256(text(plain)).hexdigest()})


def pixels_of(path: Path) -> str:
    """Return the SHA-256 of a picture's size and its 8-bit RGB values, row by row.

    Raises:
        PictureError: it cannot be read.
    """
    pixels = read_image(path)
    head = "x".join(map(str, pixels.shape)).encode()
    return sha256(head + b"\n" + pixels.tobytes()).hexdigest()


def some(names: Iterable[str], shown: int = 6) -> str:
    """Return names by comma, the first ones of many."""
    every = list(names)
    more = f", and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(every[:shown]) + more
