# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Test images under the artefacts of a scanner or a camera, at five severities.

Importing this package is cheap: it holds the declared table. What applies it needs torch and torchio and lies in
:mod:`anomalib_patchgan.data.artefacts.transforms` and :mod:`anomalib_patchgan.data.artefacts.dataset`.
"""

from anomalib_patchgan.data.artefacts.table import ARTEFACTS, SEVERITIES, Artefact, Parameter, describe

__all__ = ["ARTEFACTS", "SEVERITIES", "Artefact", "Parameter", "describe"]
