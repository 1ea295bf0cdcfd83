# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Phantoms can be made where torch is not installed."""

import subprocess
import sys


def test_import_brings_neither_torch_nor_anomalib_nor_nilearn():
    code = (
        "import sys, anomalib_patchgan.data.phantoms;"
        "print([name for name in ('torch', 'anomalib', 'lightning', 'nilearn') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
