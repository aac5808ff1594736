"""What a verdict may speak of: two adapters, or the recipes that they were trained by."""

from dataclasses import dataclass
from typing import Literal

Subject = Literal["these two arms", "these two adapters", "the recipes"]


@dataclass(frozen=True)
class Scope:
    """What was repeated, and so what a verdict is about.

    Attributes:
        trainings: independent trainings of each arm; 0 where nothing was trained.
        seeds: sampling seeds of each; 0 where nothing is drawn.
    """

    trainings: int = 0
    seeds: int = 0

    @property
    def subject(self) -> Subject:
        """Return what the verdict is about; a caller prints it in the verdict's own line."""
        if self.trainings == 0:
            return "these two arms"
        return "the recipes" if self.trainings > 1 else "these two adapters"

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what follows from it, in words."""
        notes: list[str] = []
        if self.trainings == 1:
            notes.append(
                "one training per arm: said of these two adapters, not of the recipe; the spread "
                "between trainings is unknown"
            )
        if self.seeds == 1:
            notes.append("one sampling seed: other seeds may move the mean")
        return tuple(notes)
