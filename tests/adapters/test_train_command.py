"""`e2r-bench train`: flags and files to a training, and what it says afterwards."""

import numpy as np
import pytest

from e2r_adapters import lora
from e2r_adapters.lora import inspect
from e2r_adapters.train.variation import UNVARIED
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import write_png


def test_settings_come_from_flags_and_toml(tmp_path):
    from e2r_bench.commands.train import train_config

    said = {"out": "x", "tasks": "denoise15,derain", "data": "derain=here", "pairs": 16}
    config = train_config(said, "here")
    assert config.tasks == ("denoise15", "derain")
    assert {task: str(folder) for task, folder in config.data.items()} == {"derain": "here"}
    assert (config.profile.name, config.pairs, config.seed) == ("nano", 16, 42)
    config = train_config({"out": "x", "value_range": 2, "flatten": "white"}, "here")
    assert (config.reading.value_range, config.reading.flatten) == (2.0, (255, 255, 255))
    toml = {"out": "x", "profile": "g2", "tasks": ["derain"], "data": {"derain": "here"}}
    config = train_config(toml, "there")
    assert (config.profile.name, config.pairs, config.tasks) == ("g2", 32, ("derain",))
    with pytest.raises(UsageError, match=r"unknown key in f\.toml 'pair': did you mean 'pairs'"):
        train_config({"out": "x", "pair": 3}, "f.toml")
    with pytest.raises(UsageError, match="did you mean 'nano'"):
        train_config({"out": "x", "profile": "nan"}, "here")
    with pytest.raises(UsageError, match="give --out"):
        train_config({}, "here")
    with pytest.raises(UsageError, match="expected TASK=FOLDER"):
        train_config({"out": "x", "data": "folder"}, "here")


def test_what_differs_between_epochs_comes_from_flags_and_toml(tmp_path):
    from e2r_bench.commands.train import train_config

    wordings = tmp_path / "wordings.toml"
    wordings.write_text('denoise = ["clean it", "remove the noise"]', encoding="utf-8")
    flags = {
        "out": "x", "augment": "crop,flip", "degrade": "bsrgan", "variants": 8, "ema": 0.99,
        "curriculum": "0=512, 10=1024", "prompts": str(wordings), "latents": "kept",
    }  # fmt: skip
    table = flags | {
        "augment": ["crop", "flip"], "curriculum": {"0": 512, "10": 1024},
        "prompts": {"denoise": ["clean it", "remove the noise"]},
    }  # fmt: skip
    config = train_config(flags, "here")
    assert config == train_config(table, "there")
    assert (config.ema, config.optimizer, str(config.latents)) == (0.99, "adamw", "kept")
    assert config.variation.curriculum == ((0, 512), (10, 1024))
    assert config.variation.prompts == {"denoise": ("clean it", "remove the noise")}
    assert train_config({"out": "x"}, "here").variation == UNVARIED


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            {"curriculum": "512"},
            "expected EPOCH=SIDE,... such as 0=512,10=1024, found '512', which",
        ),
        ({"curriculum": "0=16, 4"}, "found '4', which has no ="),
        ({"curriculum": " , "}, "found nothing"),
        ({"curriculum": "0=8"}, "found '0=8', whose side is below 16 pixels"),
        ({"curriculum": "0=16,1=x"}, "found '1=x', whose side is no whole number"),
        ({"curriculum": "-1=16"}, "found '-1=16', whose epoch is no whole number"),
        ({"curriculum": {"a": 16}}, "found 'a=16', whose epoch is no whole number"),
        ({"augment": ["crop", "crop"]}, "f.toml: augment: expected each once, found crop twice"),
        ({"prompts": {"denoise": "one"}}, "expected different wordings"),
        ({"prompts": {"denoise": ["a", "a"]}}, "expected different wordings"),
        ({"prompts": {"denoise": [["a"]]}}, "expected different wordings"),
        ({"prompts": "none.toml"}, "none.toml: expected a TOML file"),
        ({"ema": 1}, "ema: expected a number from 0 and below 1, found 1.0"),
        ({"variants": 0}, "variants: expected a whole number from 1 on, found 0"),
        ({"optimizer": "adam"}, "optimizer: expected one of "),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(setting, said):
    from e2r_bench.commands.train import train_config

    with pytest.raises(UsageError) as caught:
        train_config({"out": "x"} | setting, "f.toml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_curriculum_is_a_flag_too(capsys, tmp_path):
    from e2r_bench.cli import main

    asked = ["train", "--tasks", "denoise", "--pairs", "16", "--out", str(tmp_path / "a")]
    stages = ["--epochs", "3", "--curriculum", "0=16,2=32", "--dry-run"]
    assert main([*asked, *stages]) == 0
    assert "96 of 96 steps to train" in capsys.readouterr().out
    assert main([*asked, *stages, "--augment", "crop,flip,crop"]) == 2
    assert "--augment: expected each once, found crop twice" in capsys.readouterr().err


def with_prompts(tmp_path):
    """A list of four pairs with captions, and wordings for their task."""
    rows = ["image_path,condition_image_path,caption"]
    for index in range(4):
        write_png(tmp_path / f"{index}.png", np.full((32, 32, 3), index, np.uint8))
        rows.append(f"{index}.png,{index}.png,number {index}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    (tmp_path / "wordings.toml").write_text('denoise = ["clean it", "denoise"]')
    return {
        "tasks": "denoise", "pairs": 4, "prompts": str(tmp_path / "wordings.toml"),
        "data": f"denoise={tmp_path / 'pairs.csv'}",
    }  # fmt: skip


def small_pictures(tmp_path):
    for index in range(4):
        write_png(tmp_path / "small" / f"{index}.png", np.zeros((12, 40, 3), np.uint8))
    return {"tasks": "denoise", "pairs": 4, "data": f"denoise={tmp_path / 'small'}"}


def few_pictures(tmp_path):
    return small_pictures(tmp_path) | {"pairs": 8}


def seen_pictures(tmp_path):
    write_png(tmp_path / "one" / "0.png", np.zeros((32, 32, 3), np.uint8))
    held = f"denoise={tmp_path / 'one'}"
    return {"tasks": "denoise", "pairs": 1, "data": held, "test": str(tmp_path / "one")}


def foreign(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    return str(tmp_path / "photos")


def another_training(tmp_path):
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "training.json").write_text('{"seed": 7}')
    return str(tmp_path / "held")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: {"resolution": 18}, "whose side is a multiple of 4 and 8 or more, found 18"),
        (lambda _: {"curriculum": "0=16,1=18", "epochs": 2}, "multiple of 4 and 8 or more, found"),
        (lambda _: {"resolution": 512}, "derain: expected sides of at most 256, that of painted"),
        (lambda _: {"pairs": 48}, "expected a number of pairs that divides 128"),
        (with_prompts, "--prompts: the pairs of denoise have captions of their own"),
        (small_pictures, "expected at least 16x16 pixels to crop, found 40x12"),
        (few_pictures, "expected at least 8 pairs to choose from, found 4"),
        (seen_pictures, "1 training pictures also stand in the test set"),
        (lambda p: {"out": foreign(p)}, "photos: expected an empty folder, or one that this comma"),
        (lambda p: {"out": another_training(p)}, "held holds a training with base = None"),
        (lambda p: {"latents": foreign(p)}, "photos: expected an empty folder, or one that this"),
        (lambda p: {"latents": f"{foreign(p)}/a.png"}, "a.png: expected a folder, found a file"),
    ],
)
def test_what_a_training_is_refused_for_its_dry_run_is_too(make, said, base, tmp_path):
    from e2r_adapters.train import train
    from e2r_bench.arms.dry import dry_training
    from e2r_bench.commands.train import train_config

    plain = {
        "backbone": base, "tasks": "derain", "pairs": 1, "epochs": 1, "resolution": 16,
        "device": "cpu", "sample_every": 0, "out": str(tmp_path / "a"),
    }  # fmt: skip
    config = train_config(plain | make(tmp_path), "here")
    told = []
    for begin in (lambda: list(dry_training(config)), lambda: train(config)):
        with pytest.raises(UsageError) as caught:
            begin()
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert said in told[0]
    assert not (tmp_path / "a").exists()


def test_the_command_trains_and_says_what_it_did(base, tmp_path):
    from click.testing import CliRunner

    from e2r_bench.commands.train import command

    settings = tmp_path / "t.toml"
    settings.write_text(
        f'backbone = "{base}"\ntasks = "derain"\npairs = 1\nepochs = 1\nresolution = 16\n'
        f'device = "cpu"\nsample_every = 0\nout = "{tmp_path / "a"}"\n'
    )
    result = CliRunner().invoke(command, [str(settings), "--seed", "3"], catch_exceptions=False)
    assert "32 steps of profile nano+epochs=1+resolution=16" in result.output
    assert inspect(tmp_path / "a" / lora.ADAPTER_FILE).record["seed"] == 3
