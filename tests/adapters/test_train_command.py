"""`e2r-bench train`: flags and files to a training, and what it says afterwards."""

import pytest

from e2r_adapters import lora
from e2r_adapters.lora import inspect
from e2r_adapters.train.variation import UNVARIED
from e2r_metrics.base.errors import UsageError


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
        ({"curriculum": "512"}, "expected EPOCH=SIDE,... such as 0=512"),
        ({"curriculum": "0=8"}, "sides from 16 on"),
        ({"curriculum": {"a": 16}}, "expected EPOCH=SIDE"),
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
