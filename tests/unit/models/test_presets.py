# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The preset `default` is what a user gets who names the class alone."""

import inspect
from pathlib import Path

import yaml

from anomalib_patchgan.models import PatchGan

CONFIGS = Path(__file__).parents[3] / "configs"
# One modality is read as one channel; anomalib's batches carry three.
ANOTHER = {"channels": 1}


def test_default_is_the_constructors_defaults():
    written = yaml.safe_load((CONFIGS / "patchgan_default.yaml").read_text())["model"]["init_args"]
    known = {name: parameter.default for name, parameter in inspect.signature(PatchGan).parameters.items()}
    # YAML 1.1 reads 2e-3 as text; the command line's parser does not.
    assert {name: float(value) if name == "learning_rate" else value for name, value in written.items()} == {
        name: value
        for name, value in (known | ANOTHER).items()
        if isinstance(value, int | float | str) and name in written
    }
    assert set(known) - set(written) == {"pre_processor", "post_processor", "evaluator", "visualizer"}


def presets(*names: str) -> list[dict[str, object]]:
    return [yaml.safe_load((CONFIGS / f"patchgan_{name}.yaml").read_text())["model"]["init_args"] for name in names]


def test_photographs_is_the_default_with_colours_and_imagenet_features_and_a_row_of_anatomies_is_it():
    default, photographs = presets("default", "photographs")
    assert photographs == default | {"channels": 3, "perceptual": True}
    suite = yaml.safe_load((CONFIGS.parent / "benchmarks" / "anatomies.yaml").read_text())["models"]
    row = suite["Patch-GAN with ImageNet features"]["init_args"]
    # Narrower, as the suite's note says.
    assert row == {name: photographs[name] for name in row} | {"width": 16, "ranker_width": 24}


def test_lean_is_the_default_without_three_parts_and_the_row_of_phantoms_is_lean():
    default, lean = presets("default", "lean")
    without = {"pixel_weight": 0.0, "movement": 0.0, "lighting": 0.0, "novelty": False}
    assert lean == default | without
    row = yaml.safe_load((CONFIGS.parent / "benchmarks" / "phantoms.yaml").read_text())["models"]["Patch-GAN lean"]
    assert without.items() <= row["init_args"].items()
