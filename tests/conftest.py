# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What every test needs."""

import pytest

from anomalib_patchgan.deploy.core import foreign_cores


@pytest.fixture(autouse=True)
def _signal_stack():
    """anomalib's own cores come and go in some tests; without this, others would then end in a segmentation fault."""
    with foreign_cores():
        yield
