# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Exports whose metadata or files are damaged are one sentence that names the file."""

import re

import pytest
from test_serving import write_identified

from anomalib_patchgan.deploy.identity import read_model
from anomalib_patchgan.deploy.preparation import preparation_from_plain
from anomalib_patchgan.errors import InputError


@pytest.fixture
def export(tmp_path):
    return write_identified(tmp_path / "model.xml", 0.0)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("precision", "bf16x", "found damaged metadata, 'precision' is 'bf16x'"),
        ("format_version", "", "found damaged metadata, 'format_version' is ''"),
        ("preparation", "[1]", "found metadata whose 'preparation' is [1]"),
        ("arguments", "null", "found metadata whose 'arguments' is None"),
        ("image_threshold", "true", "found metadata whose 'image_threshold' is True"),
        ("quantised", "1", "found metadata whose 'quantised' is 1"),
    ],
)
def test_damaged_metadata_are_a_sentence_that_names_the_file(export, name, value, found):
    content = export.read_text()
    changed = re.sub(rf'<{name} value="[^"]*"', f'<{name} value="{value}"', content)
    assert changed != content
    export.write_text(changed)
    with pytest.raises(InputError) as caught:
        read_model(export)
    assert str(caught.value).startswith(f"{export}: {found}")


def test_a_file_that_cannot_be_looked_at_is_a_sentence(tmp_path):
    path = tmp_path / ("a" * 300 + ".xml")
    with pytest.raises(InputError, match="found that it cannot be read"):
        read_model(path)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"kind": ["raster"]}, "preparation: found the kind"),
        ({"kind": {}}, "preparation: found the kind"),
        ({"kind": "raster", "image_size": "big"}, "preparation: found 'big' for 'image_size'"),
        ({"kind": "raster", "image_size": [32, 32], "colour": 1}, "preparation: found fields not known here"),
    ],
)
def test_a_preparation_of_wrong_types_is_a_sentence(plain, message):
    with pytest.raises(InputError, match=message):
        preparation_from_plain(plain)
