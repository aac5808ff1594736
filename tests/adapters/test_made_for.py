"""An adapter of another base is refused by its file, before anything is sampled."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from e2r_adapters.catalog import METHODS
from e2r_adapters.editors.miniatures import miniature_folder
from e2r_adapters.editors.releases import FULL
from e2r_adapters.lora.header import ADAPTER_FILE
from e2r_baselines.method import spec_of
from e2r_bench.cli import main
from e2r_metrics.base.errors import UsageError

_EMBEDDED = miniature_folder("kontext-nano").parent
ADAPTERS = {
    name: _EMBEDDED / folder / "denoise" / ADAPTER_FILE
    for name, folder in (
        ("kontext", "adapters"), ("fill", "fill-nano-adapters"), ("klein", "klein-nano-adapters"),
    )
}  # fmt: skip


def refused(method: str, adapter: Path, backbone: str = "auto") -> str:
    with pytest.raises(UsageError) as caught:
        spec_of(METHODS[method], {"adapter": adapter, "backbone": backbone})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("method", "adapter", "said"),
    [
        ("klein_lora", "kontext", "made for kontext-nano, found backbone klein-nano; run kontext_"),
        ("kontext_lora", "klein", "made for klein-nano, found backbone kontext-nano; run klein_l"),
        ("icedit", "kontext", "made for kontext-nano, found backbone fill-nano; run kontext_lora"),
        ("kontext_lora", "fill", "made for fill-nano, found backbone kontext-nano; run icedit "),
        ("qwen_edit_lora", "klein", "made for klein-nano, found backbone Qwen/"),
        ("icedit_moe", "fill", "a plain LoRA made for fill-nano; run icedit"),
    ],
)
def test_an_adapter_of_another_family_is_refused_by_name(
    method: str, adapter: str, said: str
) -> None:
    told = refused(method, ADAPTERS[adapter])
    assert said in told
    assert str(ADAPTERS[adapter]) in told


def test_an_adapter_of_another_model_of_its_family_is_refused_too(
    base: str, tmp_path: Path
) -> None:
    told = refused("kontext_lora", ADAPTERS["kontext"], FULL)
    assert f"made for kontext-nano, found backbone {FULL}; give --set backbone=kontext-n" in told
    # By the fingerprint of the weights: names say nothing of a folder.
    assert "made for kontext-nano" in refused("kontext_lora", ADAPTERS["kontext"], base)


def test_other_peoples_adapters_are_told_by_their_linears(tmp_path: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(ADAPTERS["kontext"]), bare)
    assert "made for the family kontext or fill, found" in refused("klein_lora", bare)
    save_file(load_file(ADAPTERS["klein"]), bare)
    assert "made for the family klein, found" in refused("kontext_lora", bare)
    # Whose they may be, they are not refused for: the network itself decides.
    save_file(load_file(ADAPTERS["kontext"]), bare)
    for method in ("icedit", "kontext_lora"):
        spec_of(METHODS[method], {"adapter": bare})


@pytest.mark.parametrize(
    ("method", "adapter"),
    [("kontext_lora", "kontext"), ("klein_lora", "klein"), ("icedit", "fill")],
)
def test_their_own_base_takes_them(method: str, adapter: str) -> None:
    spec_of(METHODS[method], {"adapter": ADAPTERS[adapter]})


def test_a_run_is_refused_before_anything_is_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    asked = ["run", "--methods", "nlm,klein_lora", "--tasks", "denoise25", "--limit", "2"]
    given = ["--set", f"klein_lora.adapter={ADAPTERS['kontext']}", "--out", str(out)]
    assert main([*asked, *given, "--offline", "--metrics", "psnr"]) == 2
    assert "an adapter for another base: made for kontext-nano" in capsys.readouterr().err
    assert not out.exists()
