"""Claims as data, the reading of tables against the paper's numbers, verdicts on planted runs."""

from dataclasses import replace

import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.arms.claims import Claim, Training, load_claims
from e2r_bench.arms.prompts import prompted_arms
from e2r_bench.arms.tables import read_tables, spearman
from e2r_bench.arms.verdicts import Conditions, rule
from e2r_bench.cli import main
from e2r_bench.store.cell import Cell
from e2r_bench.studies.compare import Criteria, compare
from e2r_bench.studies.measure import MeasuredArm
from e2r_metrics.base.errors import UsageError

CLAIMS = load_claims("edit2restore")
READINGS = {reading.claim: reading for reading in read_tables(CLAIMS)}
TASK = "denoise25"


def test_all_nine_claims_ship():
    assert [claim.id for claim in CLAIMS.claims] == [f"C{k}" for k in range(1, 10)]


def test_c1_by_the_table():
    assert "denoise15 -0.82" in READINGS["C1"].detail
    assert "clip_iqa dehaze -0.13" in READINGS["C1"].detail
    assert READINGS["C1"].verdict == "refuted"
    assert READINGS["C1"].counts.endswith("against it: clip_iqa dehaze")


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


def test_spearman_p_is_exact():
    assert spearman([1, 2, 3, 4], [1, 2, 3, 4]) == (pytest.approx(1), pytest.approx(2 / 24))


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


def _psnr(n: int, level: float, seed: int = 0) -> list[float]:
    return (level + np.random.default_rng(seed).normal(0, 0.4, n)).tolist()


def _claim(kind: str, metrics: tuple[str, ...] = ("psnr",), margin: float = 0.05) -> Claim:
    return Claim(
        id="X", statement="x", kind=kind, first="one", second=("two",), published=(),
        metrics=metrics, margin=margin,
    )  # fmt: skip


def _ruled(run_maker, tmp_path, session, claim, levels=(30.0, 28.0), n=24, **more):
    values = {
        ("one", 0, 28): _psnr(n, levels[0], 1),
        ("two", 0, 28): _psnr(n, levels[1], 2),
    }
    run = run_maker(tmp_path / "run", values, **more)
    return _rule(run, claim, session)


def _rule(run, claim, session):
    under = Conditions((TASK,), Criteria(session, permutations=199), "painted pairs")
    return rule(CLAIMS, claim, lambda name, _: MeasuredArm(run, name, Draw(0, 28)), under)


@pytest.mark.parametrize("metric", ["psnr", "fd_effnet"])
@pytest.mark.parametrize(
    ("levels", "verdict"),
    [((32.0, 28.0), "supported"), ((28.0, 32.0), "refuted"), ((29.9, 30.0), "not resolved")],
)
def test_planted_better(run_maker, tmp_path, pixel_session, metric, levels, verdict):
    claim = _claim("better", (metric,), margin=1e-4)
    ruling = _ruled(run_maker, tmp_path, pixel_session, claim, levels)
    assert ruling.verdict == verdict
    assert ruling.parts[0].n == 24


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [((30.0, 30.0), "supported"), ((30.0, 20.0), "refuted"), ((30.0, 28.5), "not resolved")],
)
def test_planted_equivalence(run_maker, tmp_path, pixel_session, levels, verdict):
    ruling = _ruled(run_maker, tmp_path, pixel_session, _claim("equivalent"), levels)
    assert ruling.verdict == verdict


def test_a_miniature_is_named_in_the_verdicts_own_line(run_maker, tmp_path, pixel_session):
    small = _ruled(run_maker, tmp_path / "a", pixel_session, _claim("better"))
    assert "on the miniature kontext-nano, not FLUX.1-Kontext-dev" in small.line
    full = _ruled(run_maker, tmp_path / "b", pixel_session, _claim("better"), miniature=False)
    assert "miniature" not in full.line


def test_a_proxy_keeps_its_own_name(run_maker, tmp_path, pixel_session):
    ruling = _ruled(run_maker, tmp_path, pixel_session, _claim("better", ("fid",)))
    assert [(part.metric, part.verdict) for part in ruling.parts] == [
        ("fid", "not measured"), ("fd_effnet", "supported"),
    ]  # fmt: skip
    assert "not fid" in ruling.parts[1].note


def test_nothing_measured_is_no_verdict(run_maker, tmp_path, pixel_session):
    ruling = _ruled(run_maker, tmp_path, pixel_session, _claim("better", ("clip_iqa",)))
    assert ruling.verdict == "not measured"
    assert ruling.parts[0].p is None


def test_five_photographs_cannot_settle_it_and_it_says_why(run_maker, tmp_path, pixel_session):
    scenes = [f"s{k % 5}" for k in range(25)]
    ruling = _ruled(
        run_maker, tmp_path, pixel_session, _claim("better"), n=25, scenes=scenes,
    )  # fmt: skip
    assert ruling.verdict == "not resolved"
    assert "no p of a difference below 0.0625" in ruling.line


def test_holm_over_the_parts(run_maker, tmp_path, pixel_session):
    ruling = _ruled(run_maker, tmp_path, pixel_session, _claim("better", ("psnr", "fd_effnet")))
    assert [part.holm for part in ruling.parts] == pytest.approx([2 / 200, 2 / 200])


def test_a_trend_is_refuted_only_by_gains_at_every_step(run_maker, tmp_path, pixel_session):
    values = {
        (name, 0, 28): _psnr(24, level, k)
        for k, (name, level) in enumerate((("a", 28.0), ("bb", 30.0), ("ccc", 32.0)))
    }
    run = run_maker(tmp_path, values)
    claim = _claim("trend", margin=1e-3).model_copy(update={"first": "a", "second": ("bb", "ccc")})
    assert _rule(run, claim, pixel_session).verdict == "refuted"
    backward = claim.model_copy(update={"first": "ccc", "second": ("bb", "a")})
    assert _rule(run, backward, pixel_session).verdict == "supported"


def test_arms_that_cannot_be_compared_are_refused(run_maker, tmp_path, pixel_session):
    run = run_maker(tmp_path / "a", {("one", 0, 28): _psnr(9, 30), ("two", 0, 28): _psnr(9, 28)})
    other = run_maker(tmp_path / "b", {("two", 0, 28): _psnr(9, 28)}, data="another set")
    one, two = (MeasuredArm(run, name, Draw(0, 28)) for name in ("one", "two"))
    criteria = Criteria(pixel_session)
    with pytest.raises(UsageError, match="missing arm: two at seed 0, 4 steps"):
        compare(one, replace(two, draw=Draw(0, 4)), TASK, "psnr", 0.05, criteria)
    with pytest.raises(UsageError, match="fed different data"):
        compare(one, replace(two, store=other), TASK, "psnr", 0.05, criteria)
    with pytest.raises(UsageError, match="fid:clean not measured"):
        compare(one, two, TASK, "fid", 0.05, criteria)
    run.path(Cell("two", TASK, Draw(0, 28), "photo03")).unlink()
    with pytest.raises(UsageError, match="unequal n between arms, 9 images of one and 8 of two"):
        compare(one, two, TASK, "fd_effnet", 0.05, criteria)


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
