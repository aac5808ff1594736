"""How the threads of a process wait for each other."""

import os
import sys


def wait_passively() -> bool:
    """Let idle OpenMP threads sleep instead of spinning, unless the environment says otherwise.

    A small network is handed to its threads thousands of times a second. Spinning between two
    calls is free on a quiet machine; beside a load on all cores each thread spins for the whole
    slice of time in which the one it waits for is not running. Call it from a program, before
    torch is imported: OpenMP reads the variable once, when it is loaded.

    Returns:
        Whether threads will sleep; False where torch is loaded already, or the user chose.
    """
    if "torch" in sys.modules:
        return False
    return os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE").upper() == "PASSIVE"
