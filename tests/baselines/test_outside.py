"""Results of others: a folder of pictures, a command that makes one."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from e2r_baselines.catalog import method_named
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, Pixels
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

TASK = TASKS["derain"]


def pixels(seed: int, height: int = 6, width: int = 8) -> Pixels:
    eight_bit = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return (eight_bit / 255).astype(np.float32)


def save(path: Path, picture: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(path)


def restored(name: str, photos: Sequence[Photo]) -> list[Pixels]:
    spec = method_named(name)
    restorer = spec.open(spec.builds[0], {}, Compute())
    return [result.pixels for result in restorer.restore(photos, TASK, [DETERMINISTIC])]


PHOTOS = [Photo("b", pixels(1)), Photo("a.1", pixels(2, 5, 5))]


@pytest.mark.parametrize("inside", [".", "derain"])
def test_pictures_are_paired_by_name_never_by_order(tmp_path: Path, inside: str) -> None:
    save(tmp_path / inside / "b.png", pixels(3))
    save(tmp_path / inside / "a.1.bmp", pixels(4, 5, 5))
    save(tmp_path / inside / "aa.png", pixels(5))
    first, second = restored(f"folder:{tmp_path}", PHOTOS)
    np.testing.assert_allclose(first, pixels(3), atol=1e-6)
    np.testing.assert_allclose(second, pixels(4, 5, 5), atol=1e-6)


def test_the_folder_of_the_task_wins(tmp_path: Path) -> None:
    save(tmp_path / "b.png", pixels(3))
    save(tmp_path / "derain" / "b.png", pixels(4))
    np.testing.assert_allclose(restored(f"folder:{tmp_path}", PHOTOS[:1])[0], pixels(4), atol=1e-6)


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected folder:PATH"):
        method_named(f"folder:{tmp_path / 'gone'}")
    save(tmp_path / "aa.png", pixels(3))
    with pytest.raises(UsageError, match="expected one picture named 'b', found none"):
        restored(f"folder:{tmp_path}", PHOTOS)
    save(tmp_path / "b.png", pixels(3, 7, 8))
    with pytest.raises(UsageError, match="expected 8x6 as its input is, found 8x7"):
        restored(f"folder:{tmp_path}", PHOTOS)
    save(tmp_path / "b.bmp", pixels(3))
    with pytest.raises(UsageError, match="found 2 of them"):
        restored(f"folder:{tmp_path}", PHOTOS)
    (tmp_path / "b.bmp").unlink()
    (tmp_path / "b.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(UsageError, match="expected an image file"):
        restored(f"folder:{tmp_path}", PHOTOS)


PROGRAM = """
import sys
from pathlib import Path
from PIL import Image, ImageOps
given, made, task = sys.argv[1:4]
assert task == "derain", task
for path in Path(given).iterdir():
    ImageOps.invert(Image.open(path)).save(Path(made, path.name))
"""


def test_a_command_maps_a_folder_to_a_folder(tmp_path: Path) -> None:
    program = tmp_path / "two words.py"
    program.write_text(PROGRAM)
    line = f"command:{sys.executable} '{program}' {{input}} {{output}} {{task}}"
    first, second = restored(line, PHOTOS)
    np.testing.assert_allclose(first, 1 - PHOTOS[0].pixels, atol=1e-6)
    np.testing.assert_allclose(second, 1 - PHOTOS[1].pixels, atol=1e-6)


def test_a_command_that_names_no_folders_gets_them_appended(tmp_path: Path) -> None:
    program = tmp_path / "p.py"
    program.write_text(PROGRAM.replace("argv[1:4]", "argv[1:3] + ['derain']"))
    first, _ = restored(f"command:{sys.executable} {program}", PHOTOS)
    np.testing.assert_allclose(first, 1 - PHOTOS[0].pixels, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("command:'unclosed", "found No closing quotation"),
        ("command: ", "found no program"),
        ("command:/nowhere/program", "cannot be started"),
        (f"command:{sys.executable} -c 'raise SystemExit(\"out of memory\")'", "out of memory"),
        (f"command:{sys.executable} -c pass", "expected one picture named 'b', found none"),
    ],
)
def test_a_command_that_fails_says_how(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        restored(line, PHOTOS)
