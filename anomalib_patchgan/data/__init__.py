# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Datamodules of medical image collections, with splits by subject.

Importing this package is cheap: anomalib and torch are imported when a datamodule is first asked for, so that
:mod:`anomalib_patchgan.data.phantoms` can be used without them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomalib_patchgan.data.bmad import BMAD
    from anomalib_patchgan.data.brats import BraTS2018, BraTS2019, BraTS2020, BraTS2021
    from anomalib_patchgan.data.isic import ISIC2016
    from anomalib_patchgan.data.manifest import Manifest
    from anomalib_patchgan.data.medianomaly import MedIAnomaly

_HOMES = {
    "BMAD": "anomalib_patchgan.data.bmad",
    "BraTS2018": "anomalib_patchgan.data.brats",
    "BraTS2019": "anomalib_patchgan.data.brats",
    "BraTS2020": "anomalib_patchgan.data.brats",
    "BraTS2021": "anomalib_patchgan.data.brats",
    "ISIC2016": "anomalib_patchgan.data.isic",
    "Manifest": "anomalib_patchgan.data.manifest",
    "MedIAnomaly": "anomalib_patchgan.data.medianomaly",
}
__all__ = ["BMAD", "ISIC2016", "BraTS2018", "BraTS2019", "BraTS2020", "BraTS2021", "Manifest", "MedIAnomaly"]


def __getattr__(name: str) -> Any:
    """Import a datamodule on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
