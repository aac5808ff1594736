"""The address of one picture, which every stage of a run speaks of."""

from dataclasses import dataclass

from e2r_baselines.method import DETERMINISTIC, Draw


@dataclass(frozen=True, order=True)
class Cell:
    """One picture of a run: what a method made of one image of a task at one draw.

    Attributes:
        method: name of the method's instance in the run.
        task: name of the task.
        draw: seed and steps of the sampler; (0, 0) for methods that draw nothing.
        image: name of the image in its task.
    """

    method: str
    task: str
    draw: Draw
    image: str

    def __str__(self) -> str:
        draw = self.draw
        drawn = "" if draw == DETERMINISTIC else f" seed {draw.seed} steps {draw.steps}"
        return f"{self.method} on {self.task}/{self.image}{drawn}"
