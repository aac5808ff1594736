"""One training step against a re-statement of the algorithm that shares no code with it."""

import pytest
import torch

from e2r_adapters import lora
from e2r_adapters.editors.flux_inputs import FluxConditioning
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.train.step import Batch, flow_matching_loss

GUIDANCE = 3.5


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    clean, condition, states, pooled = (
        draw(3, 4, 8, 12),
        draw(3, 4, 8, 12),
        draw(3, 5, 32),
        draw(3, 32),
    )
    given = FluxConditioning(
        tokens=packed(condition),
        shape=(4, 8, 12),
        states=states,
        pooled=pooled,
        clip=torch.zeros(3, 77, dtype=torch.long),
        guidance=torch.full((3,), GUIDANCE),
    )
    return Batch(clean, given, draw(3, 4, 8, 12), u=torch.tensor([0.0, 0.3137, 0.9999]))


def packed(z):
    """2x2 patches become tokens; channel is the slowest axis within a token."""
    corners = [(y, x) for y in range(0, z.shape[2], 2) for x in range(0, z.shape[3], 2)]
    tokens = [z[:, :, y : y + 2, x : x + 2].reshape(len(z), -1) for y, x in corners]
    return torch.stack(tokens, dim=1)


def positions(height, width, condition):
    return torch.tensor([[condition, y, x] for y in range(height) for x in range(width)]).float()


def restated_loss(transformer, batch):
    """The algorithm of the paper's release, sample by sample, in the words of the specification."""
    errors = []
    for i, u in enumerate(batch.u.tolist()):
        t = 1000 - int(u * 1000)  # unshifted: 1000, 999, ..., 1
        s = t / 1000
        z, eps = batch.clean[i : i + 1], batch.noise[i : i + 1]
        z_t = (1 - s) * z + s * eps
        given = batch.conditioning
        tokens = torch.cat([packed(z_t), given.tokens[i : i + 1]], dim=1)
        ids = torch.cat([positions(4, 6, 0), positions(4, 6, 1)])
        velocity = transformer(
            hidden_states=tokens,
            timestep=torch.tensor([t / 1000]),
            guidance=torch.tensor([GUIDANCE]),
            pooled_projections=given.pooled[i : i + 1],
            encoder_hidden_states=given.states[i : i + 1],
            txt_ids=torch.zeros(5, 3),
            img_ids=ids,
        ).sample[:, :24]
        errors.append(((velocity - packed(eps - z)) ** 2).mean())
    return sum(errors) / len(errors)


def loss_of(editor, batch, mask=None):
    def velocity(x, sigma):
        return editor.velocity(x, sigma, batch.conditioning)

    return flow_matching_loss(velocity, batch, editor.training_levels(), mask)


def test_loss_and_gradients_equal_the_restatement(tiny_pipe, batch):
    targets = KONTEXT.lora.parts["transformer"].targets["full"]
    trained = lora.attach(tiny_pipe.transformer, targets, 64, 4, seed=0)
    for parameter in trained:  # B starts at zero, which would hide the gradient of A
        parameter.data = parameter.data + 0.05

    loss = loss_of(KONTEXT.open(tiny_pipe), batch)
    gradients = torch.autograd.grad(loss, trained)
    expected = restated_loss(tiny_pipe.transformer, batch)
    expected_gradients = torch.autograd.grad(expected, trained)

    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert max(float(g.abs().max()) for g in gradients) > 1e-3


def test_a_mask_weighs_latents(tiny_pipe, batch):
    editor = KONTEXT.open(tiny_pipe)
    whole, ones = loss_of(editor, batch), loss_of(editor, batch, torch.ones(4, 8, 12))
    assert ones.item() == pytest.approx(whole.item(), rel=1e-6)
    left, right = torch.zeros(4, 8, 12), torch.ones(4, 8, 12)
    left[..., :6], right[..., :6] = 1, 0
    halves = [loss_of(editor, batch, mask).item() for mask in (left, right)]
    assert sum(halves) / 2 == pytest.approx(whole.item(), rel=1e-5)
    assert halves[0] != halves[1]


def test_inference_does_not_shift_the_training_levels(tiny_pipe):
    tiny_pipe.scheduler.set_timesteps(sigmas=[1.0, 0.5], mu=1.0)
    expected = torch.arange(1000, 0, -1) / 1000
    torch.testing.assert_close(KONTEXT.open(tiny_pipe).training_levels(), expected)
