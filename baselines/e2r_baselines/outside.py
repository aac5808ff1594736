"""Methods whose code is not here: a folder of their results, or a command that makes one."""

import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2r_baselines.controls import ANY_TASK
from e2r_baselines.method import Build, Compute, Draw, MethodSpec, Opener, Photo, Pixels, Restored
from e2r_baselines.tasks import Task
from e2r_metrics.base.errors import UsageError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def folder_method(name: str) -> MethodSpec:
    """Return the method `folder:PATH`: results on disk, paired by file name.

    A picture is PATH/TASK/NAME.png if PATH has a folder of the task's name, else PATH/NAME.png;
    the other usual suffixes will do.

    Raises:
        UsageError: there is no such folder.
    """
    root = Path(name.partition(":")[2]).expanduser()
    if not root.is_dir():
        raise UsageError(f"{name}: expected folder:PATH with the folder of a method's results")

    def open_folder(build: Build, files: Mapping[str, Path], compute: Compute) -> FolderRestorer:
        del build, files, compute
        return FolderRestorer(root)

    return _foreign(name, f"results in {root}", open_folder)


def command_method(name: str) -> MethodSpec:
    """Return the method `command:LINE`: a program that restores a folder into a folder.

    `{input}`, `{output}`, `{task}` and `{prompt}` in LINE are replaced; input and output are
    appended where LINE names neither. No shell reads the line. Inputs are 8-bit PNG; results are
    expected under the same names.

    Raises:
        UsageError: the line is empty or its quotes do not close.
    """
    line = name.partition(":")[2]
    try:
        words = tuple(shlex.split(line))
    except ValueError as error:
        raise UsageError(f"{name}: expected command:PROGRAM ARGUMENTS, found {error}") from error
    if not words:
        raise UsageError(f"{name}: expected command:PROGRAM ARGUMENTS, found no program")
    if not any("{input}" in word or "{output}" in word for word in words):
        words = (*words, "{input}", "{output}")

    def open_command(build: Build, files: Mapping[str, Path], compute: Compute) -> CommandRestorer:
        del build, files, compute
        return CommandRestorer(words)

    return _foreign(name, f"command {line}", open_command)


def _foreign(name: str, title: str, opened: Opener) -> MethodSpec:
    return MethodSpec(
        name=name,
        title=title,
        source="the user's",
        licence="the user's",
        builds=(Build(name.partition(":")[0]),),
        tasks=ANY_TASK,
        open=opened,
    )


@dataclass(frozen=True)
class FolderRestorer:
    """Reads what somebody else restored."""

    root: Path

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw; see `Restorer.restore`.

        Raises:
            UsageError: a picture is missing, twice there, unreadable, or of another size.
        """
        folder = self.root / task.name if (self.root / task.name).is_dir() else self.root
        for photo in photos:
            pixels = _read(_partner(folder, photo.id), photo)
            for draw in draws:
                yield Restored(photo.id, draw, pixels)


@dataclass(frozen=True)
class CommandRestorer:
    """Runs a program once per call, over all photos of the call."""

    words: Sequence[str]

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw; see `Restorer.restore`.

        Raises:
            UsageError: the program cannot be started or fails, or a result is not as it should be.
        """
        with tempfile.TemporaryDirectory() as place:
            given, made = Path(place, "input"), Path(place, "output")
            given.mkdir()
            made.mkdir()
            for photo in photos:
                _write(given / f"{photo.id}.png", photo.pixels)
            self._call(given, made, task)
            for photo in photos:
                pixels = _read(_partner(made, photo.id), photo)
                for draw in draws:
                    yield Restored(photo.id, draw, pixels)

    def _call(self, given: Path, made: Path, task: Task) -> None:
        said = {
            "{input}": str(given), "{output}": str(made),
            "{task}": task.name, "{prompt}": task.prompt,
        }  # fmt: skip
        words = list(self.words)
        for key, value in said.items():
            words = [word.replace(key, value) for word in words]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
        except OSError as error:
            raise UsageError(f"command {words[0]!r}: cannot be started: {error}") from error
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UsageError(
                f"command {words[0]!r}: expected exit status 0, found {done.returncode}: {last}"
            )


def _partner(folder: Path, image: str) -> Path:
    found = [folder / f"{image}{s}" for s in _SUFFIXES if (folder / f"{image}{s}").is_file()]
    if len(found) != 1:
        what = f"{len(found)} of them" if found else "none"
        raise UsageError(f"{folder}: expected one picture named {image!r}, found {what}")
    return found[0]


def _read(path: Path, photo: Photo) -> Pixels:
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"{path}: expected an image file, found: {error}") from error
    if pixels.shape != photo.pixels.shape:
        wanted, size = photo.pixels.shape, pixels.shape
        raise UsageError(
            f"{path}: expected {wanted[1]}x{wanted[0]} as its input is, found {size[1]}x{size[0]}"
        )
    return pixels


def _write(path: Path, pixels: Pixels) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(path)
