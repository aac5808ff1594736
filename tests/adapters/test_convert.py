"""Adapters of every dialect, converted: the same effect on every Linear, alpha kept, or refused."""

import json
from dataclasses import dataclass

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from e2r_adapters.editors.families import family_called
from e2r_adapters.lora import convert, inspect, load
from e2r_metrics.base.errors import UsageError

RANK = 6


@dataclass(frozen=True)
class Case:
    """A family's Linears as the original model has them: name -> those that diffusers has instead.

    Alphas are uneven, as kohya's own for each layer are.
    """

    family: str
    linears: dict[str, tuple[str, ...]]


QKV = tuple(f"transformer_blocks.0.attn.{name}" for name in ("to_q", "to_k", "to_v"))
CASES = [
    Case(
        "kontext",
        {
            "double_blocks.0.img_attn.qkv": QKV,
            "double_blocks.0.txt_mlp.0": ("transformer_blocks.0.ff_context.net.0.proj",),
            "single_blocks.0.linear2": ("single_transformer_blocks.0.proj_out",),
            # diffusers' own converter forgets the alpha of this one.
            "final_layer.linear": ("proj_out",),
            # ... and leaves out the network's name before this one.
            "img_in": ("x_embedder",),
        },
    ),
    Case(
        "klein",
        {
            "double_blocks.0.img_attn.qkv": QKV,
            "double_blocks.0.img_mlp.2": ("transformer_blocks.0.ff.linear_out",),
            "single_blocks.1.linear1": ("single_transformer_blocks.1.attn.to_qkv_mlp_proj",),
            "final_layer.linear": ("proj_out",),
        },
    ),
    Case(
        "qwen-edit",
        {
            name: (name,)
            for name in (
                "transformer_blocks.0.attn.to_q", "transformer_blocks.1.attn.to_add_out",
                "transformer_blocks.1.img_mlp.net.0.proj", "transformer_blocks.0.txt_mod.1",
                "proj_out", "time_text_embed.timestep_embedder.linear_1",
            )
        },
    ),
]  # fmt: skip


@pytest.fixture
def pipe_of(make_tiny_pipe, make_klein, make_qwen):
    return {"kontext": make_tiny_pipe, "klein": make_klein, "qwen-edit": make_qwen}


def alpha_of(place):
    return float(1 + place)


def matrices(case, pipe, by_theirs=True):
    """Random halves for each Linear by the original model's names, or by diffusers'."""
    generator = torch.Generator().manual_seed(1)
    made = {}
    for theirs, ours in case.linears.items():
        for names in (ours,) if by_theirs else [(name,) for name in ours]:
            found = [pipe.transformer.get_submodule(name) for name in names]
            rows = sum(linear.out_features for linear in found)
            made[theirs if by_theirs else names[0]] = (
                torch.randn(RANK, found[0].in_features, generator=generator),
                torch.randn(rows, RANK, generator=generator),
            )
    return made


def effects(case, pipe, made, by_theirs=True):
    """What is to be added to each Linear of diffusers': alpha / rank times B A, cut where fused."""
    wanted = {}
    for place, (name, (a, b)) in enumerate(made.items()):
        ours = case.linears[name] if by_theirs else (name,)
        sizes = [pipe.transformer.get_submodule(one).out_features for one in ours]
        whole = alpha_of(place) / RANK * (b @ a)
        wanted |= dict(zip(ours, torch.split(whole, sizes), strict=True))
    return wanted


def keyed(template, made, halves=("lora_down", "lora_up"), alphas=True, flat=False):
    out = {}
    for place, (name, pair) in enumerate(made.items()):
        stem = template.format(name.replace(".", "_") if flat else name)
        for half, tensor in zip(halves, pair, strict=True):
            out[f"{stem}.{half}.weight"] = tensor.contiguous()
        if alphas:
            out[f"{stem}.alpha"] = torch.tensor(alpha_of(place))
    return out


LAST = Case("kontext", {"final_layer.linear": ("proj_out",)})
"""Its name is the ending of others, in single blocks, which PEFT must not adapt too."""

AB = ("lora_A", "lora_B")
DIALECTS = {
    "kohya": ("kohya", lambda made: keyed("lora_unet_{}", made, flat=True)),
    "comfyui": ("comfyui", lambda made: keyed("diffusion_model.{}", made)),
    "ai-toolkit": ("comfyui", lambda made: keyed("diffusion_model.{}", made, AB)),
}


def written(path, tensors):
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path)
    return path


def deltas(pipe, names, adapter):
    return {n: pipe.transformer.get_submodule(n).get_delta_weight(adapter) for n in names}


def check(case, build, source, wanted, tmp_path):
    """The converted file in bare diffusers, and the source in a run, have the wanted effect."""
    family = family_called(case.family)
    report = convert(source, tmp_path / "out", family=family)
    assert report.problems == ()
    assert report.layout == "diffusers"
    bare = build()
    bare.load_lora_weights(str(tmp_path / "out"), adapter_name="a")
    mine = build()
    load(family.open(mine), source, "a")
    for pipe in (bare, mine):
        for name, delta in deltas(pipe, wanted, "a").items():
            torch.testing.assert_close(delta, wanted[name], rtol=1e-5, atol=1e-5)
        adapted = [n for n, m in pipe.transformer.named_modules() if hasattr(m, "lora_A")]
        assert sorted(adapted) == sorted(wanted)


@pytest.mark.parametrize("case", [*CASES, LAST], ids=["kontext", "klein", "qwen-edit", "last"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_foreign_adapter_has_the_same_effect(pipe_of, tmp_path, case, dialect):
    build = pipe_of[case.family]
    pipe = build()
    made = matrices(case, pipe)
    layout, write = DIALECTS[dialect]
    source = written(tmp_path / "in" / "a.safetensors", write(made))
    direct = case.family == "qwen-edit" and dialect != "kohya"
    assert inspect(source, family=family_called(case.family)).layout == (
        "prefixed" if direct else layout
    )
    check(case, build, source, effects(case, pipe, made), tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family)
@pytest.mark.parametrize("dialect", ["peft", "alphas", "bare"])
def test_diffusers_names_in_other_clothes_have_the_same_effect(pipe_of, tmp_path, case, dialect):
    build = pipe_of[case.family]
    pipe = build()
    made = matrices(case, pipe, by_theirs=False)
    if dialect == "bare":
        made = {name: pair for name, pair in made.items() if "blocks" in name}
    template = {"peft": "base_model.model.{}", "alphas": "transformer.{}", "bare": "{}"}[dialect]
    tensors = keyed(template, made, AB, alphas=dialect != "peft")
    source = tmp_path / "in" / "adapter_model.safetensors"
    written(source, tensors)
    if dialect == "peft":
        alphas = {f"^{name}": alpha_of(place) for place, name in enumerate(made)}
        told = {"r": RANK, "lora_alpha": 99, "alpha_pattern": alphas, "target_modules": list(made)}
        source.with_name("adapter_config.json").write_text(json.dumps(told))
        source = source.parent
    check(case, build, source, effects(case, pipe, made, by_theirs=False), tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family)
def test_a_block_diagonal_fusion_is_taken_apart(pipe_of, tmp_path, case):
    """Trainers that split q, k and v write a fused B that is zero off its blocks: ranks fall."""
    if case.family == "qwen-edit":
        pytest.skip("it has no fused Linears")
    build = pipe_of[case.family]
    pipe = build()
    name = "double_blocks.0.img_attn.qkv"
    a, b = matrices(case, pipe)[name]
    mask = torch.block_diag(*[torch.ones(b.shape[0] // 3, RANK // 3)] * 3)
    made = {"double_blocks.0.txt_attn.proj": matrices(case, pipe)[name], name: (a, b * mask)}
    rows = pipe.transformer.transformer_blocks[0].attn.to_add_out.out_features
    made["double_blocks.0.txt_attn.proj"] = (a.clone(), b[:rows])
    both = Case(case.family, {"double_blocks.0.txt_attn.proj": (
        "transformer_blocks.0.attn.to_add_out",), name: QKV})  # fmt: skip
    source = written(tmp_path / "in" / "a.safetensors", DIALECTS["kohya"][1](made))
    check(both, build, source, effects(both, pipe, made), tmp_path)
    ranks = inspect(tmp_path / "out").transformer.ranks
    assert ranks == (RANK // 3, RANK)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family)
def test_even_scales_and_half_precision_stay_as_they_are(pipe_of, tmp_path, case):
    made = {
        name: tuple(half.bfloat16() for half in pair)
        for name, pair in matrices(case, pipe_of[case.family]()).items()
    }
    tensors = keyed("lora_unet_{}", made, flat=True)
    tensors |= {key: torch.tensor(3.0) for key in tensors if key.endswith(".alpha")}
    source = written(tmp_path / "a.safetensors", tensors)
    family = family_called(case.family)
    report = convert(source, tmp_path / "b.safetensors", family=family)
    assert (report.dtypes, report.transformer.alpha, report.transformer.scale) == (
        ("BF16",), 3.0, 0.5,
    )  # fmt: skip
    found = load_file(tmp_path / "b.safetensors")
    one = next(iter(case.linears))
    assert torch.equal(found[f"transformer.{case.linears[one][0]}.lora_A.weight"], made[one][0])
    with safe_open(tmp_path / "b.safetensors", framework="pt") as file:
        origin = json.loads(file.metadata()["e2r_converted_from"])
    assert origin["layout"] == "kohya"
    assert len(origin["sha256"]) == 64
    again = convert(source, tmp_path / "c.safetensors", family=family)
    assert again.problems == ()
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()


def simple(tmp_path, names=("double_blocks.0.img_attn.proj",), **more):
    pairs = {name: (torch.ones(4, 32), torch.ones(32, 4)) for name in names}
    return written(
        tmp_path / "in" / "a.safetensors", keyed("lora_unet_{}", pairs, flat=True) | more
    )


@pytest.mark.parametrize(
    ("names", "family", "said"),
    [
        # The converter for FLUX.2 logs these two and drops them.
        (["double_blocks.0.img_attn.proj", "double_stream_modulation_img.lin"], "klein",
         "leaves out 1 of 2 Linears of it, such as double_stream_modulation_img_lin"),
        (["double_blocks.0.img_attn.proj", "final_layer.adaLN_modulation.1"], "klein",
         "leaves out 1 of 2"),
        (["double_blocks.0.img_mlp.0"], None, "such as kontext, klein, fill have.* --family"),
        (["double_blocks.0.img_attn.proj"], "qwen-edit", "kohya keys of another family"),
        (["double_blocks.0.img_attn.proj"], "flux", "unknown family 'flux'"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_whole_is_refused(tmp_path, names, family, said):
    source = simple(tmp_path, names)
    with pytest.raises(UsageError, match=said) as caught:
        convert(source, tmp_path / "out", family=family and family_called(family))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("lora_unet_double_blocks_0_img_attn_proj.dora_scale", "1 keys that are no pairs"),
        ("lora_unet_double_blocks_0_txt_attn_proj.lora_up.weight", "1 keys that are no pairs"),
        ("lora_unet_double_blocks_0_img_attn_proj.diff_b", "1 keys that are no pairs"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", "kohya text-encoder keys"),
    ],
)
def test_a_key_that_would_be_dropped_is_refused_by_both(make_tiny_pipe, tmp_path, key, said):
    source = simple(tmp_path, **{key: torch.ones(32, 4)})
    with pytest.raises(UsageError, match=said):
        convert(source, tmp_path / "out")
    kontext = family_called("kontext")
    with pytest.raises(UsageError, match=said):
        load(kontext.open(make_tiny_pipe()), source, "a")


def test_alpha_is_never_guessed(tmp_path):
    tensors = load_file(simple(tmp_path))
    source = written(
        tmp_path / "lost" / "a.safetensors",
        {key: tensor for key, tensor in tensors.items() if not key.endswith(".alpha")},
    )
    with pytest.raises(UsageError, match=r"alpha lost: no \.alpha tensor"):
        convert(source, tmp_path / "out")
    report = convert(source, tmp_path / "out", alpha=2)
    assert (report.transformer.alpha, report.transformer.scale) == (2.0, 0.5)


def test_neither_a_file_that_is_there_nor_diffusers_own_is_written(tmp_path):
    source = simple(tmp_path)
    convert(source, tmp_path / "out")
    before = (tmp_path / "out" / "pytorch_lora_weights.safetensors").read_bytes()
    with pytest.raises(UsageError, match="expected a place for a new file"):
        convert(source, tmp_path / "out")
    with pytest.raises(UsageError, match="found diffusers' own: use it as it is"):
        convert(tmp_path / "out", tmp_path / "again")
    assert (tmp_path / "out" / "pytorch_lora_weights.safetensors").read_bytes() == before


def test_an_unambiguous_family_is_found_by_what_its_converter_makes_of_the_file(
    make_klein, tmp_path
):
    """Names that FLUX.1 has too, of sizes that only FLUX.2's single blocks have."""
    case = Case("klein", {"single_blocks.0.linear1": (
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj",)})  # fmt: skip
    source = written(tmp_path / "a.safetensors", DIALECTS["kohya"][1](matrices(case, make_klein())))
    assert inspect(source).family == "klein"
    assert convert(source, tmp_path / "out").problems == ()


def test_the_command_converts_and_says_what_it_wrote(tmp_path):
    from e2r_bench.commands.adapter import command

    run = CliRunner().invoke(
        command, ["convert", str(simple(tmp_path)), str(tmp_path / "b.safetensors")]
    )
    assert run.exit_code == 0
    assert "rank 4, alpha 1, scale after load 0.25" in run.output
    again = CliRunner().invoke(
        command,
        ["convert", str(simple(tmp_path)), str(tmp_path / "c.safetensors"), "--family", "kontex"],
        standalone_mode=False,
    )
    assert "did you mean 'kontext'" in str(again.exception)
