"""Claims as data, the reading of tables against the paper's numbers, verdicts on planted runs."""

from dataclasses import replace

import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.arms.claims import Claim, Training, load_claims
from e2r_bench.arms.prompts import prompted_arms
from e2r_bench.arms.repeats import Repeats
from e2r_bench.arms.tables import read_tables
from e2r_bench.arms.verdicts import Conditions, judge_claim
from e2r_bench.cli import main
from e2r_bench.statistics.margins import GAP, Margin
from e2r_bench.store.cell import Cell
from e2r_bench.studies.compare import compare
from e2r_bench.studies.measure import MeasuredArm
from e2r_bench.studies.sides import Criteria, Side
from e2r_metrics.base.errors import UsageError

CLAIMS = load_claims("edit2restore")
READINGS = {reading.claim: reading for reading in read_tables(CLAIMS)}
TASK = "denoise25"


def test_all_nine_claims_ship():
    assert [claim.id for claim in CLAIMS.claims] == [f"C{k}" for k in range(1, 10)]


def test_c1_by_the_table():
    assert "denoise15 -0.82" in READINGS["C1"].detail
    assert "clip_iqa dehaze -0.13" in READINGS["C1"].detail
    # Once "refuted" by clip_iqa dehaze alone, a difference within its rounding of what n resolves.
    assert READINGS["C1"].verdict == "not resolved"
    assert "against it" not in READINGS["C1"].counts


def test_c2_to_c4_by_the_table():
    assert READINGS["C2"].counts.startswith("fid 3/5 (sign p 1.000); cmmd 5/5 (sign p 0.062)")
    for gap in ("dehaze -0.39", "derain +0.53", "denoise15 -1.07", "denoise25 -0.55"):
        assert gap in READINGS["C3"].detail
    assert "fid denoise50 +1.75" in READINGS["C3"].detail
    assert "fid denoise50 +2.78" in READINGS["C4"].detail
    assert "first better in 2" in READINGS["C4"].counts.split(";")[0]
    assert "first better in 4" in READINGS["C4"].counts.split(";")[1]


def test_c6_and_c8_by_the_table():
    for value in ("+0.30", "-0.32", "-0.73", "-0.44"):
        assert value in READINGS["C6"].detail
    for spread in ("0.94", "1.00", "1.16", "1.35", "1.91"):
        assert f"spread {spread}" in READINGS["C8"].detail


def test_claims_without_a_table_say_so():
    without = {key for key, reading in READINGS.items() if reading.verdict == "no table published"}
    assert without == {"C5", "C7", "C9"}


def test_a_claim_about_no_column_has_no_table():
    claims = tuple(c.model_copy(update={"metrics": ("psnr", "lpips")}) for c in CLAIMS.claims)
    found = read_tables(CLAIMS.model_copy(update={"claims": claims}))
    assert {reading.verdict for reading in found} == {"no table published"}


def test_shards_of_tables_are_refused(capsys):
    assert main(["claims", "--table-only", "--shard", "1/2"]) == 2
    assert "--shard: expected arms to run, found --table-only" in capsys.readouterr().err


def test_table_only_prints_every_claim(capsys):
    assert main(["claims", "--table-only"]) == 0
    said = capsys.readouterr().out
    assert all(f"{claim.id}  {claim.statement}" in said for claim in CLAIMS.claims)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('first = "te_128"', 'first = "te_182"'), "did you mean 'te_128'"),
        (('kind = "better"', 'kind = "bettr"'), "claims.0.kind"),
        (("[paper]", "[papr]"), "paper"),
        (("dehaze = [24.15, 0.41, 0.72]", "dehaze = [24.15, 0.41]"), "expected 3 values"),
        (('id = "C1"', "id = "), "expected TOML"),
        (("dehaze = [24.15, 0.41, 0.72]", "dehaze = [nan, 0.41, 0.72]"), "finite number"),
        (("[paper]", '[margins.psnr]\nvalue = nan\nunit = "dB"\nreason = "x"\n[paper]'), "finite"),
        (("[paper]", '[margins.psnr]\nvalue = inf\nunit = "dB"\nreason = "x"\n[paper]'), "finite"),
        (("[paper]", '[margins.psnr]\nvalue = 0\nunit = "dB"\nreason = "x"\n[paper]'), "greater"),
        (("[paper]", '[margins.psnr]\nvalue = 1\nunit = "%"\nreason = "x"\n[paper]'), "'dB'"),
        (("[paper]", '[margins.psnr]\nvalue = 1\nunit = "dB"\n[paper]'), "margins.psnr.reason"),
        (("[paper]", '[margins.psrn]\nvalue = 1\nunit = "dB"\nreason = "x"\n[paper]'), "'psnr'"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, change, said):
    from importlib.resources import files

    text = files("e2r_bench.arms").joinpath("data", "edit2restore.toml").read_text("utf-8")
    path = tmp_path / "claims.toml"
    path.write_text(text.replace(*change, 1))
    with pytest.raises(UsageError, match=said):
        load_claims(str(path))


def test_an_unknown_claim_names_the_nearest(capsys):
    assert main(["claims", "--table-only", "--only", "C10"]) == 2
    assert "unknown claim 'C10'" in capsys.readouterr().err


def _psnr(n: int, level: float, seed: int = 0, noise: float = 0.4) -> list[float]:
    return (level + np.random.default_rng(seed).normal(0, noise, n)).tolist()


def _claim(kind: str, metrics: tuple[str, ...] = ("psnr",), first="one", second=("two",)) -> Claim:
    return Claim(
        id="X", statement="x", kind=kind, first=first, second=second, published=(),
        metrics=metrics,
    )  # fmt: skip


def _ruled(run_maker, tmp_path, session, claim, levels=(30.0, 28.0), n=24, noise=0.4, **more):
    values = {
        ("one", 0, 28): _psnr(n, levels[0], 1, noise),
        ("two", 0, 28): _psnr(n, levels[1], 2, noise),
    }
    run = run_maker(tmp_path / "run", values, **more)
    return _rule(run, claim, session)


def _side(run, name, trainings=(0,), seeds=(0,)) -> Side:
    """An arm whose training k is kept as a method called name-k, where there are several."""
    names = [name] if len(trainings) == 1 else [f"{name}-{k}" for k in trainings]
    arms = tuple(tuple(MeasuredArm(run, one, Draw(seed, 28)) for seed in seeds) for one in names)
    return Side(name, arms, len(trainings) > 1)


def _rule(run, claim, session, margins=None, **repeated):
    criteria = Criteria(session, permutations=999, margins=margins or {})
    under = Conditions((TASK,), criteria, "painted pairs")
    return judge_claim(CLAIMS, claim, lambda name, _: _side(run, name, **repeated), under)


@pytest.mark.parametrize("metric", ["psnr", "fd_effnet"])
@pytest.mark.parametrize(
    ("levels", "verdict"),
    [((32.0, 28.0), "supported"), ((28.0, 32.0), "refuted"), ((29.95, 30.0), "not resolved")],
)
def test_planted_better(run_maker, tmp_path, pixel_session, metric, levels, verdict):
    judged = _ruled(run_maker, tmp_path, pixel_session, _claim("better", (metric,)), levels)
    assert judged.ruling.decision == verdict
    assert judged.records[0]["n"] == 24


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [((30.0, 30.0), "supported"), ((30.0, 28.0), "refuted"), ((30.0, 29.5), "not resolved")],
)
def test_planted_equivalence(run_maker, tmp_path, pixel_session, levels, verdict):
    judged = _ruled(run_maker, tmp_path, pixel_session, _claim("equivalent"), levels)
    assert judged.ruling.decision == verdict


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_real_gain_below_the_margin_is_not_refuted(run_maker, tmp_path, pixel_session, seed):
    """The rules before these called each of these "refuted", and the opposite "supported"."""
    values = {
        ("one", 0, 28): _psnr(12, 30.3, 2 * seed + 1),
        ("two", 0, 28): _psnr(12, 30.0, 2 * seed + 2),
    }
    run = run_maker(tmp_path, values)
    ours = _rule(run, _claim("better"), pixel_session).ruling.decision
    opposite = _rule(run, _claim("trend", first="two", second=("one",)), pixel_session)
    assert (ours, opposite.ruling.decision) == ("not resolved", "not resolved")


def test_a_gain_below_the_margin_is_called_what_it_is(run_maker, tmp_path, pixel_session):
    ours = _ruled(run_maker, tmp_path, pixel_session, _claim("better"), (30.3, 30.0), noise=0.05)
    assert ours.line.startswith("supported; better in every part, by less than the margin in 1")
    assert ours.records[0]["verdict"] == "better by less than the margin"


@pytest.mark.parametrize("metric", ["psnr", "fd_effnet"])
@pytest.mark.parametrize("gap", [-2.0, -0.3, 0.0, 0.3, 2.0])
@pytest.mark.parametrize("noise", [0.05, 0.4])
def test_a_claim_and_its_opposite_never_both_hold(
    run_maker, tmp_path, pixel_session, metric, gap, noise
):
    values = {
        ("one", 0, 28): _psnr(20, 30 + gap, 1, noise),
        ("two", 0, 28): _psnr(20, 30, 2, noise),
    }
    run = run_maker(tmp_path, values)

    def decision(kind: str, first: str, second: str) -> str:
        claim = _claim(kind, (metric,), first, (second,))
        return _rule(run, claim, pixel_session).ruling.decision

    found = [decision("better", "one", "two"), decision("better", "two", "one"),
             decision("trend", "two", "one")]  # fmt: skip
    assert found[:2] != ["supported", "supported"]
    turned = {"supported": "refuted", "refuted": "supported"}
    # "one brings no gain over two" is the opposite of "one beats two".
    assert found[2] == turned.get(found[0], found[0])
    if gap:
        assert found[1] == turned[found[0]] or noise == 0.4


def test_a_miniature_is_named_in_the_verdicts_own_line(run_maker, tmp_path, pixel_session):
    small = _ruled(run_maker, tmp_path / "a", pixel_session, _claim("better"))
    assert "on the miniature kontext-nano, not FLUX.1-Kontext-dev" in small.line
    full = _ruled(run_maker, tmp_path / "b", pixel_session, _claim("better"), miniature=False)
    assert "miniature" not in full.line


def test_a_proxy_keeps_its_own_name(run_maker, tmp_path, pixel_session):
    judged = _ruled(run_maker, tmp_path, pixel_session, _claim("better", ("fid",)))
    assert [(row["metric"], row["verdict"]) for row in judged.records] == [
        ("fid", "not measured"), ("fd_effnet", "better by less than the margin"),
    ]  # fmt: skip
    assert "not fid" in judged.records[1]["note"]
    assert "judged by fd_effnet, a proxy under its own name, not fid" in judged.line


def test_nothing_measured_is_no_verdict(run_maker, tmp_path, pixel_session):
    judged = _ruled(run_maker, tmp_path, pixel_session, _claim("better", ("clip_iqa",)))
    assert judged.ruling.decision == "not measured"
    assert judged.records[0]["p"] is None
    assert "clip_iqa was not asked for" in judged.line


@pytest.mark.parametrize("kind", ["better", "equivalent", "trend"])
def test_five_photographs_settle_nothing_and_it_says_why(run_maker, tmp_path, pixel_session, kind):
    scenes = [f"s{k % 5}" for k in range(25)]
    judged = _ruled(
        run_maker, tmp_path, pixel_session, _claim(kind), (30.0, 30.0), 25, 1e-6, scenes=scenes
    )
    assert judged.ruling.decision == "not resolved"
    assert "(5 scenes): no verdict of any kind below 10 scenes" in judged.line


def test_holm_over_the_parts(run_maker, tmp_path, pixel_session):
    judged = _ruled(run_maker, tmp_path, pixel_session, _claim("better", ("psnr", "fd_effnet")))
    assert all(row["holm"] == pytest.approx(2 * row["p"]) for row in judged.records)


def test_a_trend_is_refuted_only_by_gains_at_every_step(run_maker, tmp_path, pixel_session):
    values = {
        (name, 0, 28): _psnr(24, level, k)
        for k, (name, level) in enumerate((("a", 28.0), ("bb", 30.0), ("ccc", 32.0)))
    }
    run = run_maker(tmp_path, values)
    claim = _claim("trend", first="a", second=("bb", "ccc"))
    assert _rule(run, claim, pixel_session).ruling.decision == "refuted"
    backward = _claim("trend", first="ccc", second=("bb", "a"))
    assert _rule(run, backward, pixel_session).ruling.decision == "supported"


def _trained(run_maker, tmp_path, shifts, seeds=(0,)):
    values = {
        (f"{name}-{k}", seed, 28): _psnr(24, 30 + up * shift, 7 * k + seed, 0.1 * (1 + up))
        for up, name in enumerate(("two", "one")) for k, shift in enumerate(shifts)
        for seed in seeds
    }  # fmt: skip
    return run_maker(tmp_path, values)


@pytest.mark.parametrize("metric", ["psnr", "fd_effnet"])
def test_the_spread_between_trainings_enters_the_verdict(
    run_maker, tmp_path, pixel_session, metric
):
    run = _trained(run_maker, tmp_path, (2.0, -0.5, 1.5))
    claim = _claim("better", (metric,))
    recipes = _rule(run, claim, pixel_session, trainings=(0, 1, 2))
    assert recipes.ruling.decision == "not resolved"
    assert "said of the recipes" in recipes.line
    assert len(recipes.records[0]["by_training"]) == 3
    one = _claim("better", (metric,), "one-0", ("two-0",))
    assert _rule(run, one, pixel_session).ruling.decision == "supported"
    under = Conditions((TASK,), Criteria(pixel_session), "painted pairs")

    def trained_once(name: str, _: str) -> Side:
        return replace(_side(run, name), trained=True)

    alone = judge_claim(CLAIMS, one, trained_once, under)
    assert "said of these two adapters" in alone.line


@pytest.mark.parametrize("metric", ["psnr", "fd_effnet"])
def test_trainings_and_seeds_are_crossed(run_maker, tmp_path, pixel_session, metric):
    run = _trained(run_maker, tmp_path, (2.0, 2.1, 1.9), (0, 1))
    claim = _claim("better", (metric,))
    judged = _rule(run, claim, pixel_session, trainings=(0, 1, 2), seeds=(0, 1))
    assert judged.ruling.decision == "supported"
    assert (judged.records[0]["trainings"], judged.records[0]["seeds"]) == (3, 2)


@pytest.mark.parametrize("metric", ["psnr", "fd_effnet"])
@pytest.mark.parametrize("trainings", [(0,), (0, 1)])
def test_identical_arms_are_equivalent(run_maker, tmp_path, pixel_session, metric, trainings):
    run = _trained(run_maker, tmp_path, (0.0, 0.0))
    name = "one-0" if trainings == (0,) else "one"
    claim = _claim("equivalent", (metric,), name, (name,))
    judged = _rule(run, claim, pixel_session, trainings=trainings)
    assert judged.ruling.decision == "supported"
    assert (judged.records[0]["effect"], judged.records[0]["p"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([30.0], "at least two values"),
        ([30.0, float("inf")] * 6, "expected finite values"),
    ],
)
def test_values_that_say_nothing_are_not_measured(run_maker, tmp_path, pixel_session, column, said):
    run = run_maker(tmp_path, {("one", 0, 28): column, ("two", 0, 28): [30.0] * len(column)})
    judged = _rule(run, _claim("better"), pixel_session)
    assert judged.ruling.decision == "not measured"
    assert said in judged.line


def test_a_gain_that_differs_between_trainings_alone(run_maker, tmp_path, pixel_session):
    """The same in every scene: no skewness to take, and no traceback."""
    values = {
        (f"{name}-{k}", 0, 28): [30.0 + up * (2 + k / 10)] * 24
        for up, name in enumerate(("two", "one")) for k in range(3)
    }  # fmt: skip
    judged = _rule(
        run_maker(tmp_path, values), _claim("better"), pixel_session, trainings=(0, 1, 2)
    )
    assert judged.ruling.decision == "supported"


def test_one_training_whose_pictures_are_the_same(run_maker, tmp_path, pixel_session):
    """Nothing is to be swapped there: refused in a line."""
    values = {
        (f"{name}-{k}", 0, 28): _psnr(24, 30 + up * k, 7 * k)
        for up, name in enumerate(("two", "one")) for k in range(3)
    }  # fmt: skip
    claim = _claim("better", ("fd_effnet",))
    run = run_maker(tmp_path, values)
    judged = _rule(run, claim, pixel_session, trainings=(0, 1, 2))
    assert judged.ruling.decision == "not measured"
    assert "the two arms have the same features" in judged.line


def test_a_margin_of_a_set_metric_is_a_share_of_the_controls_gap(
    run_maker, tmp_path, pixel_session
):
    values = {("one", 0, 28): _psnr(24, 30, 1), ("two", 0, 28): _psnr(24, 30, 2)}
    run = run_maker(tmp_path, values)
    claim = _claim("equivalent", ("fd_effnet",))
    found = [
        _rule(run, claim, pixel_session, {"fd_effnet": Margin("fd_effnet", share, GAP, "x")})
        for share in (0.05, 0.1)
    ]
    margins = [judged.records[0]["margin"] for judged in found]
    assert margins[1] == pytest.approx(2 * margins[0])


def test_arms_that_cannot_be_compared_are_refused(run_maker, tmp_path, pixel_session):
    run = run_maker(tmp_path / "a", {("one", 0, 28): _psnr(9, 30), ("two", 0, 28): _psnr(9, 28)})
    other = run_maker(tmp_path / "b", {("two", 0, 28): _psnr(9, 28)}, data="another set")
    one, two = (MeasuredArm(run, name, Draw(0, 28)) for name in ("one", "two"))
    criteria = Criteria(pixel_session)

    def compared(second: MeasuredArm, metric: str = "psnr"):
        return compare(Side("a", ((one,),)), Side("b", ((second,),)), TASK, metric, criteria)

    with pytest.raises(UsageError, match="missing arm: two at seed 0, 4 steps"):
        compared(replace(two, draw=Draw(0, 4)))
    with pytest.raises(UsageError, match="fed different data"):
        compared(replace(two, store=other))
    with pytest.raises(UsageError, match="fid:clean not measured"):
        compared(two, "fid")
    three, pair = Side("a", ((one,),) * 3, True), Side("b", ((two,),) * 2, True)
    with pytest.raises(UsageError, match="unequal numbers of trainings, 3 and 2"):
        compare(three, pair, TASK, "psnr", criteria)
    run.path(Cell("two", TASK, Draw(0, 28), "photo03")).unlink()
    with pytest.raises(UsageError, match="unequal n between arms, 8 images of two and 9 of one"):
        compared(two, "fd_effnet")


def test_repeats_are_of_trained_arms_alone():
    repeats = Repeats((42, 43), (0, 1, 2))
    trained, plain = CLAIMS.arms["te_128"], CLAIMS.arms["zero_shot"]
    assert [[one.training.seed for one in row] for row in repeats.of(trained)] == [
        [42] * 3, [43] * 3,
    ]  # fmt: skip
    assert [[one.seed for one in row] for row in repeats.of(plain)] == [[0, 1, 2]]
    assert Repeats().of(trained) == ((trained,),)


def test_prompts_are_judged_on_one_unified_adapter():
    """A task-specific adapter, as the miniature brings along, leaves a prompt nothing to route."""
    routing = next(claim for claim in CLAIMS.claims if claim.id == "C7")
    asked = [CLAIMS.arms[name] for name in (routing.first, *routing.second)]
    for arms_of in (asked, list(prompted_arms(Training(pairs=128)).values())):
        assert {arm.prompt for arm in arms_of} == {"right", "wrong", "empty"}
        trainings = {arm.training for arm in arms_of}
        assert len(trainings) == 1
        assert not next(iter(trainings)).per_task


def test_no_claim_needs_an_adapter_that_only_the_miniature_has():
    trained = [arm for arm in CLAIMS.arms.values() if arm.method == "kontext_lora"]
    assert trained
    assert all(arm.training for arm in trained)
