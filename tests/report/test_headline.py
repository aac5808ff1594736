"""The first screen as data: means over seeds, verdicts, and nothing that is not known."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from e2r_bench.report.arms import Arm, Shares
from e2r_bench.report.headline import Card, headline
from e2r_bench.report.judged import Bench, bench_of, reverse
from e2r_bench.report.overview import overview_of
from e2r_bench.report.page import write_report
from e2r_bench.report.palette import colours
from e2r_bench.report.plane import plane
from e2r_bench.report.roles import FIDELITY, INVENTION, PERCEPTION, chosen
from e2r_bench.report.standings import Standing
from e2r_bench.report.words import overall, word_of
from e2r_bench.statistics.verdict import Verdict
from e2r_bench.store.store import Store


def first(store: Store, shares: Shares | None = None) -> Card:
    return headline({"": store}, shares or {}).cards[0]


def named(card: Card, title: str) -> dict[str, Standing]:
    part = next(part for part in card.parts if part.role.title == title)
    return {one.name: one for one in part.standings}


def seed_means(store: Store, method: str, task: str) -> np.ndarray:
    """Restate it from the rows alone: the mean over seeds at 28 steps, image by image."""
    rows = store.frame()
    mine = rows[(rows.method == method) & (rows.task == task) & (rows.metric == "psnr")]
    longest = mine[mine.steps == mine.steps.max()]
    return longest.groupby("image").value.mean().sort_index().to_numpy()


def test_the_numbers_are_means_over_seeds(plain_run: Store) -> None:
    card = first(plain_run)
    kontext, promptir = (
        seed_means(plain_run, name, card.task) for name in ("kontext_lora", "promptir")
    )
    found = named(card, "Fidelity")
    assert found["kontext_lora"].value == f"{kontext.mean():.2f}"
    assert found["promptir"].value == f"{promptir.mean():.2f}"
    # The run names kontext_lora first: promptir is set against it, picture by picture.
    apart = (promptir - kontext).mean()
    assert float(found["promptir"].apart.replace("−", "-")) == pytest.approx(apart, abs=0.006)
    assert found["kontext_lora"].apart == ""
    assert found["kontext_lora"].word is None


def test_intervals_are_simultaneous(judged_run: Store) -> None:
    kontext, promptir = (
        seed_means(judged_run, name, "denoise25") for name in ("kontext_lora", "promptir")
    )
    apart = promptir - kontext
    said = named(first(judged_run), "Fidelity")["promptir"].apart.replace("−", "-")
    effect, low, high = (float(x) for x in re.findall(r"[-+]?\d+\.\d+", said))
    assert effect == pytest.approx(apart.mean(), abs=0.006)
    alone = stats.t.interval(0.95, len(apart) - 1, apart.mean(), stats.sem(apart))
    assert low < alone[0] < effect < alone[1] < high, "30 pairs are judged: wider than one alone"


def test_all_pairs_share_one_level(judged_run: Store) -> None:
    arms = [Arm("", judged_run, name) for name in ("kontext_lora", "promptir", "twin")]
    wanted = [(task, "psnr:rgb", arms) for task in judged_run.info.tasks]
    bench = bench_of(wanted)
    assert bench.tested == 5 * 3
    assert headline({"": judged_run}, {}).tested == 5 * 3 * 2, "fidelity and perception"
    found = bench.of("denoise25", "psnr:rgb", arms[0], arms[1])
    alone = bench_of([("denoise25", "psnr:rgb", arms[:2])]).of("denoise25", "psnr:rgb", *arms[:2])
    assert found is not None
    assert alone is not None
    assert found.effect == alone.effect
    assert found.holm >= 10 * alone.holm


def test_a_verdict_turned_round_is_that_of_the_other(judged_run: Store) -> None:
    arms = [Arm("", judged_run, name) for name in ("kontext_lora", "promptir")]
    for task, key in product(judged_run.info.tasks, ("psnr:rgb", "ssim:uniform7")):
        straight = next(iter(bench_of([(task, key, arms)]).verdicts.values()))
        turned = reverse(next(iter(bench_of([(task, key, arms[::-1])]).verdicts.values())))
        for name in ("label", "direction", "leans", "size"):
            assert getattr(turned, name) == getattr(straight, name)
        for name in ("effect", "low", "high", "holm", "alone"):
            assert getattr(turned, name) == pytest.approx(getattr(straight, name), abs=1e-9)


def test_methods_that_are_alike_are_said_to_be(judged_run: Store) -> None:
    arms = {name: Arm("", judged_run, name) for name in ("promptir", "twin")}
    bench = bench_of([("denoise25", "psnr:rgb", list(arms.values()))])
    found = bench.of("denoise25", "psnr:rgb", arms["twin"], arms["promptir"])
    assert found is not None
    word = word_of(found, "dB")
    assert "less than 0.50 dB" in word.text or word.text == "equivalent within 0.50 dB"
    assert "16 scenes" in word.sentence
    assert "denoise25 psnr:rgb: twin against promptir" in word.sentence


def test_below_ten_scenes_there_is_no_verdict_and_no_interval(plain_run: Store) -> None:
    card = first(plain_run)
    assert card.few
    assert [one.word.text for one in card.said] == ["no verdict below 10 scenes"]
    (part,) = card.parts
    assert part.rival is not None
    assert part.rival.word.text == "no verdict: 6 of 10 scenes"
    for one in part.standings:
        assert "[" not in one.apart
        assert one.low is None
        assert not one.level
    assert part.standings[1].apart.startswith("−")
    page = write_report(plain_run).read_text(encoding="utf-8")
    assert "No verdict of any kind below 10 scenes" in page
    assert headline({"": plain_run}, {}).tested == 0


def test_best_and_not_told_apart_are_marked(judged_run: Store) -> None:
    images = judged_run.images("denoise25")
    rng = np.random.default_rng(0)
    shares = {
        ("", "kontext_lora", "denoise25"): dict(zip(images, rng.uniform(1, 6, 16), strict=True)),
        ("", "promptir", "denoise25"): dict(zip(images, rng.uniform(1, 6, 16), strict=True)),
        ("", "twin", "denoise25"): dict(zip(images, rng.uniform(60, 66, 16), strict=True)),
    }
    card = first(judged_run, shares)
    found = named(card, "Invented")
    best = min(
        ("kontext_lora", "promptir"), key=lambda n: np.mean([*shares["", n, "denoise25"].values()])
    )
    other = "promptir" if best == "kontext_lora" else "kontext_lora"
    assert found[best].best, "less invented is better"
    assert found[other].level
    assert not found["twin"].level
    assert found["twin"].word is not None
    assert found["twin"].word.tone == "bad"
    said = {one.name: one.word.text for one in card.said}
    assert said["twin"].endswith("invents more")
    assert "invents" not in said["promptir"]


@pytest.mark.parametrize(
    ("fidelity", "perception", "invented", "said"),
    [
        (1, 1, 0, "better: more faithful, prettier"),
        (0, 1, -1, "prettier only, invents more"),
        (-1, 1, 0, "prettier only: less faithful"),
        (-1, 0, 1, "worse: less faithful, invents less"),
        (0, 0, 0, "not resolved at 68 scenes"),
        (1, None, None, "more faithful, looks not judged"),
    ],
)
def test_directions_together(
    fidelity: int | None, perception: int | None, invented: int | None, said: str
) -> None:
    def verdict(direction: int | None) -> Verdict | None:
        if direction is None:
            return None
        return Verdict("x", "m", "not resolved", direction=direction, p=0.5, scenes=68)

    assert overall(verdict(fidelity), verdict(perception), verdict(invented)).text == said


def test_small_differences_everywhere_are_equivalent() -> None:
    small = Verdict("x", "m", "equivalent", size="less than the margin", p=0.9, scenes=68)
    assert overall(small, small, None).text == "equivalent"
    open_ = Verdict("x", "m", "not resolved", p=0.9, scenes=68)
    assert overall(small, open_, None).text == "not resolved at 68 scenes"


def test_infinite_values_are_not_judged(judged_run: Store) -> None:
    arms = [Arm("", judged_run, name) for name in ("clean", "promptir")]
    found = Bench(bench_of([("denoise25", "psnr:rgb", arms)]).verdicts).of(
        "denoise25", "psnr:rgb", *arms
    )
    assert found is not None
    assert found.label == "not measured"
    assert "infinite" in found.notes[0]
    assert word_of(found, "dB").text == "not judged"


def test_a_method_alone_is_set_against_the_input(build_run: Callable, tmp_path: Path) -> None:
    spec = replace(
        build_run.plain, methods={"promptir": ("promptir-nano", True, 9.0)}, size=(32, 32)
    )
    (part,) = first(build_run(tmp_path / "one", spec)).parts
    assert part.against == "degraded"
    assert part.rival is not None
    assert part.rival.name == "degraded"
    assert part.standings[0].apart.startswith("+")


def test_roles_without_a_metric_are_said_and_not_drawn(plain_run: Store) -> None:
    card = first(plain_run)
    assert card.missing == ("Perception", "Invented")
    assert card.plane is None


def test_a_failed_picture_shows_in_n(build_run: Callable, tmp_path: Path) -> None:
    spec = replace(
        build_run.plain,
        size=(32, 32),
        broken={("promptir", "denoise25", "photo2"): "too large"},
    )
    found = named(first(build_run(tmp_path / "gap", spec)), "Fidelity")
    assert found["promptir"].value.endswith("(n=5)")
    assert "n=" not in found["kontext_lora"].value


def test_page_and_markdown_say_the_same_words(judged_run: Store) -> None:
    page = write_report(judged_run).read_text(encoding="utf-8")
    text = (judged_run.folder / "report.md").read_text(encoding="utf-8")
    for one in first(judged_run).said:
        assert f">{one.word.text}</span>" in page
        assert one.word.text in text
    assert "all 45 pairs" in page
    assert "all 45 pairs" in text


@pytest.mark.parametrize("count", [1, 6, 9, 24])
def test_there_are_as_many_colours_as_series(count: int) -> None:
    found = colours(count)
    for ground in zip(*found, strict=True):
        assert len(set(ground)) == count
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in ground)


def test_the_metric_of_a_role_is_the_first_that_was_measured() -> None:
    keys = ["fid:clean", "lpips:alex", "ssim:gauss", "psnr:y"]
    assert chosen(FIDELITY, keys) == "psnr:y"
    assert chosen(PERCEPTION, keys) == "lpips:alex"
    assert chosen(PERCEPTION, keys[:1]) == "fid:clean"
    assert chosen(INVENTION, keys) is None


def test_overview_has_every_task_and_method_once(plain_run: Store) -> None:
    found = headline({"": plain_run}, {}).cards
    table = overview_of(found, set())
    assert table is not None
    assert table.methods == (("kontext_lora", 0), ("promptir", 1))
    assert [row.task for row in table.rows] == ["denoise25", "denoise50"]
    assert overview_of(found[:1], set()) is None
    gone = overview_of(found, {("denoise50", "promptir")})
    assert gone is not None
    assert gone.rows[1].standings == (table.rows[1].standings[0], "not planned")


@pytest.mark.parametrize(("run", "regions"), [("judged_run", True), ("plain_run", False)])
def test_the_plane_points_to_the_better_corner_and_draws_regions(
    request: pytest.FixtureRequest, run: str, regions: bool
) -> None:
    store = request.getfixturevalue(run)
    names = ("kontext_lora", "promptir", "clean")
    arms = {Arm("", store, name): place for place, name in enumerate(names)}

    def mean(arm: Arm, task: str, key: str) -> float:
        return float(np.mean(list(arm.values(task, key).values())))

    drawn = plane(arms, "denoise25", "psnr:rgb", "ssim:uniform7", mean)
    assert drawn is not None
    spots = {spot.name: spot for spot in drawn.spots}
    assert drawn.absent == ("clean",), "infinite PSNR has no place"
    assert spots["kontext_lora"].x > spots["promptir"].x
    assert spots["kontext_lora"].y < spots["promptir"].y, "up is better"
    assert all(bool(spot.region) is regions for spot in spots.values())
    if not regions:
        return
    corners = [
        tuple(map(float, pair.split())) for pair in re.split("[MLZ]+", spots["promptir"].region)
        if pair.strip()
    ]  # fmt: skip
    middle = np.mean(corners, axis=0)
    assert middle == pytest.approx((spots["promptir"].x, spots["promptir"].y), abs=0.2)


def test_the_region_holds_the_true_means_in_95_of_100() -> None:
    from matplotlib.path import Path as Polygon

    from e2r_bench.report.plane import _outline

    rng = np.random.default_rng(5)
    chol = np.linalg.cholesky(np.array([[1.0, 0.8], [0.8, 2.0]]))

    class Drawn:
        def __init__(self) -> None:
            self.pairs = rng.standard_normal((11, 2)) @ chol.T

        def values(self, task: str, key: str) -> dict[str, float]:
            return {str(k): pair["ab".index(key)] for k, pair in enumerate(self.pairs)}

        def scenes(self, task: str, images: list[str]) -> list[str]:
            return images

    inside = 0
    for _ in range(1000):
        outline = _outline(Drawn(), "t", "a", "b")
        inside += Polygon(outline).contains_point((0, 0))
    # 48 corners cut off a little of the ellipse; three standard errors of 1,000 draws.
    assert inside / 1000 == pytest.approx(0.95, abs=0.021)
