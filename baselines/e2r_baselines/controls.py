"""Control rows: what no restoration, and a perfect one, would score under the same protocol."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from e2r_baselines.method import Build, Compute, Draw, MethodSpec, Photo, Restored
from e2r_baselines.tasks import KINDS, Task

ANY_TASK = KINDS


class Identity:
    """Returns what it is given."""

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield each photo unchanged; see `Restorer.restore`."""
        del task
        for photo in photos:
            for draw in draws:
                yield Restored(photo.id, draw, photo.pixels)


def open_identity(build: Build, files: Mapping[str, Path], compute: Compute) -> Identity:
    """Open the control; it has no weights and computes nothing."""
    del build, files, compute
    return Identity()


DEGRADED = MethodSpec(
    name="degraded",
    title="degraded input (control)",
    source="control",
    licence="none needed",
    builds=(Build("control"),),
    tasks=ANY_TASK,
    open=open_identity,
    control=True,
)
CLEAN = MethodSpec(
    name="clean",
    title="ground truth (control)",
    source="control",
    licence="none needed",
    builds=(Build("control"),),
    tasks=ANY_TASK,
    open=open_identity,
    feed="clean",
    control=True,
)
