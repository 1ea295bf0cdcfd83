# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The report: one page, its Markdown twin and a table, from the store alone."""

from anomalib_patchgan.report.page import write_report

__all__ = ["write_report"]
