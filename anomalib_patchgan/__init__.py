# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Patch-GAN for anomalib and an honest benchmark of unsupervised anomaly detection in medical images.

Importing this package is cheap: torch and anomalib are imported when :class:`PatchGan` is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomalib_patchgan.models.patchgan import PatchGan

__version__ = "0.1.0"
__all__ = ["PatchGan", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the model on first use, so that light commands stay light."""
    if name == "PatchGan":
        from anomalib_patchgan.models.patchgan import PatchGan

        return PatchGan
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
