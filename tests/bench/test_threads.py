"""Waiting threads sleep, so that a load beside a run costs its share of time and no more."""

import os
import subprocess
import sys

import pytest

CHOOSE = """
import os, sys
if "torch" in sys.argv:
    import torch
from e2r_bench.threads import wait_passively
print(wait_passively(), os.environ.get("OMP_WAIT_POLICY"))
"""


@pytest.mark.parametrize(
    ("given", "loaded", "said"),
    [
        (None, False, "True PASSIVE"),
        ("ACTIVE", False, "False ACTIVE"),
        # OpenMP has read its variables by then: claiming otherwise would be untrue.
        (None, True, "False None"),
    ],
)
def test_threads_wait_passively_unless_told_otherwise(given, loaded, said):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    command = [sys.executable, "-c", CHOOSE, *(["torch"] if loaded else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == said


def test_the_program_chooses_before_torch_is_imported():
    text = "import sys, e2r_bench.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
