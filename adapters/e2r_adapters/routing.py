"""Which adapters restore a picture, and how much of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from e2r_baselines.method import Photo
from e2r_baselines.tasks import Task
from e2r_metrics.base.errors import PictureError

Mix = Mapping[str, float]
"""Adapter name -> weight; a weight of 1 acts as the adapter was trained."""


class Router(Protocol):
    """Decides by task, by the picture, or by both; one that looks at pictures is one more class."""

    def __call__(self, task: Task, photo: Photo) -> Mix:
        """Return the mix for one picture.

        Raises:
            PictureError: no adapter serves the task.
        """
        ...


@dataclass(frozen=True)
class Unified:
    """One adapter for everything."""

    name: str

    def __call__(self, task: Task, photo: Photo) -> Mix:
        """See `Router`."""
        del task, photo
        return {self.name: 1.0}


@dataclass(frozen=True)
class TaskSpecific:
    """One adapter for each task kind.

    Attributes:
        names: task kind -> adapter name.
    """

    names: Mapping[str, str]

    def __call__(self, task: Task, photo: Photo) -> Mix:
        """See `Router`."""
        del photo
        if task.kind not in self.names:
            # Recorded for this task's pictures; the tasks that have one go on.
            raise PictureError(
                f"expected an adapter for {task.kind}, found adapters for "
                f"{', '.join(sorted(self.names))}; train it with `e2r-bench train`, or give one "
                "that serves all tasks"
            )
        return {self.names[task.kind]: 1.0}
