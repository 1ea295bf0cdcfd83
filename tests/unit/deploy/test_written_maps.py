# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from anomalib_patchgan.deploy.preparation import RasterPreparation
from anomalib_patchgan.deploy.results import MapWriter


# Pillow cuts the pixels of a TIFF file into strips of 64 KiB.
@pytest.mark.parametrize("shape", [(16, 17), (128, 128), (301, 403), (1001, 1003)])
def test_a_map_is_read_as_it_was_written(tmp_path, shape):
    Image.new("L", shape[::-1], 7).save(tmp_path / "picture.png")
    prepared = RasterPreparation((32, 32)).open([tmp_path / "picture.png"])
    writer = MapWriter(tmp_path, frozenset({"maps"}), 0.5)
    for seed in range(2):
        codes = np.random.default_rng(seed).integers(0, 2**16, (1, *shape), dtype=np.uint16)
        writer.write("picture.png", prepared, codes, 0)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "maps" / "picture.png.tif")), codes[0])
