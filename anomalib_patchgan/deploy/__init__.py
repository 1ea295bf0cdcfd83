# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Deployment: export to OpenVINO, parity with PyTorch, latency of both."""

from anomalib_patchgan.deploy.measure import deployment_rows

__all__ = ["deployment_rows"]
