"""Pictures and weights that the tests of the metrics share."""

import numpy as np
import pytest

from e2r_metrics import Missing, Resolver, Session, own_declarations


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
