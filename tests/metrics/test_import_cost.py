"""Importing the package brings in nothing heavy."""

import subprocess
import sys
from pathlib import Path

import e2r_metrics


def test_import_brings_nothing_heavy():
    root = Path(e2r_metrics.__file__).parents[1]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import e2r_metrics; "
        "from e2r_metrics import resolve; resolve(['psnr', 'fid']); "
        "print(sorted({'torch', 'numpy', 'cv2', 'scipy', 'pandas', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
