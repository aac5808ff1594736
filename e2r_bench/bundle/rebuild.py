"""Pictures that a bundle holds by hash alone, made again from the set that the verifier has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from e2r_bench.bundle.manifest import RUN, Absent, Manifest, pixels_of
from e2r_bench.bundle.reading import Finding
from e2r_bench.run import mini
from e2r_bench.run.config import make_experiment
from e2r_bench.run.prepare import TaskSet, prepare
from e2r_bench.run.protocols import protocol_of
from e2r_bench.run.task_sets import task_sets
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.files import write_bytes


def rebuild(
    store: Store, manifest: Manifest, data: Sequence[str], place: Path
) -> Iterator[Finding]:
    """Make the absent pairs again and lay those with the published pixels where the run had them.

    Args:
        store: the run that was laid out.
        manifest: of the bundle.
        data: sets as `--data` names them; `mini` is on every machine.
        place: an empty folder for what is made.

    Yields:
        Pictures that came out with other pixels; what the set does not have stays absent.

    Raises:
        UsageError: a set that cannot be read.
    """
    wanted = {
        name: absent
        for name, absent in manifest.absent.items()
        if absent.reason.startswith("licence")
    }
    made: dict[str, Path] = {}
    for pictures in _sets_here(store, data):
        task = pictures.task.name
        known = set(store.images(task))
        sources = tuple(one for one in pictures.sources if one.id in known)
        for image, error in prepare(replace(pictures, sources=sources), place / task):
            if error is None:
                yield from _compared(task, image, wanted, place, made)
    _lay(store, wanted, made)


def _sets_here(store: Store, data: Sequence[str]) -> Iterable[TaskSet]:
    try:
        return list(_task_sets(store, data))
    except UsageError:
        # Nobody asked for `mini`: where a wheel of it is absent, its pictures stay so too.
        if data:
            raise
        return ()


def _task_sets(store: Store, data: Sequence[str]) -> Iterable[TaskSet]:
    """Return the tasks whose set is here: all where `data` says it, those of `mini` always."""
    own = [name for name, task in store.info.tasks.items() if task.data == mini.NAME]
    tasks = tuple(store.info.tasks) if data else tuple(own)
    if not tasks:
        return ()
    # Files of the publisher's machine are not on this one; scenes stand in run.json.
    told = {
        **store.info.settings,
        "tasks": tasks,
        "data": (*data, *(f"{task}=mini" for task in own)),
        "limit": None,
        "scenes": None,
        "weights": (),
    }
    experiment = make_experiment(told, "run.json")
    protocol = protocol_of(experiment)
    return task_sets(experiment, protocol)


def _compared(
    task: str, image: str, wanted: Mapping[str, Absent], place: Path, made: dict[str, Path]
) -> Iterator[Finding]:
    for side in ("clean", "degraded"):
        name = f"{RUN}/pairs/{task}/{side}/{image}.png"
        if name not in wanted:
            continue
        path = place / task / side / f"{image}.png"
        try:
            digest = pixels_of(path)
        except PictureError:
            continue
        if digest == wanted[name].pixels:
            made[digest] = path
        else:
            yield Finding("data", name, "the set on this machine gives other pixels")


def _lay(store: Store, wanted: Mapping[str, Absent], made: Mapping[str, Path]) -> None:
    """Copy what was made to every place whose picture has those pixels: controls show the same."""
    for name, absent in wanted.items():
        if absent.pixels in made:
            target = store.folder.parent / name
            write_bytes(target, made[absent.pixels].read_bytes())
