"""Pictures and weights that the tests of the metrics share."""

import numpy as np
import pytest
from quality_networks import small_networks

from e2r_metrics import Missing, Resolver, Session, own_declarations
from e2r_metrics.base.weights import Found


def _noisy(picture):
    def make(sigma, seed=0):
        noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
        return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def whole():
    """A photograph, (192, 208, 3) uint8."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:192, 100:308])


@pytest.fixture
def photo(whole):
    """What a test looks at; property tests make it as small as their metric allows."""
    return whole


@pytest.fixture
def noisy(photo):
    """Return a function from sigma (8-bit units) to the photo with Gaussian noise, uint8."""
    return _noisy(photo)


@pytest.fixture(scope="session")
def resolver():
    return Resolver(own_declarations())


@pytest.fixture(scope="session")
def session(resolver):
    return Session(resolver, store=None)


@pytest.fixture(scope="session")
def files(resolver):
    """Return a function from names of weight files to paths; skips where one is not to be had."""

    def find(*names):
        answers = {name: resolver.find(name) for name in names}
        gone = [a for a in answers.values() if isinstance(a, Missing)]
        if gone:
            pytest.skip(f"{gone[0].reason}; {gone[0].command}")
        return {name: answer.path for name, answer in answers.items()}

    return find


class _Small(Resolver):
    """Finds small files of random weights where they are given, and all others as they are."""

    def __init__(self, given):
        super().__init__(own_declarations())
        self.given = given

    def find(self, name):
        if name in self.given:
            return Found(name, self.given[name], "random weights", "0" * 64)
        return super().find(name)


@pytest.fixture(scope="module")
def small_session(tmp_path_factory):
    """A session in which networks that only users have are small ones with random weights."""
    with pytest.MonkeyPatch.context() as patch:
        given = small_networks(tmp_path_factory.mktemp("networks"), patch)
        yield Session(_Small(given), store=None)


@pytest.fixture(scope="session")
def random_clip(tmp_path_factory):
    """A state dictionary of CLIP RN50 with random weights, in half precision as OpenAI's."""
    import open_clip
    import torch

    torch.manual_seed(0)
    state = open_clip.create_model("RN50-quickgelu", pretrained=None).state_dict()
    for key, value in state.items():
        if "running_var" in key:
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1 and value.is_floating_point():
            value.uniform_(0.2, 1.0)
    path = tmp_path_factory.mktemp("clip") / "RN50.pt"
    torch.save({k: v.half().float() if v.ndim else v for k, v in state.items()}, path)
    return path
