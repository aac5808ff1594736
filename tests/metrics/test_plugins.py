"""A third party's metric: a real little package, installed by pip, found by its entry point."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_metrics import UsageError, resolve
from e2r_metrics.base.pictures import write_png

SOURCE = '''
"""Mean brightness of the restored picture: a metric of somebody else's."""

import numpy as np

from e2r_metrics import Metric

ROW = Metric(
    "brightness", "mean", "Brightness", "e2r_bright", True, "mean of all levels", "-", "NumPy",
    "1e-12", "single",
)


def open_metric(variant, files, device):
    def measure(restored, clean):
        return np.array([float(np.mean(image)) for image in restored])

    return measure
'''


def install(target, points, source=SOURCE):
    """Pack a wheel (a zip of known layout) and let pip install it, as a user would."""
    wheel = target / "e2r_bright-1.0-py3-none-any.whl"
    about = "e2r_bright-1.0.dist-info"
    files = {
        "e2r_bright/__init__.py": "",
        "e2r_bright/metric.py": source.replace('"e2r_bright"', '"e2r_bright.metric"'),
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: e2r-bright\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[e2r_bench.metrics]\n{points}\n",
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
def fresh(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    for name in ("e2r_bright", "e2r_bright.metric"):
        sys.modules.pop(name, None)


def test_an_installed_metric_scores_like_any_other(tmp_path, capsys):
    install(tmp_path, "brightness = e2r_bright.metric:ROW")
    for folder in ("restored", "clean"):
        for k in range(3):
            write_png(tmp_path / folder / f"{k}.png", np.full((16, 16, 3), 10 * k, np.uint8))
    folders = [str(tmp_path / "restored"), str(tmp_path / "clean")]
    code = main(["score", *folders, "--metrics", "brightness,psnr", "--format", "json"])
    assert code == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert [(row["metric"], row["n"]) for row in summary] == [("brightness", 3), ("psnr", 3)]
    assert summary[0]["value"] == 10
    assert "mean of all levels; e2r-bright 1.0" in summary[0]["protocol"]


def test_a_name_that_is_nearly_a_plugins_is_told(tmp_path):
    install(tmp_path, "brightness = e2r_bright.metric:ROW")
    with pytest.raises(UsageError, match="did you mean 'brightness'"):
        resolve(["brightnes"])
    with pytest.raises(UsageError, match="unknown variant of brightness"):
        resolve(["brightness:median"])
    assert resolve(["brightness:mean"]) == resolve(["brightness"])


@pytest.mark.parametrize(
    ("points", "name", "said"),
    [
        ("brightness = e2r_bright.metric:GONE", "brightness", "cannot be loaded"),
        ("brightness = e2r_bright.metric:open_metric", "brightness", "expected a Metric, found"),
        ("dark = e2r_bright.metric:ROW", "dark", "to be called so, found 'brightness'"),
    ],
)
def test_a_broken_plugin_is_named(tmp_path, points, name, said):
    install(tmp_path, points)
    with pytest.raises(UsageError, match=said) as caught:
        resolve([name])
    assert "\n" not in str(caught.value)
    assert resolve(["psnr"])[0].id == "psnr:rgb"


@pytest.mark.parametrize(
    ("old", "new"),
    [('"single"', '"single", weights=("theirs",)'), ('"e2r_bright"', '"bright"')],
)
def test_what_a_plugin_cannot_bring_is_refused(tmp_path, old, new):
    install(tmp_path, "brightness = e2r_bright.metric:ROW", SOURCE.replace(old, new))
    with pytest.raises(UsageError, match="single pictures or pairs"):
        resolve(["brightness"])


def test_whatever_an_import_does_is_one_line(tmp_path):
    install(tmp_path, "brightness = e2r_bright.metric:ROW", "raise SystemExit(0)\n")
    with pytest.raises(UsageError, match=r"of e2r-bright 1\.0: cannot be loaded: .*SystemExit"):
        resolve(["brightness"])
