# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The data sets' configurations, and what the command line makes of the datamodules' arguments."""

from pathlib import Path

import pytest
import yaml
from anomalib.data import AnomalibDataModule
from jsonargparse import ArgumentParser

from anomalib_patchgan import data

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "data").glob("*.yaml"))


@pytest.fixture
def parser():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AnomalibDataModule, "data")
    return parser


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_makes_its_datamodule(parser, path):
    made = parser.instantiate_classes(parser.parse_object({"data": yaml.safe_load(path.read_text())}))
    assert type(made.data).__name__.lower() == path.stem.split("_")[0]


@pytest.mark.parametrize("year", [2018, 2019, 2020, 2021])
def test_the_command_line_knows_the_arguments_of_every_year(parser, year):
    arguments = [f"--data=anomalib_patchgan.data.BraTS{year}", "--data.root=somewhere", "--data.modality=t2"]
    made = parser.instantiate_classes(parser.parse_args(arguments))
    assert isinstance(made.data, getattr(data, f"BraTS{year}"))
    assert made.data.modalities == ("t2",)
