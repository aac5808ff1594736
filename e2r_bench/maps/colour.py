"""Colour differences: CIEDE2000 and the signed error."""

import numpy as np

from e2r_bench.maps.bands import LUMA, Map, check_pair
from e2r_metrics.base.pictures import EightBit
from e2r_metrics.ciede2000 import delta_e, lab


def signed_error(restored: EightBit, clean: EightBit) -> Map:
    """Return restored minus clean in luma (BT.601, full range), levels in [-255, 255]."""
    check_pair(restored, clean)
    difference = restored.astype(np.float32) - clean.astype(np.float32)
    return np.asarray(difference @ LUMA, np.float32)


def ciede2000(restored: EightBit, clean: EightBit) -> Map:
    """Return CIEDE2000 of every pixel, sRGB under D65, all weights 1: `e2r_metrics.ciede2000`.

    Raises:
        PictureError: unequal or too small pictures.
    """
    check_pair(restored, clean)
    return delta_e(lab(restored), lab(clean))
