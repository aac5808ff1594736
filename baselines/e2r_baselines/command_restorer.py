"""Running somebody's program over the photos of a call, in a folder that is gone afterwards."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2r_baselines.degrade import Pixels, Task
from e2r_baselines.method import Draw, Photo, Restored
from e2r_baselines.results import Results, read_result
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pairs import SUFFIXES, Matching
from e2r_metrics.base.pictures import AS_STORED, eight_bit, write_png
from e2r_metrics.base.programs import (
    Stopped,
    filled,
    last_line,
    run_program,
    signals_held,
    temporary_folder,
)


@dataclass(frozen=True)
class CommandRestorer:
    """Runs a program once per call, over all photos of the call."""

    words: Sequence[str]
    timeout: float

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw; see `Restorer.restore`.

        Raises:
            PictureError: the program fails or takes too long, or a result is not as it should be.
            UsageError: the program cannot be started.
        """
        for photo, pixels in zip(photos, self._called(photos, task), strict=True):
            for draw in draws:
                yield Restored(photo.id, draw, pixels)

    def _called(self, photos: Sequence[Photo], task: Task) -> list[Pixels]:
        """Return all results: the folder is gone before the first of them is handed on."""
        with signals_held() as stopped, temporary_folder() as folder:
            try:
                given, made = folder / "input", folder / "output"
                made.mkdir()
                for photo in photos:
                    write_png(given / f"{photo.id}.png", eight_bit(photo.pixels))
                self._call(folder, task, stopped)
                return _results(made, photos)
            except PictureError as error:
                # Another call has another folder; what is recorded is the same for each.
                said = str(error).replace(f"{folder}{os.sep}", "")
                raise PictureError(f"command {self.words[0]!r}: {said}") from error

    def _call(self, folder: Path, task: Task, stopped: Stopped) -> None:
        said = {
            "{input}": str(folder / "input"), "{output}": str(folder / "output"),
            "{task}": task.name, "{prompt}": task.prompt,
        }  # fmt: skip
        words = [filled(word, said) for word in self.words]
        log = folder / "said.txt"
        status = run_program(words, log, self.timeout, stopped)
        if status is None:
            raise PictureError(
                f"expected it to end within {self.timeout:g} seconds, ended it ({last_line(log)}); "
                "give it more with timeout=SECONDS"
            )
        if status != 0:
            raise PictureError(f"expected exit status 0, found {status}: {last_line(log)}")


def _results(made: Path, photos: Sequence[Photo]) -> list[Pixels]:
    if not any(path.suffix.lower() in SUFFIXES for path in made.rglob("*")):
        raise PictureError(f"expected one picture named {photos[0].id!r}, found none")
    results = Results(made, Matching(recursive=True))
    return [_result(results, photo) for photo in photos]


def _result(results: Results, photo: Photo) -> Pixels:
    try:
        path = results.find("", photo.id)
    except UsageError as error:  # two of one name: the program's fault, not the user's
        raise PictureError(str(error)) from error
    if path is None:
        raise PictureError(f"expected one picture named {photo.id!r}, found none")
    return read_result(path, photo, AS_STORED)
