"""`spandrel:FILE`: networks of the library, and the two that it would mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from e2r_baselines.catalog import method_named
from e2r_baselines.instructir import InstructIR, InstructIRConfig
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, Pixels, spec_of
from e2r_baselines.promptir import NANO, PromptIR
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

# The library's own: it compiles a function when it is imported, and SwinIR makes a grid.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),
]
pytest.importorskip("spandrel", reason="the optional extra `spandrel` is not installed")


def nafnet() -> nn.Module:
    from spandrel.architectures.NAFNet import NAFNet

    return NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1])


def drunet() -> nn.Module:
    from spandrel.architectures.DRUNet import DRUNet

    return DRUNet(in_nc=4, out_nc=3, nc=[8, 8, 8, 8], nb=4)


def grey_dncnn() -> nn.Module:
    from spandrel.architectures.DnCNN import DnCNN

    return DnCNN(in_nc=1, out_nc=1, nc=8, nb=17, act_mode="R")


def swinir() -> nn.Module:
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        upscale=1, in_chans=3, img_size=64, window_size=8, depths=[1, 1], embed_dim=12,
        num_heads=[2, 2], mlp_ratio=2, upsampler="", resi_connection="1conv",
    )  # fmt: skip


def scunet() -> nn.Module:
    from spandrel.architectures.SCUNet import SCUNet

    return SCUNet(in_nc=3, config=[1, 1, 1, 1, 1, 1, 1], dim=64)


def mixdehazenet() -> nn.Module:
    from spandrel.architectures.MixDehazeNet import MixDehazeNet

    return MixDehazeNet(embed_dims=[24, 48, 96, 48, 24], depths=[1, 1, 2, 1, 1])


def restormer() -> nn.Module:
    pytest.importorskip("spandrel_extra_arches")
    from spandrel_extra_arches.architectures.Restormer import Restormer

    return Restormer(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1, heads=[1, 1, 1, 1])


def run(path: Path, picture: Pixels, task: str = "denoise25", **compute: Any) -> Pixels:
    spec = spec_of(method_named(f"spandrel:{path}"))
    restorer = spec.open(spec.builds[0], {}, Compute(**compute))
    (result,) = restorer.restore([Photo("a", picture)], TASKS[task], [DETERMINISTIC])
    return result.pixels


def picture(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def saved(network: nn.Module, folder: Path) -> Path:
    path = folder / "model.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize(
    "network", [nafnet, drunet, grey_dncnn, swinir, scunet, mixdehazenet, restormer]
)
def test_the_families_run_at_any_size(network: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = saved(network(), tmp_path)
    for size in ((21, 34), (1, 1)):
        out = run(path, picture(*size))
        assert out.shape == (*size, 3)
        assert np.isfinite(out).all()


def test_a_non_blind_network_is_told_the_tasks_noise(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = saved(drunet(), tmp_path)
    low, high = (run(path, picture(16, 16), task) for task in ("denoise15", "denoise50"))
    assert np.abs(low - high).max() > 1e-4


def test_a_grey_network_runs_on_each_channel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = grey_dncnn()
    path, given = saved(network, tmp_path), picture(64, 64)
    with torch.no_grad():
        green = network.eval()(torch.from_numpy(given[None, None, :, :, 1]))[0, 0].numpy()
    np.testing.assert_allclose(run(path, given)[..., 1], np.clip(green, 0, 1), atol=1e-5)


def test_the_build_carries_the_files_hash(tmp_path: Path) -> None:
    path = saved(nafnet(), tmp_path)
    (build,) = spec_of(method_named(f"spandrel:{path}")).builds
    name, _, digest = build.name.partition("@")
    assert name == "model"
    assert len(digest) == 12


def test_the_build_says_where_averaged_weights_were_chosen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, given = nafnet(), picture(16, 16)
    wanted = run(saved(network, tmp_path), given)
    path = tmp_path / "net_g.pth"
    torch.save({"params": nafnet().state_dict(), "params_ema": network.state_dict()}, path)
    spec = spec_of(method_named(f"spandrel:{path}"))
    assert spec.builds[0].name.endswith(" (params_ema)")
    assert spec.builds[0].own_files == {"file": path}
    np.testing.assert_array_equal(run(path, given), wanted)


def test_promptir_is_not_taken_for_restormer(tmp_path: Path) -> None:
    path = saved(PromptIR(NANO), tmp_path)
    with pytest.raises(UsageError, match=r"found PromptIR \(\d+\).*of another shape"):
        run(path, picture(8, 8))


def test_instructir_is_not_taken_for_nafnet(tmp_path: Path) -> None:
    small = InstructIR(InstructIRConfig(4, (1, 1), 1, (1, 1)))
    with pytest.raises(UsageError, match="--methods instructir"):
        run(saved(small, tmp_path), picture(8, 8))


def test_what_no_one_knows_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a network that spandrel knows"):
        run(saved(nn.Linear(3, 3), tmp_path), picture(8, 8))
    with pytest.raises(UsageError, match="found no such file"):
        method_named(f"spandrel:{tmp_path / 'gone.pth'}")


def test_a_network_that_changes_the_size_is_refused(tmp_path: Path) -> None:
    from spandrel.architectures.Compact import Compact

    double = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2)
    with pytest.raises(UsageError, match="scale 2"):
        run(saved(double, tmp_path), picture(8, 8))
