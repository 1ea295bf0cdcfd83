# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Deployment: export to OpenVINO, parity with PyTorch, latency, serving, and a predictor that needs neither.

Importing this package is cheap. :class:`Predictor` imports neither torch nor anomalib; the others do, when they are
first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomalib_patchgan.deploy.export import export_model
    from anomalib_patchgan.deploy.measure import deployment_rows
    from anomalib_patchgan.deploy.parity import measure_parity
    from anomalib_patchgan.deploy.predictor import Predictor
    from anomalib_patchgan.deploy.serving import write_model_repository

_HOMES = {
    "Predictor": "predictor",
    "deployment_rows": "measure",
    "export_model": "export",
    "measure_parity": "parity",
    "write_model_repository": "serving",
}
__all__ = ["Predictor", "deployment_rows", "export_model", "measure_parity", "write_model_repository"]


def __getattr__(name: str) -> Any:
    """Import on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
