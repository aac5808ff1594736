"""Composites: the sum that is written down, never a part of it, and refused where it is unclear."""

import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2r_bench.cli import main
from e2r_metrics import Session, UsageError, resolve
from e2r_metrics.base.errors import PictureError
from e2r_metrics.base.pictures import write_png
from e2r_metrics.base.weights import Missing
from e2r_metrics.catalog import composites, metric_of
from e2r_metrics.composites import measured
from e2r_metrics.rows.types import Composite, Term

MINE = """
[mine]
margin = 0.02
[[mine.part]]
metric = "ssim"
[[mine.part]]
metric = "gmsd"
offset = 1
weight = -2
low = 0.9
[[mine.part]]
metric = "psnr:y"
weight = 0.01
shave = 4
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return str(path)


def _values(session, names, restored, clean):
    return [float(session.per_image(m, [restored], [clean])[0]) for m in resolve(names)]


def test_a_composite_is_the_sum_that_its_file_states(mine, session, photo, noisy):
    bad = noisy(9)
    ssim, gmsd = _values(session, ["ssim", "gmsd"], bad, photo)
    (luma,) = _values(session, ["psnr:y"], bad[4:-4, 4:-4], photo[4:-4, 4:-4])
    (whole,) = _values(session, ["psnr:y"], bad, photo)
    (found,) = _values(session, [mine], bad, photo)
    expected = ssim + max(0.9, 1 - 2 * gmsd) + 0.01 * luma
    assert found == pytest.approx(expected, rel=1e-12)
    assert whole != luma  # the border is not left out by accident
    (metric,) = resolve([mine])
    told = "[ssim:gauss] + [1 - 2 gmsd:luma, at least 0.9] + [0.01 psnr:y without 4 pixels"
    assert told in metric.protocol


def test_a_floor_holds_where_a_part_is_bad(mine, session, photo, noisy):
    """NIQE's term and its like: a hopeless picture gives the floor, not less."""
    bad = noisy(90)
    ssim, gmsd = _values(session, ["ssim", "gmsd"], bad, photo)
    (luma,) = _values(session, ["psnr:y"], bad[4:-4, 4:-4], photo[4:-4, 4:-4])
    assert 1 - 2 * gmsd < 0.9
    (found,) = _values(session, [mine], bad, photo)
    assert found == pytest.approx(ssim + 0.9 + 0.01 * luma, rel=1e-12)


def test_fidelity_of_the_challenge_is_psnr_on_y_without_four_pixels(session, photo, noisy):
    bad = noisy(5)
    (found,) = _values(session, ["ntire26-srx4-psnr"], bad, photo)
    assert [found] == _values(session, ["psnr:y"], bad[4:-4, 4:-4], photo[4:-4, 4:-4])


NUMBERS = {"lpips": 0.2, "dists": 0.3, "clip_iqa": 0.5, "niqe": 12.0, "maniqa": 0.4, "musiq": 60.0,
           "degradation_gain": 2.5}  # fmt: skip


class Pretended(Session):
    """Networks are pretended, by name; what is summed is not."""

    def __init__(self, absent=()):
        self.absent = absent

    def missing(self, metric):
        if metric.composite is None:
            gone = metric.name in self.absent
            return (
                Missing(metric.id, "not on this machine", f"fetch {metric.name}", 7)
                if gone
                else None
            )
        return super().missing(metric)

    def per_image(self, metric, restored, clean):
        if metric.composite is None:
            return np.full(len(restored), NUMBERS[metric.name])
        return super().per_image(metric, restored, clean)


def given_by_plugins(composite):
    """Return a composite whose missing parts somebody gives."""
    psnr = metric_of("psnr:rgb")
    terms = tuple(
        t if t.row else Term(t.metric, type(psnr)(**{**vars(psnr), "name": t.metric}),
                             t.offset, t.weight, t.low, t.high, t.shave)
        for t in composite.terms
    )  # fmt: skip
    return Composite(terms, composite.join, composite.scale)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ntire26-srx4", (1 - 0.2) + (1 - 0.3) + 0.5 + 0.4 + 60 / 100 + max(0, (10 - 12) / 10)),
        ("realir", 0.2 * 2.5 * (1 - 0.2)),
    ],
)
def test_the_challenges_scores_are_those_of_their_pages(name, expected, photo):
    (metric,) = resolve([name])
    value = measured(
        given_by_plugins(metric.composite), Pretended().per_image, [photo] * 2, [photo] * 2
    )
    np.testing.assert_allclose(value, [expected] * 2, rtol=1e-12)


def test_what_is_absent_is_named_and_nothing_is_summed(photo):
    (metric,) = resolve(["ntire26-srx4"])
    gone = Pretended(absent=("dists", "musiq")).missing(metric)
    assert gone is not None
    assert gone.size == 14
    assert "2 of its 6 parts" in gone.reason
    for name in ("dists:native: not on this machine", "musiq:koniq: not on this machine"):
        assert name in gone.reason
    assert "lpips" not in gone.reason
    (metric,) = resolve(["realir"])
    with pytest.raises(UsageError, match="degradation_gain: no metric of that name"):
        Pretended().per_image(metric, [photo], [photo])


@pytest.mark.filterwarnings("ignore")  # open_clip warns where it has no weights of its own
def test_the_challenge_is_measured_where_all_six_files_are(small_session, random_clip, whole):
    """Networks with random weights: each part goes through its own files and code."""
    clean = np.tile(whole, (2, 2, 1))[:230, :240]
    bad = np.clip(clean.astype(int) + 9 * (np.indices(clean.shape).sum(0) % 3), 0, 255)
    bad = bad.astype(np.uint8)
    (metric,) = resolve(["ntire26-srx4"])
    names = ("lpips", "dists", "clip_iqa:pyiqa5", "maniqa", "musiq", "niqe")
    gone = small_session.missing(metric)
    assert gone is None or "clip" in gone.reason, gone
    small_session.weights.given["clip-rn50"] = random_clip
    if (gone := small_session.missing(metric)) is not None:
        pytest.skip(f"{gone.reason}; {gone.command}")
    lpips, dists, clip, maniqa, musiq, niqe = _values(small_session, names, bad, clean)
    expected = (1 - lpips) + (1 - dists) + clip + maniqa + musiq / 100 + max(0, 1 - niqe / 10)
    (found,) = _values(small_session, ["ntire26-srx4"], bad, clean)
    assert found == pytest.approx(expected, rel=1e-9)
    assert abs(maniqa) > 1e-3
    assert abs(musiq) > 1e-3


def test_a_part_of_a_whole_set_keeps_the_score_unmeasured():
    (metric,) = resolve(["ntire26-face"])
    gone = Pretended().missing(metric)
    assert gone is not None
    assert "fid:clean: one number of a whole set" in gone.reason


def test_a_part_that_fails_fails_the_whole(mine, session):
    """No value of fewer parts: NIQE cannot look at a picture of one block."""
    tiny = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(PictureError):
        _values(session, [mine], tiny, tiny)


def test_infinities_that_cancel_are_no_number(photo):
    psnr = metric_of("psnr:rgb")
    both = Composite((Term("psnr:rgb", psnr), Term("psnr:rgb", psnr, weight=-1.0)))

    def infinite(metric, restored, clean):
        return np.full(len(restored), np.inf)

    with pytest.raises(PictureError, match="infinities that cancel"):
        measured(both, infinite, [photo], [photo])
    one = Composite((Term("psnr:rgb", psnr),))
    assert measured(one, infinite, [photo], [photo]) == [np.inf]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\n", "expected its parts as [[a.part]]"),
        ("a = 1\n", "expected a table per composite"),
        ("[a\n", "expected a TOML file of composites"),
        ('[a]\nwhat = 1\n[[a.part]]\nmetric = "psnr"\n', "unknown key in"),
        ('[a]\n[[a.part]]\nmetric = "psnr"\nfactor = 2\n', "unknown key in"),
        ("[a]\n[[a.part]]\nweight = 2\n", "expected `metric`, found none"),
        ('[a]\n[[a.part]]\nmetric = "psnr"\nweight = 0\n', "a finite number that is not 0"),
        ('[a]\n[[a.part]]\nmetric = "psnr"\nweight = nan\n', "weight: expected a number"),
        ('[a]\n[[a.part]]\nmetric = "psnr"\nweight = true\n', "weight: expected a number"),
        ('[a]\n[[a.part]]\nmetric = "psnr"\nlow = 2\nhigh = 1\n', "expected low below high"),
        ('[a]\n[[a.part]]\nmetric = "psnr"\nshave = -1\n', "expected a whole number from 0"),
        ('[a]\n[[a.part]]\nmetric = "psnr:z"\n', "channel"),
        ('[a]\nmargin = 0\n[[a.part]]\nmetric = "psnr"\n', "margin: expected a number above 0"),
        ('[a]\njoin = "max"\n[[a.part]]\nmetric = "psnr"\n', "join: expected sum or product"),
        ('[a]\nhigher_is_better = 1\n[[a.part]]\nmetric = "psnr"\n', "expected true or false"),
        ('[realir]\n[[realir.part]]\nmetric = "psnr"\n', "expected a name of its own"),
        ('[a]\n[[a.part]]\nmetric = "psnr"\n[b]\n', "expected one composite, or"),
    ],
)  # fmt: skip
def test_a_file_that_is_unclear_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        resolve([str(path)])
    assert str(path) in str(refused.value) or "channel" in said
    assert "\n" not in str(refused.value)


@given(text=st.text(max_size=80))
def test_no_text_ends_in_a_traceback(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "x.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError):
        resolve([str(path)])


def test_one_of_several_is_asked_for_by_name(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text('[a]\n[[a.part]]\nmetric = "psnr"\n[b]\n[[b.part]]\nmetric = "ssim"\n')
    assert [m.name for m in resolve([f"{path}:b"])] == ["b"]
    with pytest.raises(UsageError, match="unknown composite"):
        resolve([f"{path}:c"])


def test_another_formula_is_another_metric(tmp_path):
    ids = []
    for weight in (1, 2):
        path = tmp_path / f"{weight}.toml"
        path.write_text(f'[a]\n[[a.part]]\nmetric = "psnr"\nweight = {weight}\n')
        ids.append(resolve([str(path)])[0].id)
    assert ids[0] != ids[1]


def test_a_composite_is_no_part_of_another(tmp_path, session):
    path = tmp_path / "nested.toml"
    path.write_text('[a]\n[[a.part]]\nmetric = "ntire26-srx4-psnr"\n')
    gone = session.missing(resolve([str(path)])[0])
    assert gone is not None
    assert "no metric of that name" in gone.reason


def test_every_composite_of_ours_is_whole():
    for metric in composites():
        assert metric_of(metric.id) == metric
        assert metric.composite
        assert metric.margin
        assert metric.paper
        assert metric.id in metric.protocol


# On the command line


@pytest.fixture
def folders(tmp_path, photo, noisy):
    rng = np.random.default_rng(3)
    for k in range(12):
        top, left = rng.integers(0, 60, 2)
        cut = np.s_[top : top + 100, left : left + 100]
        write_png(tmp_path / "clean" / f"{k}.png", photo[cut])
        for name, sigma in (("good", 4), ("bad", 8), ("twin", 8.02)):
            picture = noisy(sigma, seed=k if name != "twin" else 99 + k)[cut]
            write_png(tmp_path / name / f"{k}.png", picture)
    return tmp_path


def test_a_composite_is_judged_as_any_metric(folders, mine, capsys):
    three = [str(folders / name) for name in ("bad", "good", "twin", "clean")]
    code = main(["score", *three, "--metrics", f"{mine},psnr", "--format", "json"])
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    (good,) = [row for row in found["compared"]
               if row["first"] == "good" and row["metric"].startswith("mine:")]  # fmt: skip
    assert good["verdict"] == "better"
    assert good["low"] > 0
    assert good["margin"] == 0.02
    (order,) = [row for row in found["orders"] if row["metric"].startswith("mine:")]
    assert order["arms"][0] == "good"
    assert order["first"] == 1.0
    assert order["scenes"] == 12
    assert 0 < order["steps"][1] < 1  # bad and its twin: nobody can say
    assert order["whole"] == order["steps"][1]
    summary = found["scores"]["good"]["summary"][0]
    assert summary["metric"] == "mine"
    assert summary["low"] < summary["value"] < summary["high"]


def test_the_degraded_pictures_are_asked_for_and_said(folders, tmp_path, capsys):
    path = tmp_path / "d.toml"
    path.write_text('[d]\nagainst = "degraded"\n[[d.part]]\nmetric = "psnr"\n')
    pair = [str(folders / "good"), str(folders / "bad")]
    assert main(["score", *pair, "--metrics", str(path)]) == 2
    assert "--reference degraded" in capsys.readouterr().err
    assert main(["score", *pair, "--metrics", "psnr", "--reference", "degraded"]) == 2
    assert "psnr:rgb compares with clean pictures" in capsys.readouterr().err
    assert main(["score", *pair, "--metrics", str(path), "--reference", "degraded"]) == 0
    assert "against the degraded pictures" in capsys.readouterr().out


def test_a_run_gives_it_the_degraded_pictures(folders, mine, tmp_path, capsys):
    path = tmp_path / "d.toml"
    path.write_text('[d]\nagainst = "degraded"\n[[d.part]]\nmetric = "ssim"\n')
    out = tmp_path / "run"
    code = main(
        ["run", "--methods", "wavelet", "--tasks", "denoise25", "--data", str(folders / "clean"),
         "--limit", "2", "--metrics", f"ssim,{path},{mine}", "--out", str(out), "--offline"]
    )  # fmt: skip
    assert code == 0, capsys.readouterr().err
    rows = [json.loads(line) for line in (out / "per_image.jsonl").read_text().splitlines()]
    of = {(row["method"], row["metric"], row["image"]): row["value"] for row in rows}
    images = {row["image"] for row in rows}
    for image in images:
        assert of["degraded", "d", image] == 1.0  # itself
        assert of["clean", "d", image] == pytest.approx(of["degraded", "ssim", image], abs=1e-6)
        assert of["clean", "ssim", image] == 1.0
        assert of["wavelet", "d", image] < 1
    info = json.loads((out / "run.json").read_text())["metrics"]
    assert [row["margin"] for row in info.values() if row["name"] == "mine"] == [0.02]


def test_it_is_listed_with_what_it_lacks(capsys):
    assert main(["metrics", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    row = rows["realir:published"]
    assert not row["measurable"]
    assert "degradation_gain: no metric of that name" in row["here"]
    assert rows["ntire26-srx4-psnr:published"]["measurable"]


def test_nothing_of_it_is_imported_with_the_package():
    assert "e2r_metrics.composite_tables" in sys.modules
    import subprocess

    code = "import sys, e2r_metrics.catalog; print('e2r_metrics.composite_tables' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "False"
