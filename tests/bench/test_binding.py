"""A changed input is never answered with an old number; instances and their options."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.catalog import method_named
from e2r_baselines.method import Build, Draw, Method
from e2r_bench.run.config import Experiment
from e2r_bench.run.plan import Catalog
from e2r_bench.run.runner import Outcome
from e2r_bench.store.cell import Cell
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png

Run = Callable[..., Outcome]
NONE = Draw(0, 0)


def picture(seed: int, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def pairs(tmp_path: Path, experiment: Experiment) -> Experiment:
    """An experiment on a folder of four pairs, with one method whose results lie in a folder."""
    for k in range(4):
        write_png(tmp_path / "set" / "gt" / f"{k}.png", picture(k))
        write_png(tmp_path / "set" / "lq" / f"{k}.png", picture(10 + k))
        write_png(tmp_path / "mine" / f"{k}.png", picture(20 + k))
    return experiment.model_copy(
        update={
            "tasks": ("derain",), "data": (str(tmp_path / "set"),), "metrics": ("psnr",),
            "methods": (f"mine=folder:{tmp_path / 'mine'}",), "limit": None,
        }
    )  # fmt: skip


def psnr_of(outcome: Outcome, method: str) -> dict[str, float]:
    return outcome.store.values(method, "derain", NONE, "psnr:rgb")


def test_pictures_of_a_folder_that_changed_are_refused_by_name_and_redone(
    pairs: Experiment, run: Run, tmp_path: Path
) -> None:
    before = psnr_of(run(pairs), "mine")
    kept = run(pairs).store.path(Cell("mine", "derain", NONE, "1")).stat().st_mtime_ns
    write_png(tmp_path / "mine" / "2.png", picture(2))
    with pytest.raises(UsageError, match=r"other inputs: results of mine: derain/2; give --redo"):
        run(pairs)
    outcome = run(pairs, redo=True)
    after = psnr_of(outcome, "mine")
    assert np.isinf(after["2"])
    assert {k: v for k, v in after.items() if k != "2"} == {
        k: v for k, v in before.items() if k != "2"
    }
    # Just the changed one was made anew.
    store = outcome.store
    assert store.path(Cell("mine", "derain", NONE, "1")).stat().st_mtime_ns == kept
    assert not run(pairs).failures


@pytest.mark.parametrize("side", ["gt", "lq"])
def test_sources_that_changed_are_refused_by_name_and_redone(
    pairs: Experiment, run: Run, tmp_path: Path, side: str
) -> None:
    before = run(pairs)
    values = psnr_of(before, "degraded") | {}
    write_png(tmp_path / "set" / side / "3.png", picture(99))
    with pytest.raises(UsageError, match="data: derain/3; give --redo"):
        run(pairs)
    store = run(pairs, redo=True).store
    folder = store.clean_path if side == "gt" else store.degraded_path
    assert np.array_equal(read_image(folder("derain", "3")), picture(99))
    after = store.values("degraded", "derain", NONE, "psnr:rgb")
    assert after["3"] != values["3"]
    assert {k: after[k] for k in "012"} == {k: values[k] for k in "012"}


def test_pictures_that_came_or_went_are_named(pairs: Experiment, run: Run, tmp_path: Path) -> None:
    run(pairs)
    for side in ("gt", "lq"):
        (tmp_path / "set" / side / "0.png").rename(tmp_path / f"{side}.png")
        write_png(tmp_path / "set" / side / "7.png", picture(7))
    write_png(tmp_path / "mine" / "7.png", picture(27))
    with pytest.raises(UsageError, match="data: derain/0, derain/7"):
        run(pairs)
    store = run(pairs, redo=True).store
    assert set(store.values("mine", "derain", NONE, "psnr:rgb")) == {"1", "2", "3", "7"}
    assert {row.image for row in store.rows().all} == {"1", "2", "3", "7"}


def test_a_missing_picture_of_a_folder_fails_alone(
    pairs: Experiment, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "mine" / "2.png").unlink()
    outcome = run(pairs)
    assert [(c.method, c.image) for c in outcome.failures] == [("mine", "2")]
    assert "2" in next(iter(outcome.failures.values()))
    assert set(psnr_of(outcome, "mine")) == {"0", "1", "3"}
    assert set(psnr_of(outcome, "degraded")) == {"0", "1", "2", "3"}


@pytest.mark.parametrize("fault", ["cut", "size", "text"])
def test_a_broken_source_fails_alone_and_by_name(
    pairs: Experiment, run: Run, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "set" / "lq" / "1.png"
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:300])
    elif fault == "size":
        write_png(path, picture(1, 25))
    else:
        path.write_text("no picture")
    outcome = run(pairs)
    assert {cell.image for cell in outcome.failures} == {"1"}
    assert {cell.method for cell in outcome.failures} == {"degraded", "clean", "mine"}
    assert all("1.png" in note for note in outcome.failures.values())
    assert set(psnr_of(outcome, "mine")) == {"0", "2", "3"}
    write_png(path, picture(11))
    mended = run(pairs, redo=True)
    assert not mended.failures
    assert set(psnr_of(mended, "mine")) == {"0", "1", "2", "3"}


@dataclass(frozen=True)
class Strength:
    """Options of a method of the tests' own."""

    file: Path | None = None
    seconds: float = 1.0


def optioned(name: str, catalog: Catalog) -> Method:
    def make(options: Strength) -> object:
        spec = catalog["shaker"].make(None)
        own = {"file": options.file} if options.file else {}
        return spec.__class__(
            **{
                **spec.__dict__, "name": name,
                "builds": (Build(f"{name}-{options.seconds:g}", own_files=own),),
            }
        )  # fmt: skip

    return Method(name, Strength, make)


@pytest.fixture
def two(experiment: Experiment, run: Run, catalog: Catalog) -> tuple[Experiment, Run]:
    methods = {**catalog, "optioned": optioned("optioned", catalog)}
    return (
        experiment.model_copy(update={"methods": ("a=optioned", "b=optioned"), "limit": 2}),
        partial(run, methods=methods),
    )


def test_two_instances_of_a_method_stand_side_by_side(two: tuple[Experiment, Run]) -> None:
    experiment, run = two
    options = {"a": {"seconds": "2"}, "b": {"seconds": 3.5}}
    store = run(experiment.model_copy(update={"method": options})).store
    infos = store.info.methods
    assert {name: info.build for name, info in infos.items() if name in "ab"} == {
        "a": "optioned-2",
        "b": "optioned-3.5",
    }
    assert infos["a"].options == {"seconds": "2"}
    assert infos["a"].method == "optioned"
    assert {"a", "b"} <= {row.method for row in store.rows().all}


@pytest.mark.parametrize(
    ("methods", "options", "said"),
    [
        (("a=optioned",), {"b": {}}, "unknown instance of a method 'b'"),
        (("a=optioned",), {"a": {"second": 1}}, "did you mean 'seconds'"),
        (("a=optioned",), {"a": {"seconds": "many"}}, "optioned.seconds: .*found 'many'"),
        (("a=optioned",), {"secnds": 1}, "unknown option 'secnds': did you mean 'seconds'"),
        (("a=optioned",), {"degraded": {"seconds": 1}}, "'degraded' has no options"),
        (("a=optioned", "a=shaker"), {}, "expected one method called 'a', found two"),
        (("optiond",), {}, "unknown method 'optiond': did you mean 'optioned'"),
    ],
)
def test_what_cannot_be_set_is_one_line(
    two: tuple[Experiment, Run], methods: tuple[str, ...], options: dict, said: str
) -> None:
    experiment, run = two
    with pytest.raises(UsageError, match=said):
        run(experiment.model_copy(update={"methods": methods, "method": options}))


def test_a_users_file_is_bound_by_content(two: tuple[Experiment, Run], tmp_path: Path) -> None:
    experiment, run = two
    weights = tmp_path / "adapter"
    weights.write_text("one")
    mine = experiment.model_copy(update={"method": {"a": {"file": weights}}})
    info = run(mine).store.info.methods["a"]
    assert len(info.weights["file"]) == 64
    run(mine)
    weights.write_text("two")
    with pytest.raises(UsageError, match=r"other inputs: a: weights .*--redo"):
        run(mine)
    again = run(mine, redo=True).store.info.methods["a"]
    assert again.weights["file"] != info.weights["file"]
    weights.unlink()
    with pytest.raises(UsageError, match="a: file: expected a file that can be read"):
        run(mine)


def test_an_option_without_instance_is_for_all_that_have_it(two: tuple[Experiment, Run]) -> None:
    experiment, run = two
    options = {"seconds": 4, "b": {"seconds": 5}}
    store = run(experiment.model_copy(update={"method": options})).store
    builds = {name: info.build for name, info in store.info.methods.items()}
    assert (builds["a"], builds["b"]) == ("optioned-4", "optioned-5")


def test_methods_that_carry_their_argument_need_no_row() -> None:
    assert method_named(f"folder:{Path.cwd()}").name.startswith("folder:")


def test_a_users_file_may_be_moved_and_is_the_same(
    two: tuple[Experiment, Run], tmp_path: Path
) -> None:
    """The folder of a claim's arms holds its adapters too, and is moved or merged whole."""
    experiment, run = two
    places = [tmp_path / name / "adapter" for name in ("here", "there")]
    for place in places:
        place.parent.mkdir()
        place.write_text("one")
    found = []
    for place in places:
        mine = experiment.model_copy(update={"method": {"a": {"file": str(place)}}})
        store = run(mine).store
        found.append(store.path(next(iter(store.cells()))).stat().st_mtime_ns)
        assert store.info.methods["a"].options == {"file": "adapter"}
    assert found[0] == found[1]
    places[1].write_text("another")
    with pytest.raises(UsageError, match="a: weights"):
        run(experiment.model_copy(update={"method": {"a": {"file": str(places[1])}}}))
