"""Plans of several steps: on tools whose arithmetic is known, and by the command on pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import e2r_bench
from e2r_baselines.degrade import Pixels, Task
from e2r_baselines.estimators import levels
from e2r_baselines.method import DETERMINISTIC, Draw, Photo, Restored
from e2r_baselines.mixtures import MIXTURES, Step, made_task
from e2r_bench.cli import main
from e2r_bench.run.data import read_clean, read_depth
from e2r_bench.run.mini import mini
from e2r_bench.studies.plan_study import parse_tools
from e2r_bench.studies.planner import Toolbox, Tree, all_paths, blind_path, check_parts
from e2r_bench.studies.planner_rules import Ground, order_effects, policies, records
from e2r_metrics import CATALOG
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png

TOOLS = {"noise": ("halve", "keep"), "jpeg": ("add",)}


@dataclass
class Arithmetic:
    """A tool that multiplies and adds; counts its calls."""

    times: float = 1.0
    plus: float = 0.0
    calls: int = 0

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        self.calls += 1
        assert task.sigma is None  # nobody is told the strength
        for one in photos:
            yield Restored(one.id, draws[0], np.asarray(one.pixels * self.times + self.plus))


def box() -> Toolbox:
    made = {"halve": Arithmetic(times=0.5), "keep": Arithmetic(), "add": Arithmetic(plus=0.2)}
    return Toolbox(TOOLS, (), made, dict.fromkeys(made, DETERMINISTIC))


def grey(level: float) -> Pixels:
    return np.full((16, 16, 3), level, np.float32)


def ground(starts: Sequence[float], tools: Toolbox | None = None) -> Ground:
    tools = tools or box()
    trees = [Tree(f"p{k:02}", grey(level), tools) for k, level in enumerate(starts)]
    return Ground(
        MIXTURES["noise+jpeg"], trees, [tree.name for tree in trees],
        lambda tree, path: float(tree.at(path).mean() * 100), CATALOG["psnr:rgb"], 0.5,
    )  # fmt: skip


def test_every_order_with_every_tool_is_tried_once() -> None:
    tools = box()
    paths = all_paths(("noise", "jpeg"), TOOLS)
    assert len(paths) == len(set(paths)) == 2 * 2 * 1
    assert len(all_paths(("a", "b", "c"), dict.fromkeys("abc", ("x", "y")))) == 6 * 8
    tree = Tree("p", grey(0.4), tools)
    for path in paths:
        tree.at(path)
    # noise first: 2 tools, then add after each; jpeg first: add, then 2 tools: 2 + 2 + 1 + 2.
    assert sum(tool.calls for tool in tools.restorers.values()) == 7  # pyright: ignore[reportAttributeAccessIssue]
    assert len(tree.seconds) == 7
    assert tree.time_of(paths[0]) > 0


def test_gain_and_regret_are_those_of_the_arithmetic() -> None:
    here = ground([0.4, 0.4, 0.6])
    found = policies(here)
    by_name = {row["policy"]: row for row in records(here, found)}
    level = np.array([0.4, 0.4, 0.6])
    single = 100 * (level + 0.2).mean()
    assert by_name["one call: add for jpeg"]["mean"] == pytest.approx(single, abs=0.3)
    assert found[0].name == "one call: add for jpeg"
    # Undoing noise + jpeg in reverse is jpeg first: (x + .2) / 2.
    assert by_name["undo in reverse"]["mean"] == pytest.approx(
        100 * ((level + 0.2) / 2).mean(), abs=0.3
    )
    assert by_name["as they arose"]["mean"] == pytest.approx(
        100 * (level / 2 + 0.2).mean(), abs=0.3
    )
    # The oracle keeps: x + .2, as the single call does; chance is the mean over four paths.
    assert by_name["oracle"]["mean"] == pytest.approx(single, abs=0.3)
    assert by_name["oracle"]["regret"] == 0
    assert by_name["oracle"]["calls"] == 7
    chance = np.mean([(level + 0.2) / 2, level + 0.2, level / 2 + 0.2, level + 0.2])
    assert by_name["any order, any tool"]["mean"] == pytest.approx(100 * chance, abs=0.3)
    gain = by_name["as they arose"]["mean"] - by_name["one call: add for jpeg"]["mean"]
    assert by_name["as they arose"]["gain"] == pytest.approx(gain)
    assert by_name["as they arose"]["regret"] == pytest.approx(-gain, abs=0.3)


def test_the_effect_of_order_is_judged() -> None:
    levels_ = np.linspace(0.2, 0.6, 12)
    (effect,) = order_effects([ground(list(levels_))])
    # noise then jpeg: x / 2 + .2; jpeg then noise: (x + .2) / 2: ten points apart, everywhere.
    assert effect.effect == pytest.approx(10, abs=0.3)
    assert effect.label == "better"
    same = Toolbox(
        {"noise": ("keep",), "jpeg": ("keep",)}, (), {"keep": Arithmetic()},
        {"keep": DETERMINISTIC},
    )  # fmt: skip
    (none,) = order_effects([ground(list(levels_), same)])
    assert none.label == "equivalent"


def noisy(sigma: float) -> Pixels:
    clean = (read_clean(mini().sources[0]) / 255).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, sigma / 255, clean.shape)
    return (np.rint(np.clip(clean + noise, 0, 1) * 255) / 255).astype(np.float32)


class Clean(Arithmetic):
    """A tool that gives the clean picture back."""

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        del task
        for one in photos:
            yield Restored(one.id, draws[0], noisy(0))


def test_the_blind_planner_stops_where_nothing_shows_and_takes_a_bad_step_back() -> None:
    tools = {"noise": ("good",), "jpeg": ("good",)}
    made = {"good": Clean(), "bad": Arithmetic()}
    draws = dict.fromkeys(made, DETERMINISTIC)
    path, called = blind_path(Tree("p", noisy(30), Toolbox(tools, (), made, draws)), tools)
    assert path == (("noise", "good"),)
    assert called == [path]
    # A tool that changes nothing is taken back; the call is paid for.
    idle = {"noise": ("bad",)}
    path, called = blind_path(Tree("p", noisy(30), Toolbox(idle, (), made, draws)), idle)
    assert path == ()
    assert len(called) == 1
    path, called = blind_path(Tree("p", noisy(0), Toolbox(tools, (), made, draws)), tools)
    assert (path, called) == ((), [])


@pytest.mark.parametrize(
    ("name", "least"), [("noise", 38), ("jpeg", 34), ("haze", 34), ("rain", 15)]
)
def test_each_estimator_sees_its_own_degradation(name: str, least: int) -> None:
    """More often than not, on all crops, and seldom on clean ones: they are rules of thumb."""
    task = made_task("t", [Step(name)])
    assert task.degradation is not None
    seen = {True: 0, False: 0}
    for source in mini().sources:
        clean = (read_clean(source) / 255).astype(np.float32)
        bad = task.degradation(task, clean, read_depth(source), rng_for(0, source.id, "t"))
        for degraded, x in ((True, np.clip(bad, 0, 1)), (False, clean)):
            seen[degraded] += levels((np.rint(x * 255) / 255).astype(np.float32))[name] > 1
    assert seen[True] >= least, seen
    assert seen[False] <= 8, seen


def test_what_cannot_be_planned_is_one_line() -> None:
    with pytest.raises(UsageError, match="expected a mixture of 2 to 3"):
        check_parts(made_task("one", [Step("noise")]), TOOLS)
    with pytest.raises(UsageError, match=r"expected one for haze of haze\+noise; give haze=METHOD"):
        check_parts(MIXTURES["haze+noise"], TOOLS)
    with pytest.raises(UsageError, match="expected DEGRADATION=METHOD"):
        parse_tools(["noise"])
    assert parse_tools(["noise=a", "jpeg=b", "noise=c"]) == {"noise": ("a", "c"), "jpeg": ("b",)}


def test_one_command_plans_and_writes(tmp_path: Path) -> None:
    for k, source in enumerate(mini().sources[:11]):
        write_png(tmp_path / "data" / f"p{k:02}.png", read_clean(source)[:64, :64])
    call = ["study", "plan", "--tasks", "haze+noise", "--tools"]
    call += ["noise=nlm,noise=wavelet,haze=dcp,all=promptir", "--data", str(tmp_path / "data")]
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    rows = pd.read_csv(tmp_path / "out" / "results.csv").set_index("policy")
    assert rows.n.unique().tolist() == [11]
    assert rows.gain.iloc[0] == 0  # the best single call against itself
    assert "one call: promptir for haze+noise" in rows.index
    assert rows.loc["oracle", "mean"] >= rows.drop("oracle")["mean"].filter(like="undo").max()
    assert (rows.regret >= -5).all()
    page = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "haze then noise, against noise then haze" in page
    assert "promptir-nano" in page
    assert main([*call, "--metric", "fd_effnet", "--out", str(tmp_path / "out")]) == 2


def test_a_tool_without_an_adapter_for_its_degradation_is_refused_before_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["study", "plan", "--tasks", "haze+noise", "--out", str(tmp_path / "out"), "--tools"]
    assert main([*call, "haze=klein_lora,noise=nlm"]) == 2
    said = capsys.readouterr().err
    assert "expected one that undoes haze, found klein_lora: no adapter for dehaze in" in said
    assert main([*call, "haze=dcp,noise=nlm,all=klein_lora"]) == 2
    assert "found klein_lora: no adapter for haze+noise in" in capsys.readouterr().err


def test_one_picture_is_refused_before_any_plan_is_run(tmp_path: Path) -> None:
    settings = {"tasks": ["noise+jpeg"], "metrics": ["psnr"], "limit": 1, "device": "cpu",
                "out": str(tmp_path / "plan")}  # fmt: skip
    with pytest.raises(UsageError, match=r"noise\+jpeg: expected two pictures or more, found 1"):
        e2r_bench.study_plan(settings, {"noise": ["nlm"], "jpeg": ["wavelet"]})
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize("against", ["clean", "degraded"])
def test_a_metric_is_given_what_it_compares_with(tmp_path: Path, against: str) -> None:
    """Composites and programs may compare with the inputs: those of a flat picture are noisy."""
    seen, script = tmp_path / "seen", tmp_path / "see.sh"
    seen.mkdir()
    script.write_text(
        f'cp "$2/0001.png" "{seen}/$$.png"\n'
        'printf "image,value\\n0001,%d\\n" $(wc -c < "$1/0001.png") > "$3"\n'
    )
    for level in (100, 128):
        flat = np.full((48, 48, 3), level, np.uint8)
        write_png(tmp_path / "data" / f"flat{level}.png", flat)
    line = f"command:name=size better=lower margin=9 against={against} sh {script}"
    settings = {
        "tasks": ["noise+jpeg"], "metrics": [line], "data": [str(tmp_path / "data")],
        "device": "cpu", "out": str(tmp_path / "plan"),
    }  # fmt: skip
    assert e2r_bench.study_plan(settings, {"noise": ["nlm"], "jpeg": ["wavelet"]}).rows
    spread = {float(read_image(path).std()) > 0 for path in seen.iterdir()}
    assert spread == {against == "degraded"}
