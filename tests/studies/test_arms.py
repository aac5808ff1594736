"""Arms: run once, options where a method has them, failures where they belong, training data."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.controls import CLEAN, DEGRADED
from e2r_baselines.method import Build, Draw, Method, MethodSpec, NoOptions, Photo, Restored, fixed
from e2r_baselines.tasks import Task
from e2r_bench.arms.claims import Arm, Claim, Claims, Training, load_claims
from e2r_bench.arms.judge import Reading, judge_claims
from e2r_bench.arms.parts import record_of
from e2r_bench.arms.power import Known, known_spreads
from e2r_bench.arms.running import ArmRunner, wrong_prompt
from e2r_bench.arms.study import ArmStudy
from e2r_bench.arms.tables import read_tables
from e2r_bench.arms.train_data import PAINTED, TrainData, train_data
from e2r_bench.arms.training import ArmTraining, is_trained, plan_training
from e2r_bench.cli import main
from e2r_bench.run.config import Experiment
from e2r_bench.statistics.margins import Margin
from e2r_bench.statistics.power import Spread
from e2r_bench.studies.sides import Criteria
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import write_png

TASK = "denoise25"


@dataclass(frozen=True)
class Shade:
    """Returns its input, darker by a share; refuses pictures by name."""

    share: float
    refuses: frozenset[str] = frozenset()

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        for photo in photos:
            if photo.id in self.refuses:
                raise PictureError(f"{photo.id}: planted")
            for draw in draws:
                yield Restored(photo.id, draw, photo.pixels * np.float32(1 - self.share))


@dataclass(frozen=True)
class EditorOptions:
    """As the editors have them."""

    backbone: str = "auto"
    adapter: Path | None = None


def _spec(name: str, shade: Shade, files: tuple[str, ...] = ()) -> MethodSpec:
    return MethodSpec(
        name=name, title=name, source="tests", licence="none", builds=(Build(name, files),),
        tasks=frozenset({"denoise"}), open=partial(_open, shade),
    )  # fmt: skip


def _open(shade: Shade, build: Build, files: Mapping[str, Path], compute: object) -> Shade:
    return shade


SEEN: list[EditorOptions] = []


def _edit(options: EditorOptions) -> MethodSpec:
    SEEN.append(options)
    return _spec("kontext_lora", Shade(0.1))


@pytest.fixture
def catalog() -> dict[str, Method]:
    SEEN.clear()
    rows = [
        *map(fixed, (DEGRADED, CLEAN)),
        fixed(_spec("dark", Shade(0.2))),
        fixed(_spec("darker", Shade(0.4))),
        fixed(_spec("refuser", Shade(0.2, frozenset({"photo03"})))),
        fixed(_spec("weightless", Shade(0.2), ("moce-ir",))),
        Method("kontext_lora", EditorOptions, _edit),
    ]
    return {row.name: row for row in rows}


@pytest.fixture
def base(tmp_path: Path) -> Experiment:
    for k in range(12):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 16, 3))
        write_png(tmp_path / "data" / f"photo{k:02}.png", pixels.astype(np.uint8))
    return Experiment(
        methods=("dark",), tasks=(TASK,), data=(str(tmp_path / "data"),), metrics=("psnr",),
        device="cpu", offline=True, out=tmp_path / "out",
    )  # fmt: skip


def training(**changes: object) -> ArmTraining:
    from e2r_adapters.train.profiles import PROFILES

    made = ArmTraining("kontext-nano", TrainData(("denoise",), {}), PROFILES["nano"], "cpu")
    return replace(made, **changes)


@pytest.fixture
def runner(base: Experiment, catalog: dict[str, Method]) -> ArmRunner:
    return ArmRunner(base, training(), lambda line: None, catalog=catalog)


def test_an_arm_whose_weights_are_missing_stops_no_other(runner: ArmRunner) -> None:
    """C5 needs InstructIR; C1 does not, and shares a folder with the rest of C5."""
    names = ("dark", "darker", "weightless")
    planned = {name: Arm(method=name) for name in names}
    runner = runner.planning(list(planned.values()))
    for _ in range(2):
        with pytest.raises(UsageError, match="'weightless' cannot run"):
            runner.arm(planned["weightless"], TASK)
        for name in ("dark", "darker"):
            assert len(runner.arm(planned[name], TASK).values(TASK, "psnr:rgb")) == 12
    assert sorted(path.name for path in (runner.base.out / "runs").iterdir()) == ["dark", "darker"]


def test_each_arm_gets_the_backbone_that_was_resolved_and_no_option_it_has_not(
    runner: ArmRunner,
) -> None:
    runner.arm(Arm(method="kontext_lora"), TASK)
    assert SEEN
    assert {options.backbone for options in SEEN} == {"kontext-nano"}
    SEEN.clear()
    runner.arm(Arm(method="dark"), TASK)
    assert SEEN == []


def test_a_picture_that_failed_strikes_the_parts_that_need_it_and_no_others(
    runner: ArmRunner,
) -> None:
    names = ("dark", "darker", "refuser")
    study = ArmStudy(runner, _criteria(runner))
    parts = study.parts(
        {name: Arm(method=name) for name in names}, [("dark", "darker"), ("refuser", "darker")]
    )
    assert [part.verdict.label for part in parts] == ["better", "not measured"]
    assert (
        "unequal n between arms, 11 images of refuser and 12 of darker"
        in (parts[1].verdict.notes[0])
    )
    assert [str(cell) for cell in runner.failures] == [f"refuser on {TASK}/photo03"]


def _criteria(runner: ArmRunner) -> Criteria:
    from e2r_bench.run.services import open_services

    return Criteria(open_services(runner.base, print)[1])


def _claims(**changes: object) -> Claims:
    known = load_claims("edit2restore")
    names = ("dark", "darker", "weightless", "kontext_lora")
    arms = {name: Arm(method=name) for name in names}
    claim = Claim(
        id="X", statement="x", kind="better", first="dark", second=("darker",), published=(),
        metrics=("psnr",),
    )  # fmt: skip
    return known.model_copy(update={"arms": arms, "claims": (claim.model_copy(update=changes),)})


def _told(claims: Claims, runner: ArmRunner, **more: object) -> list[str]:
    reading = Reading(runner, _criteria(runner), **more)
    return list(judge_claims(claims, read_tables(claims), reading))


def test_studies_and_claims_label_the_same_data_alike(runner: ArmRunner) -> None:
    study = ArmStudy(runner, _criteria(runner))
    arms = {name: Arm(method=name) for name in ("dark", "darker")}
    (part,) = study.parts(arms, [("dark", "darker")])
    _told(_claims(), runner)
    out = runner.base.out / "studies" / "claims"
    (row,) = json.loads((out / "results.json").read_text())
    ours = json.loads(json.dumps(record_of(part)))
    assert {key: row[key] for key in ours} == ours
    fixed = json.loads((out / "margins.json").read_text())
    assert row["margins_sha256"] == fixed["sha256"]
    assert fixed["margins"]["psnr"]["value"] == 0.5


def test_a_claim_and_its_opposite_in_one_file(runner: ArmRunner) -> None:
    made = _claims()
    (ours,) = made.claims
    opposite = ours.model_copy(update={"id": "Y", "first": "darker", "second": ("dark",)})
    lines = _told(made.model_copy(update={"claims": (ours, opposite)}), runner)
    said = [line.partition("this run: ")[2] for line in lines if "this run: " in line]
    assert said[0].startswith("supported; better in every part")
    assert said[1].startswith("refuted; worse in denoise25 psnr:rgb: darker against dark")
    assert any("0.1 wrong decisions are expected" in line for line in lines)


def test_margins_of_the_file_replace_our_own(runner: ArmRunner) -> None:
    _told(_claims(), runner)
    criteria = replace(_criteria(runner), margins={"psnr": Margin("psnr", 30.0, "dB", "tests")})
    made = _claims()
    lines = list(judge_claims(made, read_tables(made), Reading(runner, criteria)))
    assert "    other margins than those of the earlier verdicts in " in "\n".join(lines)
    assert any("better in every part, by less than the margin in 1 of 1" in row for row in lines)


def test_what_cannot_be_judged_is_said_before_anything_runs(runner: ArmRunner) -> None:
    small = replace(runner, base=runner.base.model_copy(update={"limit": 5}))
    made = _claims(second=("darker", "weightless"), metrics=("psnr", "lpips"))
    (ours,) = made.claims
    both = (ours, ours.model_copy(update={"id": "Y"}))
    lines = _told(made.model_copy(update={"claims": both}), small)
    block = lines[: next(k for k, line in enumerate(lines) if line.startswith("margins"))]
    assert block[0] == "before the run, what cannot be judged:"
    assert "denoise25 5 scenes: no verdict of any kind below 10" in block[1]
    assert "X, Y: lpips is not asked for; give --metrics lpips" in block[2]
    assert "X, Y: method 'weightless' cannot run" in block[3]
    assert len(block) == 4


def test_a_claim_that_nothing_here_can_measure_is_not_run(runner: ArmRunner) -> None:
    asked = runner.base.model_copy(update={"metrics": ("psnr", "clip_iqa")})
    lines = _told(_claims(metrics=("clip_iqa",)), replace(runner, base=asked))
    assert any("this run: not measured" in line for line in lines)
    assert not (runner.base.out / "runs").exists()


def test_a_metric_that_no_claim_uses_is_named_before_the_run(runner: ArmRunner) -> None:
    asked = replace(runner, base=runner.base.model_copy(update={"metrics": ("psnr:rgb", "l1")}))
    lines = _told(_claims(), asked)
    said = [k for k, line in enumerate(lines) if "no claim here uses it" in line]
    assert [lines[k] for k in said] == ["measured, though no claim here uses it: l1"]
    assert lines[said[0] + 1].startswith("margins, fixed before the run")
    assert not any("no claim here" in line for line in _told(_claims(), runner))


def test_metrics_that_no_claim_uses_at_all_are_refused(runner: ArmRunner) -> None:
    asked = replace(runner, base=runner.base.model_copy(update={"metrics": ("l1", "gmsd")}))
    with pytest.raises(UsageError, match=r"--metrics: expected some of psnr, .* found l1, gmsd"):
        _told(_claims(), asked)
    assert not (runner.base.out / "runs").exists()


def test_power_is_told_before_and_after(runner: ArmRunner) -> None:
    stated = Known({"psnr": Spread(0.6)}, "stated")
    lines = "\n".join(_told(_claims(), runner, known=stated))
    before, _, after = lines.partition("X  x")
    assert "psnr: spread 0.6 between scenes; a difference of +0.5: 14 scenes" in before
    assert "the spread between trainings is not known, and not counted" in before
    assert "cost: 0 trainings, 2 restorations" in before
    assert "denoise25 psnr:rgb: dark against darker: finds" in after
    again = known_spreads({}, runner.base.out / "studies" / "claims" / "results.json")
    assert again.spreads["psnr"].scene > 0
    assert "measured earlier" in again.source
    assumed = "\n".join(_told(_claims(), runner, known=Known({}, "")))
    assert "none known; assumed, give --spread" in assumed
    assert "were the spread 0.5: a difference of +0.5: 10 scenes" in assumed


def test_all_claims_of_a_file_state_their_number(runner: ArmRunner) -> None:
    assert any(line.startswith("1 claim judged, each wrong") for line in _told(_claims(), runner))


def test_prompts_have_runs_of_their_own(runner: ArmRunner) -> None:
    from e2r_baselines.tasks import TASKS

    for prompt in ("right", "wrong", "empty"):
        store = runner.arm(Arm(method="kontext_lora", prompt=prompt), TASK).store
        asked = store.info.tasks[TASK].prompt
        wanted = {"right": TASKS[TASK].prompt, "wrong": wrong_prompt(TASKS[TASK]), "empty": ""}
        assert asked == wanted[prompt]


# What arms are trained on


def test_a_miniature_is_trained_on_painted_pairs_and_says_so() -> None:
    data = train_data(None, (TASK, "derain"), True, "kontext-nano")
    assert data == TrainData(("denoise", "derain"), {})
    assert data.words() == "painted pairs (dead leaves)"


def test_painted_pairs_for_a_full_size_backbone_only_by_name() -> None:
    with pytest.raises(UsageError, match="expected --train-data denoise=DIR,derain=DIR"):
        train_data(None, (TASK,), False, "FLUX")
    data = train_data({"": "painted"}, (TASK, "derain"), False, "FLUX")
    assert data.folders == {"denoise": PAINTED, "derain": PAINTED}
    assert data.words() == "painted pairs (dead leaves)"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"denoise": "{here}"}, "found none for derain; give derain=DIR, or derain=painted"),
        ({"denoise": "{here}", "derain": "{here}/gone"}, "expected a folder, found no such one"),
        ({"denoise": "{here}", "derian": "{here}"}, "did you mean 'derain'"),
        ({"denoise": "{here}", "derain": "{here}", "dehaze": "{here}"}, "'dehaze'"),
    ],
)
def test_training_data_is_checked_before_anything_is_trained(
    tmp_path: Path, given: dict[str, str], said: str
) -> None:
    filled = {kind: where.replace("{here}", str(tmp_path)) for kind, where in given.items()}
    with pytest.raises(UsageError, match=said):
        train_data(filled, (TASK, "derain"), True, "kontext-nano")


def test_every_kind_is_named_with_what_it_is_trained_on(tmp_path: Path) -> None:
    (tmp_path / "Rain100L" / "train").mkdir(parents=True)
    given = {"derain": str(tmp_path / "Rain100L" / "train"), "denoise": "painted"}
    data = train_data(given, (TASK, "derain"), False, "FLUX")
    assert data.words() == "denoise: painted pairs (dead leaves), derain: Rain100L/train"


def test_a_method_without_options_is_as_good_as_any(catalog: dict[str, Method]) -> None:
    assert catalog["dark"].options is NoOptions


def test_auto_is_resolved_once_for_training_and_running(
    base: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that holds the full model, arms were trained on the miniature and run on it."""
    from e2r_adapters.editors import FULL, backbones
    from e2r_adapters.editors.backbones import RELEASES

    nf4 = RELEASES[FULL].needed["nf4"]
    monkeypatch.setattr(backbones, "_cached", lambda name: True)
    monkeypatch.setattr(backbones, "_fits_cuda", lambda needed: needed == nf4)
    assert plan_training("auto", None, base, 1).backbone == "kontext-nano"
    fits = base.model_copy(update={"method": {"quantize": "nf4"}})
    with pytest.raises(UsageError, match="arms on black-forest-labs/FLUX"):
        plan_training("auto", None, fits, 1)
    made = plan_training("auto", {"": "painted"}, fits, 1)
    config = made.config(Training(pairs=16), ("denoise",), Path("x"))
    assert config.backbone == made.backbone == FULL
    assert config.profile.name == "g1+epochs=1"
    assert config.data == {"denoise": PAINTED}


def test_no_arm_is_trained_on_a_picture_that_it_is_judged_on(
    tmp_path: Path, base: Experiment
) -> None:
    one = _small(tmp_path, test=(tmp_path / "rain",))
    with pytest.raises(UsageError, match="training pictures also stand in the test set"):
        one.train(Training(pairs=16), tmp_path / "adapters", print)
    planned = plan_training("kontext-nano", None, base, 1)
    assert planned.test == (tmp_path / "data",)


# Adapters that are there already


def _small(tmp_path: Path, **changes: object) -> ArmTraining:
    from e2r_adapters.train.profiles import PROFILES, with_changes

    folder = tmp_path / "rain"
    for k in range(16):
        pixels = np.random.default_rng(k).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        write_png(folder / "clean" / f"{k:02}.png", pixels)
        write_png(folder / "degraded" / f"{k:02}.png", pixels // 2)
    profile = replace(with_changes(PROFILES["nano"], epochs=1, resolution=16), exposure=16)
    data = TrainData(("derain",), {"derain": folder})
    return training(data=data, profile=profile, **changes)


def test_an_adapter_is_used_again_only_if_it_was_trained_just_so(tmp_path: Path) -> None:
    """By its file name alone an adapter of one epoch once answered for one of sixty."""
    asked, home, said = Training(pairs=16), tmp_path / "adapters", list[str]()
    one = _small(tmp_path)
    folder = one.train(asked, home, said.append)
    assert is_trained(one.config(asked, ("derain",), folder))
    assert one.train(asked, home, said.append) == folder
    assert sum(line.startswith("train ") for line in said) == 1
    slower = replace(one, profile=replace(one.profile, learning_rate=1e-5))
    longer = replace(one, profile=replace(one.profile, epochs=2))
    for other in (slower, longer):
        assert other.folder_name(asked) != folder.name
        assert not is_trained(other.config(asked, ("derain",), folder))
    for changed in (Training(pairs=8), Training(pairs=16, seed=43)):
        assert one.folder_name(changed) != folder.name
        assert not is_trained(one.config(changed, ("derain",), folder))
    write_png(tmp_path / "rain" / "degraded" / "03.png", np.zeros((32, 32, 3), np.uint8))
    assert one.folder_name(asked) != folder.name
    shutil.copytree(folder, home / longer.folder_name(asked))
    with pytest.raises(UsageError, match="holds a training with"):
        longer.train(asked, home, print)


# Arms on several machines


def _shard(runner: ArmRunner, claims: Claims, folder: Path, part: int, of: int) -> Path:
    from e2r_bench.arms.judge import share_claims
    from e2r_bench.run.shards import Shard

    out = folder / f"shard-{part}"
    here = replace(runner, base=runner.base.model_copy(update={"out": out}))
    lines = list(share_claims(claims, Reading(here, _criteria(here)), Shard(part, of)))
    assert f"shard {part}/{of}: 1 of {of} adapters and methods are made: " in lines[-1]
    assert not any("this run" in line for line in lines)
    return out


def test_arms_that_shards_made_are_judged_as_if_one_machine_had_made_them(
    runner: ArmRunner, tmp_path: Path
) -> None:
    from e2r_bench.arms.sharing import are_arms, join_arms

    claims, out = _claims(), tmp_path / "merged"
    shards = [_shard(runner, claims, tmp_path, part, 2) for part in (1, 2)]
    assert [sorted(p.name for p in (s / "runs").iterdir()) for s in shards] == [
        ["dark"], ["darker"],
    ]  # fmt: skip
    assert all(map(are_arms, shards))
    for _ in range(2):  # and again, as after a crash
        (line,) = join_arms([shards[1], shards[0]], out)
        assert line.endswith("2 adapters and runs of 2 shards")
    made = {path: path.stat().st_mtime_ns for path in out.rglob("images/**/*.png")}
    assert made
    merged = replace(runner, base=runner.base.model_copy(update={"out": out}))
    _told(claims, merged)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    _told(claims, runner)
    alone, together = (
        (folder / "studies" / "claims" / "results.csv").read_bytes()
        for folder in (runner.base.out, out)
    )
    assert alone == together


def test_shards_with_another_content_under_one_name_are_refused(
    runner: ArmRunner, tmp_path: Path
) -> None:
    from e2r_bench.arms.sharing import join_arms

    one = _shard(runner, _claims(), tmp_path, 1, 2)
    two = tmp_path / "again"
    shutil.copytree(one, two)
    list(join_arms([one, two], tmp_path / "same"))
    picture = next((two / "runs").rglob("images/**/*.png"))
    write_png(picture, np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(UsageError, match=rf"the same content .* with another .*{picture.name}"):
        list(join_arms([one, two], tmp_path / "merged"))


def test_more_shards_than_arms_are_refused(runner: ArmRunner) -> None:
    from e2r_bench.arms.judge import share_claims
    from e2r_bench.run.shards import Shard

    reading = Reading(runner, _criteria(runner))
    with pytest.raises(UsageError, match="expected at most 2 shards, one an adapter or method"):
        list(share_claims(_claims(), reading, Shard(1, 3)))


def test_an_arm_that_is_still_to_be_trained_serves_what_it_is_trained_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # kontext-nano's own adapters do not undo JPEG.
    call = ["study", "pairs", "--dry-run", "--tasks", "dejpeg", "--backbone", "kontext-nano"]
    assert main([*call, "--pairs", "16,32", "--limit", "3", "--out", str(tmp_path / "out")]) == 0
    assert "restore with kontext_lora: dejpeg 3" in capsys.readouterr().out
