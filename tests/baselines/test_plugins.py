"""A third party's method: a real little package, installed by pip, found by its entry point."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.catalog import method_named, plugins
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

SOURCE = '''
"""Half as bright: a method of somebody else's."""

from e2r_baselines.controls import ANY_TASK
from dataclasses import dataclass

from e2r_baselines.method import Build, Method, MethodSpec, Restored


class Half:
    def restore(self, photos, task, draws):
        for photo in photos:
            for draw in draws:
                yield Restored(photo.id, draw, photo.pixels / 2)


HALF = MethodSpec(
    name="half", title="half", source="nobody", licence="MIT", builds=(Build("half"),),
    tasks=ANY_TASK, open=lambda build, files, compute: Half(), version="weights of May",
)


@dataclass(frozen=True)
class Options:
    share: float = 0.5


def make(options):
    if options.share > 1:
        raise KeyError("no such share")
    return HALF if options.share else None


SHARED = Method("half", Options, make)
UNTYPED = Method("half", 7, make)
NOT_A_METHOD = 3
'''


def install(target: Path, entry_points: str, package: str = "e2r_half") -> None:
    """Pack a wheel (a zip of known layout) and let pip install it, as a user would."""
    wheel = target / f"{package}-1.0-py3-none-any.whl"
    about = f"{package}-1.0.dist-info"
    name = package.replace("_", "-")
    files = {
        f"{package}.py": SOURCE,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
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
    spec = spec_of(method_named("half"))
    restorer = spec.open(spec.builds[0], {}, Compute())
    photo = Photo("a", np.ones((2, 3, 3), np.float32))
    (result,) = restorer.restore([photo], TASKS["derain"], [DETERMINISTIC])
    np.testing.assert_array_equal(result.pixels, 0.5)
    with pytest.raises(UsageError, match="the nearest is 'half'"):
        method_named("halff")
    assert dict(plugins()).keys() == {"half"}


def test_the_distribution_and_its_version_travel_with_the_method(tmp_path: Path) -> None:
    install(tmp_path, "half = e2r_half:HALF")
    assert spec_of(method_named("half")).version == "e2r-half 1.0 weights of May"


def test_a_plugin_may_have_options(tmp_path: Path) -> None:
    install(tmp_path, "half = e2r_half:SHARED")
    method = method_named("half")
    assert spec_of(method, {"share": "0.25"}).version.startswith("e2r-half 1.0")
    with pytest.raises(UsageError, match=r"half\.share"):
        spec_of(method, {"share": "much"})
    with pytest.raises(UsageError, match=r"'half' of e2r-half 1\.0: KeyError: 'no such share'"):
        spec_of(method, {"share": 2})
    with pytest.raises(UsageError, match="expected it to make a MethodSpec, found NoneType"):
        spec_of(method, {"share": 0})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit('so', 'long')", "GeneratorExit"),
        ("raise ValueError('first\\nsecond')", "ValueError: first second"),
        ("import e2r_gone", "No module named 'e2r_gone'"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_whatever_an_import_does_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    install(tmp_path, "half = e2r_half:HALF")
    (tmp_path / "site" / "e2r_half.py").write_text(line + "\n")
    with pytest.raises(UsageError, match=f"of e2r-half 1.0: cannot be loaded: .*{said}") as caught:
        method_named("half")
    assert "\n" not in str(caught.value)


def test_a_broken_plugin_is_no_business_of_other_methods(tmp_path: Path) -> None:
    install(tmp_path, "half = e2r_half:HALF")
    (tmp_path / "site" / "e2r_half.py").write_text("raise SystemExit\n")
    assert method_named("bm3d").name == "bm3d"


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("half = e2r_half:GONE", "cannot be loaded"),
        ("half = e2r_half:UNTYPED", "expected its options to be a dataclass, found 7"),
        ("half = e2r_half:NOT_A_METHOD", "expected a MethodSpec or a Method, found int"),
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


def test_two_packages_may_not_give_one_name(tmp_path: Path) -> None:
    install(tmp_path, "half = e2r_half:HALF")
    install(tmp_path, "half = e2r_other:HALF", "e2r_other")
    for look in (lambda: method_named("half"), plugins):
        with pytest.raises(UsageError, match=r"of e2r-.* 1\.0: the name is in use"):
            look()
