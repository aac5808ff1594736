"""What may be done with a run's pictures and weights: who allows what is said, never supposed."""

from collections.abc import Mapping
from dataclasses import dataclass

from e2r_bench.bundle.manifest import Licences
from e2r_bench.run import mini
from e2r_bench.run.public_sets import public_sets
from e2r_bench.store.info import RunInfo, TaskInfo
from e2r_metrics.base.declarations import WeightFile
from e2r_metrics.base.errors import unknown

UNSTATED = "none stated: its clean and degraded pictures by hash"


@dataclass(frozen=True)
class DataLicences:
    """What the publisher says of sets that are not ours.

    Attributes:
        given: name of a set, as in run.json -> its licence.
    """

    given: Mapping[str, str]

    def of(self, task: TaskInfo, image: str) -> str | None:
        """Return the licence of an image's photograph; None where nobody states one."""
        return self.of_photograph(task.data, _photograph(image))

    def of_photograph(self, data: str, photograph: str) -> str | None:
        """Return the licence of a photograph of a set; only those of `mini` have a name."""
        if data != mini.NAME:
            return self.given.get(data)
        known = mini.PHOTOGRAPHS.get(photograph)
        return None if known is None else known.licence

    def check(self, info: RunInfo) -> None:
        """Raise `UsageError` for a set that the run does not have."""
        known = {task.data for task in info.tasks.values()} - {mini.NAME}
        for name in self.given:
            if name not in known:
                raise unknown("set for --data-licence", name, known)


def _photograph(image: str) -> str:
    """Return the photograph of a crop of `mini`, such as astronaut of astronaut_000_170."""
    return image.rsplit("_", 2)[0]


def licences_of(info: RunInfo, declared: Mapping[str, WeightFile], data: DataLicences) -> Licences:
    """Return every licence that a run's pictures and numbers stand on.

    Args:
        info: the run.
        declared: weight files by name, as the resolver knows them.
        data: what was said of the sets.
    """
    used = [method.weights for method in info.methods.values()]
    used += [metric.weights for metric in info.metrics.values()]
    names = sorted({name for weights in used for name in weights})
    return Licences(
        methods={name: method.licence for name, method in info.methods.items()},
        weights={name: _of_weights(name, declared) for name in names},
        data={name: _of_set(name, data) for name in sorted({t.data for t in info.tasks.values()})},
    )


def _of_weights(name: str, declared: Mapping[str, WeightFile]) -> str:
    row = declared.get(name)
    if row is None:
        return "the publisher's own file; not stated"
    return " ".join(filter(None, (row.licence, row.licence_url)))


def _of_set(name: str, data: DataLicences) -> Mapping[str, str]:
    photographs = mini.PHOTOGRAPHS if name == mini.NAME else ("",)
    return {one: data.of_photograph(name, one) or _unstated(name) for one in photographs}


def _unstated(name: str) -> str:
    """Return what is said of pictures that nobody gave a licence for: a name proves nothing."""
    row = public_sets().get(name)
    return UNSTATED if row is None else f"{UNSTATED}; the public set of this name: {row.licence}"
