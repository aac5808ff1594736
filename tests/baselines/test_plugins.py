"""A third party's method: a real little package, installed by pip, found by its entry point."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.catalog import method_named, plugins
from e2r_baselines.method import DETERMINISTIC, Compute, Photo
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

SOURCE = '''
"""Half as bright: a method of somebody else's."""

from e2r_baselines.controls import ANY_TASK
from e2r_baselines.method import Build, MethodSpec, Restored


class Half:
    def restore(self, photos, task, draws):
        for photo in photos:
            for draw in draws:
                yield Restored(photo.id, draw, photo.pixels / 2)


HALF = MethodSpec(
    name="half", title="half", source="nobody", licence="MIT", builds=(Build("half"),),
    tasks=ANY_TASK, open=lambda build, files, compute: Half(),
)
NOT_A_METHOD = 3
'''


def install(target: Path, entry_points: str) -> None:
    """Pack a wheel (a zip of known layout) and let pip install it, as a user would."""
    wheel = target / "e2r_half-1.0-py3-none-any.whl"
    about = "e2r_half-1.0.dist-info"
    files = {
        "e2r_half.py": SOURCE,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: e2r-half\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[e2r_bench.methods]\n{entry_points}\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        rows = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
        archive.writestr(f"{about}/RECORD", rows)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
         "--disable-pip-version-check", "--no-compile", "--target", target / "site", wheel],
        check=True, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path / "site")
    plugins.cache_clear()
    yield
    plugins.cache_clear()
    sys.modules.pop("e2r_half", None)


def test_an_installed_plugin_is_a_method_like_any_other(tmp_path: Path) -> None:
    install(tmp_path, "half = e2r_half:HALF")
    spec = method_named("half")
    restorer = spec.open(spec.builds[0], {}, Compute())
    photo = Photo("a", np.ones((2, 3, 3), np.float32))
    (result,) = restorer.restore([photo], TASKS["derain"], [DETERMINISTIC])
    np.testing.assert_array_equal(result.pixels, 0.5)
    with pytest.raises(UsageError, match="the nearest is 'half'"):
        method_named("halff")


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("half = e2r_half:GONE", "cannot be loaded"),
        ("half = e2r_half:NOT_A_METHOD", "expected a MethodSpec, found int"),
        ("third = e2r_half:HALF", "expected its method to be called so, found 'half'"),
    ],
)
def test_a_broken_plugin_is_named(tmp_path: Path, points: str, said: str) -> None:
    install(tmp_path, points)
    with pytest.raises(UsageError, match=said):
        method_named("half")


def test_a_plugin_may_not_take_a_name_that_is_in_use(tmp_path: Path) -> None:
    install(tmp_path, "promptir = e2r_half:HALF")
    source = tmp_path / "site" / "e2r_half.py"
    source.write_text(SOURCE.replace('name="half"', 'name="promptir"'))
    with pytest.raises(UsageError, match="the name is in use"):
        plugins()
