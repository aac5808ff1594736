"""The one loader: what is unwrapped, what is refused, and what the message says."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from e2r_baselines.adair import AdaIR, open_adair
from e2r_baselines.bioir import BioIR, open_bioir
from e2r_baselines.checkpoints import averaged, load_strict, looks_like
from e2r_baselines.diffuir import open_diffuir
from e2r_baselines.diffuir_unet import SIZES, DiffUIR
from e2r_baselines.instructir import InstructIR
from e2r_baselines.lora_ir import LoRAIR, open_lora_ir, with_experts
from e2r_baselines.lora_ir_router import open_router
from e2r_baselines.method import Build, Compute
from e2r_baselines.moce_ir import MoCEIR
from e2r_baselines.prenet import PReNet, open_prenet
from e2r_baselines.promptir import NANO, PromptIR
from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.errors import UsageError


@pytest.fixture
def network() -> PReNet:
    torch.manual_seed(0)
    return PReNet()


def loads(path: Path, network: nn.Module) -> bool:
    other = PReNet()
    load_strict(other, read_tensors(path), path, "PReNet")
    wanted = network.state_dict()
    return all(torch.equal(value, wanted[key]) for key, value in other.state_dict().items())


def test_plain_and_safetensors_files_load(tmp_path: Path, network: PReNet) -> None:
    plain, safe = tmp_path / "a.pth", tmp_path / "a.safetensors"
    torch.save(network.state_dict(), plain)
    save_file(network.state_dict(), safe)
    assert loads(plain, network)
    assert loads(safe, network)


@pytest.mark.parametrize("prefix", ["net.", "module.", "module.net."])
def test_lightning_wrappers_prefixes_and_losses_come_off(
    tmp_path: Path, network: PReNet, prefix: str
) -> None:
    tensors: dict[str, Tensor] = {prefix + k: v for k, v in network.state_dict().items()}
    tensors["loss_fn.weight"] = torch.ones(3)
    path = tmp_path / "model.ckpt"
    torch.save({"epoch": 3, "state_dict": tensors, "optimizer_states": [{"lr": 1.0}]}, path)
    assert loads(path, network)


def test_the_averaged_weights_are_taken_and_said(tmp_path: Path, network: PReNet) -> None:
    torch.manual_seed(1)
    raw, path = PReNet().state_dict(), tmp_path / "net.pth"
    torch.save({"params": raw, "params_ema": network.state_dict()}, path)
    assert loads(path, network)
    assert averaged(path) == "params_ema"
    torch.save({"state_dict": raw, "ema": network.state_dict(), "epoch": 3}, path)
    assert loads(path, network)
    assert averaged(path) == "ema"


@pytest.mark.parametrize("wrapper", ["params", "params_ema", "state_dict", None])
def test_where_nothing_was_chosen_nothing_is_said(
    tmp_path: Path, network: PReNet, wrapper: str | None
) -> None:
    path, tensors = tmp_path / "net.pth", network.state_dict()
    torch.save({wrapper: tensors, "epoch": 3} if wrapper else tensors, path)
    assert loads(path, network)
    assert averaged(path) == ""


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_with_code_is_refused_unrun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], legacy: bool
) -> None:
    path = tmp_path / "evil.pth"
    if legacy:
        path.write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    else:
        torch.save({"state_dict": Evil()}, path)
    with pytest.raises(UsageError, match="refused") as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read|refused"),
        (b"not a checkpoint at all", "cannot be read|refused"),
        (b"PK\x03\x04 truncated archive", "cannot be read"),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)
    path.rename(tmp_path / "broken.safetensors")
    with pytest.raises(UsageError, match="cannot be read"):
        read_tensors(tmp_path / "broken.safetensors")


def test_a_missing_file_and_a_file_without_tensors_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_tensors(tmp_path / "gone.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(UsageError, match=r"found none.*epoch"):
        read_tensors(tmp_path / "empty.pth")
    torch.save(torch.ones(3), tmp_path / "bare.pth")
    with pytest.raises(UsageError, match="found Tensor; save the state_dict"):
        read_tensors(tmp_path / "bare.pth")


def test_another_network_is_named_with_the_first_keys_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(
        {"state_dict": {"net." + k: v for k, v in PromptIR(NANO).state_dict().items()}}, path
    )
    with pytest.raises(UsageError) as caught:
        open_prenet(Build("prenet", ("file",)), {"file": path}, Compute())
    message = str(caught.value)
    assert str(path) in message
    assert "expected PReNet (32 tensors), found PromptIR" in message
    assert "32 missing: conv0.0.weight" in message
    assert "unexpected: patch_embed.proj.weight" in message


def test_another_width_is_named_by_its_shapes(tmp_path: Path) -> None:
    path = tmp_path / "nano.safetensors"
    save_file(PromptIR(NANO).state_dict(), path)
    wide = PromptIR(NANO)
    wide.output = nn.Conv2d(48, 3, 3, bias=False)
    with pytest.raises(UsageError, match=r"1 of another shape: output\.weight"):
        load_strict(wide, read_tensors(path), path, "promptir")


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (PromptIR, "PromptIR"),
        (InstructIR, "InstructIR"),
        (MoCEIR, "MoCE-IR"),
        (AdaIR, "AdaIR"),
        (BioIR, "BioIR"),
        (lambda: DiffUIR(SIZES["diffuir-l"]), "DiffUIR"),
        (lambda: with_experts(LoRAIR()), "LoRA-IR"),
    ],
)
def test_networks_are_recognised(network: Callable[[], nn.Module], name: str) -> None:
    with torch.device("meta"):
        tensors: Mapping[str, Tensor] = network().state_dict()
    assert looks_like(tensors).startswith(name)


def test_a_file_of_another_network_is_refused_with_its_likely_name(tmp_path: Path) -> None:
    nano, size_t = tmp_path / "nano.ckpt", tmp_path / "t.pt"
    torch.save(
        {"state_dict": {f"net.{k}": v for k, v in PromptIR(NANO).state_dict().items()}}, nano
    )
    torch.save(DiffUIR(SIZES["diffuir-t"]).state_dict(), size_t)
    files = {"file": nano}
    with pytest.raises(UsageError, match=r"expected bioir-3d \(907 tensors\), found PromptIR"):
        open_bioir(Build("bioir-3d", ("file",)), files, Compute())
    with pytest.raises(UsageError, match=r"expected diffuir-t \(276 tensors\), found PromptIR"):
        open_diffuir(Build("diffuir-t", ("file",)), files, Compute())
    with pytest.raises(UsageError, match=r"diffuir-s .*found DiffUIR .* of another shape"):
        open_diffuir(Build("diffuir-s", ("file",)), {"file": size_t}, Compute())


@pytest.mark.slow
def test_the_large_networks_refuse_a_wrong_file_too(tmp_path: Path) -> None:
    path = tmp_path / "nano.ckpt"
    torch.save(PromptIR(NANO).state_dict(), path)
    with pytest.raises(UsageError, match=r"expected adair-3d \(587 tensors\), found PromptIR"):
        open_adair(Build("adair-3d", ("file",)), {"file": path}, Compute())
    with pytest.raises(UsageError, match=r"setting I \(1219 tensors\), found PromptIR"):
        open_lora_ir(Build("lora-ir", ("file", "file")), {"file": path}, Compute())
    with pytest.raises(UsageError, match=r"router \(398 tensors\), found PromptIR"):
        open_router(path, Compute())


def test_a_lora_adapter_and_a_stranger_are_recognised() -> None:
    assert looks_like({"transformer.x.lora_A.weight": torch.ones(1)}) == "a LoRA adapter"
    assert looks_like({"a": torch.ones(1)}) == "no network known here"
