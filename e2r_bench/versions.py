"""What a number was made with: package versions and the revision of this checkout."""

import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "e2r-bench", "torch", "torchvision", "diffusers", "transformers", "peft", "numpy", "scipy",
    "scikit-image", "opencv-python-headless", "pillow", "lpips", "clean-fid", "open-clip-torch",
    "timm", "piq", "bm3d", "PyWavelets", "spandrel",
)  # fmt: skip


def package_versions() -> Mapping[str, str]:
    """Return the installed version of every package that can move a number."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """Return the commit of the checkout this package runs from, None for an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
