# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Write a frozen set and print the lines of its content for anomalib_patchgan/data/phantoms/frozen.yaml.

    python benchmarks/phantoms/freeze.py brain_medium datasets/frozen/brain_medium

This is done once for a version of the generator. Afterwards `anomalib-patchgan phantoms frozen --verify` compares.
"""

import argparse
from pathlib import Path

import yaml

from anomalib_patchgan.data.phantoms.content import combined_hash, subject_contents
from anomalib_patchgan.data.phantoms.frozen import load_frozen, size

FIRST = 2


def main() -> None:
    """Writes, hashes, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("root", type=Path)
    arguments = parser.parse_args()
    frozen = load_frozen(arguments.name)
    frozen.write(arguments.root)
    contents = subject_contents(frozen.phantoms, arguments.root, size(frozen.phantoms))
    first = [{"sha256": content.sha256, "means": list(content.means)} for content in contents[:FIRST]]
    print(yaml.safe_dump({"sha256": combined_hash(contents), "first": first}, sort_keys=False, width=200))


if __name__ == "__main__":
    main()
