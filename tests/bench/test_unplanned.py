"""Tasks that a method has nothing to run with: left out of the plan, and said to be, everywhere."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from e2r_baselines.controls import CLEAN, DEGRADED
from e2r_baselines.method import (
    Build,
    Compute,
    Draw,
    MethodSpec,
    Photo,
    Restored,
    fixed,
    serves_all,
)
from e2r_baselines.tasks import Task
from e2r_bench.api.run import open_run
from e2r_bench.bundle.licences import DataLicences
from e2r_bench.bundle.resummarise import _no_set
from e2r_bench.bundle.writing import Asked as AskedBundle
from e2r_bench.bundle.writing import publish
from e2r_bench.cli import main
from e2r_bench.commands.status import command as status_command
from e2r_bench.report.compare import origins
from e2r_bench.report.gate import check
from e2r_bench.run.config import Experiment
from e2r_bench.run.dry import dry_run
from e2r_bench.run.merge import join
from e2r_bench.run.paper import Asked as AskedPaper
from e2r_bench.run.paper import plan_on_paper
from e2r_bench.run.plan import Catalog
from e2r_bench.run.runner import run_experiment
from e2r_bench.run.services import open_resolver
from e2r_bench.run.status import status_of
from e2r_bench.run.summary import write_summary
from e2r_bench.store.store import open_store
from e2r_bench.studies.contest import Asked, contest
from e2r_bench.studies.pairing import strangers
from e2r_bench.studies.seeds import seed_rows
from e2r_bench.studies.sides import Criteria
from e2r_metrics import Session
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import PictureError, UsageError

LINE = "narrow: no adapter for derain in tiny; not planned"


@dataclass(frozen=True)
class Noisy:
    """Adds noise named by (seed, image); finds out by itself, and too late, what it cannot."""

    kinds: frozenset[str]

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        if task.kind not in self.kinds:
            raise PictureError("no adapter, found too late")
        for photo in photos:
            for draw in draws:
                noise = rng_for(draw.seed, photo.id, "noisy").standard_normal(photo.pixels.shape)
                yield Restored(photo.id, draw, (photo.pixels + 0.05 * noise).astype(np.float32))


def _open(
    kinds: frozenset[str], build: Build, files: Mapping[str, Path], compute: Compute
) -> Noisy:
    return Noisy(kinds)


def _unserved(kinds: frozenset[str], task: Task) -> str | None:
    return None if task.kind in kinds else f"no adapter for {task.kind} in tiny"


def noisy(name: str, *kinds: str, told: bool = True) -> MethodSpec:
    """Return a method that can do some kinds of task, and knows it where it is told."""
    known = frozenset(kinds)
    return MethodSpec(
        name=name, title="a test's own", source="tests", licence="none needed",
        builds=(Build(name),), tasks=known, open=partial(_open, known), stochastic=True,
        unserved=partial(_unserved, known) if told else serves_all,
    )  # fmt: skip


def catalog_of(*specs: MethodSpec) -> Catalog:
    every = (DEGRADED, CLEAN, noisy("shaker", "denoise", "derain"), *specs)
    return {one.name: fixed(one) for one in every}


KNOWING = catalog_of(noisy("narrow", "denoise"))
UNKNOWING = catalog_of(noisy("narrow", "denoise", told=False))
OF_RAIN = catalog_of(noisy("narrow", "denoise"), noisy("other", "derain"))
WHOLE = catalog_of(noisy("narrow", "denoise", "derain"))


@pytest.fixture
def asked(experiment: Experiment) -> Experiment:
    """Two methods on two tasks, one seed and schedule each."""
    return experiment.model_copy(
        update={"methods": ("shaker", "narrow"), "seeds": (0,), "steps": (4,), "limit": 4}
    )


def session() -> Session:
    return Session(open_resolver((), True, lambda _: None))


def test_what_is_not_planned_is_no_failure_and_no_number(asked: Experiment) -> None:
    said: list[str] = []
    outcome = run_experiment(asked, say=said.append, methods=KNOWING)
    store = outcome.store
    assert LINE in said
    assert not outcome.failures
    assert not (store.folder / "failures.json").exists()  # nobody tried
    assert store.info.methods["narrow"].unserved == {"derain": "no adapter for derain in tiny"}
    assert store.tasks("narrow") == ("denoise25",)
    assert {cell.task for cell in store.cells() if cell.method == "narrow"} == {"denoise25"}
    rows = store.frame()
    assert set(rows[rows.method == "narrow"].task) == {"denoise25"}
    lines = store.summary()
    gone = lines[(lines.method == "narrow") & (lines.task == "derain")]
    assert len(gone) > 0
    assert set(gone.status) == {"not planned"}
    assert gone.value.isna().all()
    assert set(gone.note) == {"no adapter for derain in tiny"}
    assert open_run(store.folder).unplanned == {"narrow": {"derain": gone.note.iloc[0]}}


def test_the_report_says_it_in_words_and_shows_no_empty_line(asked: Experiment) -> None:
    store = run_experiment(asked, methods=KNOWING).store
    for name in ("report.md", "report.html"):
        assert LINE in (store.folder / name).read_text(encoding="utf-8")
    text = (store.folder / "report.md").read_text(encoding="utf-8")
    assert "What failed" not in text
    table = text.partition("## Metrics")[2].partition("### derain")[2].partition("\n\n### ")[0]
    assert "| shaker" in table
    assert "| narrow" not in table
    assert LINE in open_run(store.folder)._repr_html_()


def test_a_dry_run_and_a_plan_on_paper_count_what_is_planned(asked: Experiment) -> None:
    lines = list(dry_run(asked, KNOWING))
    assert LINE in lines
    assert "restore with narrow (narrow): denoise25 4" in lines
    assert any(line.startswith("in all 28 pictures to restore") for line in lines)
    paper = plan_on_paper(asked, AskedPaper(), KNOWING)
    assert paper.cells == 28
    assert paper.unplanned == (LINE,)


def test_a_method_without_any_of_the_tasks_stops_all_before_anything(asked: Experiment) -> None:
    only = asked.model_copy(update={"tasks": ("derain",)})
    told = r"'narrow': expected a task that it serves \(--tasks denoise15,denoise25,denoise50\)"
    for start in (
        lambda: run_experiment(only, methods=KNOWING),
        lambda: list(dry_run(only, KNOWING)),
        lambda: plan_on_paper(only, AskedPaper(), KNOWING),
    ):
        with pytest.raises(UsageError, match=told):
            start()
    assert not only.out.exists()


def test_the_run_is_finished_and_its_status_says_what_was_left_out(asked: Experiment) -> None:
    store = run_experiment(asked, methods=KNOWING).store
    status = status_of(open_store(store.folder))
    assert status.finished
    assert status.unplanned == (LINE,)
    assert ("narrow", "derain") not in {(part.method, part.task) for part in status.parts}
    assert LINE in CliRunner().invoke(status_command, [str(store.folder)]).output


def test_shards_are_the_serial_run_and_one_of_rain_alone_is_no_mistake(
    asked: Experiment, tmp_path: Path
) -> None:
    serial = run_experiment(asked, methods=KNOWING).store
    parts: list[Path] = []
    for part in (1, 2):
        changes = {"shard": f"{part}/2", "out": tmp_path / f"shard{part}"}
        made = run_experiment(asked.model_copy(update=changes), methods=KNOWING)
        parts.append(made.store.folder)
        assert not made.failures
    assert set(open_store(parts[1]).info.tasks) == {"derain"}
    merged = join(parts[::-1], tmp_path / "merged", session().weights)
    write_summary(merged, session(), lambda *_: None)
    for name in ("per_image.jsonl", "summary.csv", "summary.json"):
        mine, theirs = ((one.folder / name).read_bytes() for one in (merged, serial))
        assert mine == theirs, name
    assert merged.info.methods == serial.info.methods


def test_a_second_call_keeps_what_the_first_left_out(asked: Experiment) -> None:
    run_experiment(asked, methods=KNOWING)
    more = asked.model_copy(update={"tasks": ("denoise50",)})
    store = run_experiment(more, methods=KNOWING).store
    assert store.tasks("narrow") == ("denoise50", "denoise25")
    assert status_of(store).unplanned == (LINE,)


def test_a_run_that_recorded_it_as_failed_goes_on_without(asked: Experiment) -> None:
    before = run_experiment(asked, methods=UNKNOWING)
    assert {cell.task for cell in before.failures} == {"derain"}
    after = run_experiment(asked, methods=KNOWING)
    assert not after.failures
    fresh = run_experiment(asked.model_copy(update={"out": asked.out / "fresh"}), methods=KNOWING)
    for name in ("per_image.jsonl", "summary.csv"):
        mine, theirs = ((x.store.folder / name).read_bytes() for x in (after, fresh))
        assert mine == theirs, name


def test_numbers_of_what_is_no_longer_served_are_no_numbers_of_the_run(asked: Experiment) -> None:
    run_experiment(asked, methods=WHOLE)
    rows = run_experiment(asked, methods=KNOWING).store.frame()
    assert set(rows[rows.method == "narrow"].task) == {"denoise25"}


def test_a_run_of_before_reads_as_it_did(asked: Experiment) -> None:
    store = run_experiment(asked, methods=UNKNOWING).store
    path = store.folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for method in content["methods"].values():
        del method["unserved"]
    path.write_text(json.dumps(content), encoding="utf-8")
    old = open_store(store.folder)
    assert old.tasks("narrow") == ("denoise25", "derain")
    assert len(old.failures()) == 4


def test_arms_meet_on_the_tasks_that_both_serve(asked: Experiment) -> None:
    store = run_experiment(asked, methods=KNOWING).store
    made = contest({"": store}, Asked(every=True), Criteria(session()))
    assert {one.task for one in (*made.judged, *made.every)} == {"denoise25"}
    assert made.unplanned == (f"{LINE}: two are compared on tasks that both serve",)
    assert {one.arm for one in made.levels if one.task == "derain"} == {"shaker"}


def test_two_that_serve_no_task_together_are_told_so(asked: Experiment) -> None:
    experiment = asked.model_copy(update={"methods": ("narrow", "other")})
    store = run_experiment(experiment, methods=OF_RAIN).store
    with pytest.raises(UsageError, match="no adapter for derain in tiny"):
        contest({"": store}, Asked(), Criteria(session()))
    apart = strangers(store, ("narrow", "other"), None, tuple(store.info.tasks))
    assert len(apart) == 2
    assert strangers(store, ("narrow",), None, tuple(store.info.tasks)) == ()


def test_a_gate_fails_where_a_method_no_longer_serves_a_task(
    asked: Experiment, tmp_path: Path
) -> None:
    one = asked.model_copy(update={"methods": ("narrow",)})
    base = run_experiment(one, methods=WHOLE).store
    now = run_experiment(one.model_copy(update={"out": tmp_path / "now"}), methods=KNOWING).store
    made = contest(origins([base, now]), Asked(namesakes=True), Criteria(session()))
    bad = {one.part.task for one in check(made) if one.outcome == "no number"}
    assert bad == {"derain"}


def test_a_study_of_seeds_looks_at_what_was_planned(asked: Experiment) -> None:
    store = run_experiment(asked.model_copy(update={"seeds": (0, 1)}), methods=KNOWING).store
    found = {(row.method, row.task) for row in seed_rows(store, 4)}
    assert found == {("shaker", "denoise25"), ("shaker", "derain"), ("narrow", "denoise25")}


def test_a_published_run_is_verified(
    asked: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = run_experiment(asked, methods=KNOWING).store
    publish(store, tmp_path / "b", AskedBundle(False, DataLicences({})), {})
    assert main(["verify", str(tmp_path / "b"), "--offline"]) == 0, capsys.readouterr()
    assert "verdict: reproduced" in capsys.readouterr().out
    # Of a set metric too: there are no pictures that could be lacking.
    (draw,) = store.draws("narrow")
    assert _no_set(store, ("narrow", "derain", draw, "psnr:rgb"), {}) == ""
