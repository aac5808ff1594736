"""How the process hands memory back to the system."""

import ctypes

# mallopt's names in glibc's malloc.h, and the largest threshold it takes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 32 * 2**20
_MOST_KEPT = 512 * 2**20


def keep_freed_memory() -> bool:
    """Keep freed blocks below 32 MB, at most 512 MB of them, for the next allocation.

    glibc returns a network's activations to the system after each forward pass and has every page
    cleared again for the next one: a tenth of the time of `kontext-nano` in batches. Call it from
    a program, not from a library.

    Returns:
        Whether the C library took it; others than glibc are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))
