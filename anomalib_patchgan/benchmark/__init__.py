# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark: a suite is resolved to a plan, its jobs are run one by one, and the store is made into a report.

Nothing here imports torch or anomalib before a job has to be run, so that a suite whose jobs are all done starts fast.
"""
