"""Published numbers: each with its source, protocol and n."""

from pathlib import Path

import pytest

from e2r_baselines.published import published, read_published
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

# The table that the project was given, method -> (dehaze, derain, sigma 15, 25, 50).
PSNR = {
    "AirNet": (27.94, 34.90, 33.92, 31.26, 28.00),
    "PromptIR": (30.58, 36.37, 33.98, 31.31, 28.06),
    "InstructIR-3D": (30.22, 37.98, 34.15, 31.52, 28.30),
    "InstructIR-7D": (26.90, 36.75, None, 31.37, None),
    "MoCE-IR-S": (30.94, 38.22, 34.08, 31.42, 28.16),
    "MoCE-IR": (31.34, 38.57, 34.11, 31.45, 28.18),
}
COLUMNS = ("dehaze", "derain", "denoise15", "denoise25", "denoise50")


def test_the_numbers_are_those_of_the_papers() -> None:
    own = [row for row in published() if not row.second_hand]
    found = {(r.method, r.task): r.value for r in own if r.metric == "psnr"}
    expected = {
        (method, task): value
        for method, row in PSNR.items()
        for task, value in zip(COLUMNS, row, strict=True)
        if value is not None
    }
    assert found == expected | {("PReNet", "derain"): 37.48}


def test_each_carries_what_makes_it_comparable() -> None:
    sizes = {"CBSD68": 68, "Rain100L": 100, "SOTS outdoor": 500, "GoPro": 1111, "LOL-v1": 15}
    for row in published():
        assert row.task in (*TASKS, "deblur")
        assert row.n == sizes[row.dataset]
        assert row.source
        assert row.protocol
        assert 0 < row.value < (1 if row.metric == "ssim" else 60)


# Averages as the tables print them: our columns must give them back.
AVERAGES = {
    "IDR": 31.83, "Perceive-IR": 32.63, "AdaIR": 32.69, "VLU-Net": 32.70, "ClearAIR": 32.74,
    "DFPIR": 32.88, "EvoIR": 33.00, "AdaIR, 5 tasks": 30.20, "Restormer, 5 tasks": 27.60,
    "PromptIR, 5 tasks": 29.15, "AirNet, 5 tasks": 25.49, "SwinIR, 5 tasks": 25.04,
}  # fmt: skip


def test_second_hand_rows_are_marked_and_average_as_printed() -> None:
    rows = [row for row in published() if row.second_hand]
    assert len({row.method for row in rows}) == 29
    assert all("second hand" in row.source for row in rows)
    for method, average in AVERAGES.items():
        values = [row.value for row in rows if (row.method, row.metric) == (method, "psnr")]
        assert len(values) == 5
        assert sum(values) / 5 == pytest.approx(average, abs=0.011)


@pytest.mark.parametrize(
    "text",
    [
        "method = ",
        'method = "a"\nsource = "b"\nprotocol = "c"',
        'method="a"\nsource="b"\n[[result]]\ntask="derain"\ndataset="d"\nn=3\npsnr=30.0',
        'method="a"\nsource="b"\nprotocol="c"\n[[result]]\ntask="derain"\ndataset="d"\npsnr=30.0',
        'method="a"\nsource="b"\nprotocol="c"\n[[result]]\ntask="derain"\nn=3\npnsr=30.0',
    ],
)
def test_a_number_without_its_papers_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="expected published numbers"):
        list(read_published(path))
