"""The first screen as data: means over seeds, paired differences, and nothing that is not known."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from e2r_bench.report.arms import Arm, Shares
from e2r_bench.report.headline import Card, cards
from e2r_bench.report.overview import overview_of
from e2r_bench.report.page import write_report
from e2r_bench.report.plane import plane
from e2r_bench.report.roles import FIDELITY, INVENTION, PERCEPTION, chosen
from e2r_bench.report.standings import Ruling, Standing
from e2r_bench.store.store import Store


def first(store: Store, shares: Shares | None = None) -> Card:
    return cards({"": store}, shares or {})[0]


def named(card: Card, title: str) -> dict[str, Standing]:
    part = next(part for part in card.parts if part.role.title == title)
    return {one.name: one for one in part.standings}


def seed_means(store: Store, method: str, task: str) -> np.ndarray:
    """Restate it from the rows alone: the mean over seeds at 28 steps, image by image."""
    rows = store.frame()
    mine = rows[(rows.method == method) & (rows.task == task) & (rows.metric == "psnr")]
    longest = mine[mine.steps == mine.steps.max()]
    return longest.groupby("image").value.mean().sort_index().to_numpy()


def test_the_numbers_are_seed_means_and_their_paired_t_interval(plain_run: Store) -> None:
    card = first(plain_run)
    kontext, promptir = (
        seed_means(plain_run, name, card.task) for name in ("kontext_lora", "promptir")
    )
    found = named(card, "Fidelity")
    assert found["kontext_lora"].value == f"{kontext.mean():.2f}"
    assert found["promptir"].value == f"{promptir.mean():.2f}"
    # The run names kontext_lora first: promptir is set against it, picture by picture.
    apart = promptir - kontext
    low, high = stats.t.interval(0.95, len(apart) - 1, apart.mean(), stats.sem(apart))
    said = found["promptir"].apart.replace("−", "-")
    numbers = [float(x) for x in re.findall(r"[-+]?\d+\.\d+", said)]
    assert numbers == pytest.approx([apart.mean(), low, high], abs=0.006)
    assert found["kontext_lora"].apart == ""


def test_best_and_not_told_apart_are_marked(plain_run: Store) -> None:
    shares = {
        ("", "kontext_lora", "denoise25"): dict(zip("abcdef", (1, 2, 3, 4, 5, 6), strict=True)),
        ("", "promptir", "denoise25"): dict(zip("abcdef", (2, 1, 4, 3, 6, 5.5), strict=True)),
    }
    images = dict(zip("abcdef", plain_run.images("denoise25"), strict=True))
    real = {k: {images[i]: float(v) for i, v in row.items()} for k, row in shares.items()}
    found = named(first(plain_run, real), "Invented")
    assert found["kontext_lora"].best, "less invented is better"
    assert not found["promptir"].best
    assert found["promptir"].level, "3.50 and 3.58 with such spread"
    part = next(p for p in first(plain_run, real).parts if p.role is INVENTION)
    assert part.level
    assert part.runner_up == "promptir"
    far = {
        **real,
        ("", "promptir", "denoise25"): {i: 90.0 + k for k, i in enumerate(images.values())},
    }
    assert not named(first(plain_run, far), "Invented")["promptir"].level


def test_a_method_alone_is_set_against_the_input(build_run: Callable, tmp_path: Path) -> None:
    spec = replace(
        build_run.plain, methods={"promptir": ("promptir-nano", True, 9.0)}, size=(32, 32)
    )
    (part,) = first(build_run(tmp_path / "one", spec)).parts
    assert part.against == "degraded"
    assert part.runner_up == "degraded"
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


def test_a_judge_brings_the_words_and_is_asked_for_each_pair(run_copy: Store) -> None:
    asked: list[tuple[str, str, str, str]] = []

    def judge(task: str, key: str, arm: Arm, other: Arm) -> Ruling:
        asked.append((task, key, arm.name, other.name))
        return Ruling("worse", "promptir is worse than kontext_lora by 2 dB")

    page = write_report(run_copy, judge=judge).read_text(encoding="utf-8")
    assert ("denoise25", "psnr:rgb", "promptir", "kontext_lora") in asked
    assert {name for *_, name, _ in asked} == {"promptir"}
    assert '<span class="ruling" data-label="worse"' in page
    assert "worse" in (run_copy.folder / "report.md").read_text(encoding="utf-8")
    assert 'class="ruling"' not in write_report(run_copy).read_text(encoding="utf-8")


def test_the_metric_of_a_role_is_the_first_that_was_measured() -> None:
    keys = ["fid:clean", "lpips:alex", "ssim:gauss", "psnr:y"]
    assert chosen(FIDELITY, keys) == "psnr:y"
    assert chosen(PERCEPTION, keys) == "lpips:alex"
    assert chosen(PERCEPTION, keys[:1]) == "fid:clean"
    assert chosen(INVENTION, keys) is None


def test_overview_has_every_task_and_method_once(plain_run: Store) -> None:
    found = cards({"": plain_run}, {})
    table = overview_of(found)
    assert table is not None
    assert table.methods == ("kontext_lora", "promptir")
    assert [row.task for row in table.rows] == ["denoise25", "denoise50"]
    assert overview_of(found[:1]) is None


def test_the_plane_points_to_the_better_corner_and_draws_regions(plain_run: Store) -> None:
    arms = [Arm("", plain_run, name) for name in ("kontext_lora", "promptir", "clean")]

    def mean(arm: Arm, key: str) -> float:
        values = list(arm.values("denoise25", key).values())
        return float(np.mean(values))

    drawn = plane(arms, "denoise25", "psnr:rgb", "ssim:uniform7", mean)
    assert drawn is not None
    spots = {spot.name: spot for spot in drawn.spots}
    assert drawn.absent == ("clean",), "infinite PSNR has no place"
    assert spots["kontext_lora"].x > spots["promptir"].x
    assert spots["kontext_lora"].y < spots["promptir"].y, "up is better"
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
            self.pairs = rng.standard_normal((9, 2)) @ chol.T

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
