"""Every random draw of the project comes from here: a generator named by what it is for."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def seed_for(seed: int, image_id: str, purpose: str) -> int:
    """Return the 63-bit seed of one draw, a function of its three names alone.

    Order, batch, worker and resume therefore never change what is drawn.
    """
    digest = hashlib.sha256(f"{seed}\x1f{image_id}\x1f{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def rng_for(seed: int, image_id: str, purpose: str) -> "np.random.Generator":
    """Return NumPy's PCG64 generator of one draw; see `seed_for`."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(seed_for(seed, image_id, purpose)))
