# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The result store: what a benchmark run leaves behind and everything a report needs."""

from anomalib_patchgan.store.files import CannotWriteError
from anomalib_patchgan.store.schema import SCHEMA_VERSION, DataRecord, Run
from anomalib_patchgan.store.store import Store

__all__ = ["SCHEMA_VERSION", "CannotWriteError", "DataRecord", "Run", "Store"]
