# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What tests of every kind of phantoms need."""

import hashlib

import pytest


@pytest.fixture(scope="session")
def digests():
    """From a folder to the SHA-256 of each file below it, by its path there."""

    def of(root):
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    return of
