"""Freed memory stays with the process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from e2r_bench.run.worker import available_bytes

FAULTS = """
import resource, sys
import numpy as np
from e2r_bench.memory import keep_freed_memory
if "keep" in sys.argv:
    assert keep_freed_memory()
def work():
    blocks = [np.empty(20_000_000, np.uint8) for _ in range(4)]
    for block in blocks:
        block.fill(1)
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_pages_are_not_asked_for_again():
    found = {}
    for how in ("keep", "leave"):
        command = [sys.executable, "-c", FAULTS, how]
        # Huge pages make one fault of 512, and whether they are to be had depends on the machine.
        small = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=small)
        found[how] = int(done.stdout)
    assert found["keep"] < 100 < found["leave"], found


def test_the_file_cache_is_memory_that_can_be_had() -> None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        pytest.skip("no /proc/meminfo here")
    rows = dict(line.split(":") for line in meminfo.read_text(encoding="ascii").splitlines())
    kib = {name: int(rows[name].split()[0]) for name in ("MemAvailable", "MemFree", "MemTotal")}
    # Read at another moment: within a tenth of all.
    found = available_bytes("cpu") / 1024
    assert abs(found - kib["MemAvailable"]) < 0.1 * kib["MemTotal"]
    assert found <= kib["MemTotal"]
