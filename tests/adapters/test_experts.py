"""Training a mixture: what learns, what is written, and that it comes back as it was."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch

from e2r_adapters import lora
from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import Instruction
from e2r_adapters.editors.fill import FILL
from e2r_adapters.lora.mixture import attach_mixture, mixtures_of, put_on
from e2r_adapters.lora.mixture_files import is_mixture, read_mixture
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_adapters.train import checkpoint, loop, select
from e2r_adapters.train.experts import expert_counts
from e2r_adapters.train.record import record_of, trained_as
from e2r_adapters.train.session import open_session
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_baselines.method import Compute, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_bench.commands.train import train_config
from e2r_metrics.base.errors import UsageError

# diffusers 0.36 knows only the old name of the argument.
pytestmark = pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")

TARGETS = FILL.lora.parts["transformer"].targets["full"]
PHOTO = Photo("a", np.random.default_rng(0).random((16, 24, 3), dtype=np.float32))


@pytest.fixture
def asked(config, make_fill, tmp_path):
    """A training of a mixture on the tiny Fill pipeline, 6 steps."""
    make_fill().save_pretrained(tmp_path / "fill")
    profile = dataclasses.replace(config.profile, exposure=4, epochs=3, rank=4, alpha=2)
    return dataclasses.replace(
        config, backbone=str(tmp_path / "fill"), profile=profile, experts=4, pairs=2
    )


def changed(config, **fields):
    return dataclasses.replace(config, **fields)


def fresh(make_fill, asked):
    """The network before the training, and what is to be trained, in the training's order."""
    network = make_fill().transformer
    counts = expert_counts(network, TARGETS, asked.experts)
    return network, attach_mixture(network, counts, 4, 2, asked.routing, asked.seed)


def test_the_feed_forward_linears_have_experts(make_fill):
    counts = expert_counts(make_fill().transformer, TARGETS, 4)
    assert Counter(counts.values()) == {4: 2, 1: len(counts) - 2}
    assert {n.rpartition("blocks.0.")[2] for n, count in counts.items() if count == 4} == {
        "ff.net.2", "proj_out",
    }  # fmt: skip
    assert "proj_out" not in counts


def test_one_expert_is_pefts_lora_through_a_training_step(make_fill):
    generator = torch.Generator().manual_seed(3)
    pipes, losses, gradients = (make_fill(), make_fill()), [], []
    lora.attach(pipes[0].transformer, TARGETS, 4, 2, seed=0)
    counts = expert_counts(pipes[1].transformer, TARGETS, 4)
    attach_mixture(pipes[1].transformer, dict.fromkeys(counts, 1), 4, 2, "switch", seed=0)
    for name, mine in mixtures_of(pipes[1].transformer).items():
        theirs = pipes[0].transformer.get_submodule(name)
        for part, whole in ((theirs.lora_A, mine.a), (theirs.lora_B, mine.b)):
            drawn = 0.1 * torch.randn(whole.shape, generator=generator)
            part["default"].weight.data, whole.data = drawn[0].clone(), drawn.clone()
    for pipe in pipes:
        editor = FILL.open(pipe)
        (given,) = editor.condition(PHOTO, [Instruction("remove the noise", 1.0, 32)])
        drawn = torch.Generator().manual_seed(4)
        clean, noise = (torch.randn(1, *given.shape, generator=drawn) for _ in range(2))
        batch = Batch(clean, editor.together([given]), noise, torch.tensor([0.4]))

        def velocity(x, sigma, editor=editor, batch=batch):
            return editor.velocity(x, sigma, batch.conditioning)

        loss = flow_matching_loss(velocity, batch, editor.training_levels())
        loss.backward()
        losses.append(loss.item())
    for name, mine in mixtures_of(pipes[1].transformer).items():
        theirs = pipes[0].transformer.get_submodule(name)
        pairs = (theirs.lora_A["default"], mine.a), (theirs.lora_B["default"], mine.b)
        gradients += [(one.weight.grad, other.grad[0]) for one, other in pairs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in gradients)
    assert max(float(one.abs().max()) for one, _ in gradients) > 1e-3


@pytest.mark.parametrize(
    ("routing", "learns"), [("switch", True), ("top2", True), ("released", False)]
)
def test_the_routers_gradient_in_the_loop(asked, routing, learns):
    config = loop.made_concrete(changed(asked, routing=routing))
    session = open_session(config, select(config))
    for one in mixtures_of(session.editor.networks["transformer"]).values():
        # Fresh experts say nothing yet, so that no router could learn from them.
        one.b.data.normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    loop._loss(session, session.batch(0)).backward()
    routed = [one for one in mixtures_of(session.editor.networks["transformer"]).values()
              if one.route is not None]  # fmt: skip
    assert len(routed) == 2
    for one in routed:
        assert (one.route.grad.abs().max() > 0) == learns
        assert one.a.grad.abs().max() > 0


@pytest.mark.parametrize(("routing", "learns"), [("switch", True), ("released", False)])
def test_a_training_moves_the_router_that_is_trained(asked, make_fill, routing, learns):
    asked = changed(asked, routing=routing)
    made = loop.train(asked)
    before = mixtures_of(fresh(make_fill, asked)[0])
    after = read_mixture(made.adapter, make_fill().transformer).linears
    for name, one in before.items():
        assert not torch.equal(one.b.data, after[name].b)
        if one.route is None:
            continue
        # Without a gradient there is weight decay alone: every number shrinks by one factor.
        ratio = after[name].route / one.route.data
        assert (float(ratio.max() - ratio.min()) > 1e-4) == learns


def restored(asked, adapter, **options):
    options = {"backbone": asked.backbone, "adapter": adapter, "max_sequence_length": 96} | options
    spec = spec_of(METHODS["icedit_moe"], options)
    made = spec.open(spec.builds[0], {}, Compute("cpu", "float32", 1, None))
    (one,) = made.restore([PHOTO], TASKS["denoise25"], [Draw(0, 2)])
    return one.pixels, spec.builds[0].name


def test_what_was_trained_restores_the_same_picture_from_its_file(asked, make_fill):
    made = loop.train(asked)
    assert is_mixture(made.adapter)
    pipe = make_fill()
    file = read_mixture(made.adapter, pipe.transformer)
    # The weights as the training had them, not as the file has them.
    state = torch.load(checkpoint.found(asked.out)[-1], weights_only=True)["trained"]
    network, trained = fresh(make_fill, asked)
    for parameter, tensor in zip(trained, state, strict=True):
        parameter.data.copy_(tensor)
    for name, one in mixtures_of(network).items():
        assert torch.equal(one.a, file.linears[name].a)
        assert torch.equal(one.b, file.linears[name].b)
        assert one.route is None or torch.equal(one.route, file.linears[name].route)
    pipe.transformer = network
    settings = Settings(50.0, 96, "native", 1)
    kept = EditorRestorer(FILL.open(pipe), settings)
    (kept,) = kept.restore([PHOTO], TASKS["denoise25"], [Draw(0, 2)])
    picture, build = restored(asked, made.adapter)
    # Weights are equal; sums round by how they lie in memory.
    assert np.allclose(picture, kept.pixels, rtol=0, atol=1e-6)
    assert build.endswith("routing switch")
    assert file.record["experts"] == 4


def test_a_file_runs_as_it_was_trained_unless_a_control_is_asked_for(asked):
    made = loop.train(asked)
    own, _ = restored(asked, made.adapter)
    named, _ = restored(asked, made.adapter, routing="switch")
    other, build = restored(asked, made.adapter, routing="released")
    assert np.array_equal(own, named)
    assert not np.array_equal(own, other)
    assert build.endswith("routing released")


def test_a_finished_training_is_left_as_it_is(asked):
    first = loop.train(asked)
    content = first.adapter.read_bytes()
    again = loop.train(asked)
    assert again.resumed == again.steps
    assert first.adapter.read_bytes() == content
    with pytest.raises(UsageError, match="holds a training with routing = 'switch'"):
        loop.train(changed(asked, routing="released"))
    assert trained_as(asked.out)["routing"] == "switch"


def test_a_mixture_of_another_base_is_refused(asked, make_fill, tmp_path):
    made = loop.train(asked)
    make_fill(seed=1).save_pretrained(tmp_path / "other")
    with pytest.raises(UsageError, match="an adapter for another base"):
        restored(changed(asked, backbone=str(tmp_path / "other")), made.adapter)


def test_a_plain_training_is_recorded_as_before(config):
    config = loop.made_concrete(config)
    assert {"experts", "routing", "scale"}.isdisjoint(record_of(config, select(config)))


def test_a_mixture_put_on_again_counts_what_was_trained(asked, make_fill):
    made = loop.train(asked)
    network = make_fill().transformer
    file = read_mixture(made.adapter, network)
    put_on(network, file, "switch")
    _, trained = fresh(make_fill, asked)
    assert file.parameters == sum(p.numel() for p in trained)
    assert file.mixed == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"experts": 1}, "expected two or more"),
        ({"text_encoder": True}, "--text-encoder"),
        ({"routing": "random"}, "routing of a training"),
    ],
)
def test_what_cannot_be_trained_is_one_line(asked, fields, said):
    with pytest.raises(UsageError, match=said) as caught:
        loop.made_concrete(changed(asked, **fields))
    assert "\n" not in str(caught.value)


def test_other_families_have_no_method_for_a_mixture(config):
    with pytest.raises(UsageError, match="expected a backbone of the family fill"):
        loop.made_concrete(changed(config, experts=4))


def test_targets_without_a_mixed_linear_are_refused(make_fill):
    attention = FILL.lora.parts["transformer"].targets["attention"]
    with pytest.raises(UsageError, match="give --targets full"):
        expert_counts(make_fill().transformer, attention, 4)


@pytest.mark.parametrize(
    ("said", "routing"),
    [
        ({}, "switch"),
        ({"top_k": 1}, "switch"),
        ({"top_k": 2}, "top2"),
        ({"router": "released"}, "released"),
        ({"router": "released", "top_k": 2}, "top2"),
    ],
)
def test_the_flags_name_a_routing(said, routing):
    made = train_config({"out": "x", "experts": 4} | said, "the command line")
    assert (made.experts, made.routing) == (4, routing)


@pytest.mark.parametrize("said", [{"top_k": 1}, {"router": "released"}, {"top_k": 3}])
def test_flags_without_experts_are_refused(said):
    with pytest.raises(UsageError):
        train_config({"out": "x"} | said, "the command line")
