# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The report of a store, the comparison of two and the leaderboard of many, from the stores alone."""

from anomalib_patchgan.report.compare import write_comparison
from anomalib_patchgan.report.leaderboard import write_leaderboard
from anomalib_patchgan.report.page import write_report

__all__ = ["write_comparison", "write_leaderboard", "write_report"]
