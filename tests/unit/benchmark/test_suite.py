# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

from pathlib import Path

import pytest
import yaml

from anomalib_patchgan.benchmark.suite import dump_suite, read_suite, restrict_suite
from anomalib_patchgan.errors import InputError


@pytest.fixture
def content() -> dict:
    return {
        "name": "tiny",
        "question": "Is it better?",
        "method": "Patch-GAN",
        "seeds": [0, 1],
        "data": {
            "brain": {
                "class_path": "package.Data",
                "init_args": {"root": "somewhere", "image_size": 64},
                "phantoms": {"class_path": "package.Phantoms", "init_args": {"subjects": 4}},
            }
        },
        "models": {
            "Patch-GAN": {
                "class_path": "package.Model",
                "role": "method",
                "init_args": {"width": 8, "nested": {"class_path": "absent.Class", "init_args": {"a": 1}}},
                "trainer": {"max_epochs": 3},
                "overrides": {"brain": {"init_args": {"width": 4}, "trainer": {"max_epochs": 5}}},
            },
            "v1.5 untrained": {"class_path": "package.Model", "trainer": {"max_steps": 1}},
        },
    }


@pytest.fixture
def write(tmp_path):
    def write_suite(content) -> Path:
        path = tmp_path / "suite.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write_suite


def test_suite_is_read_with_its_defaults(content, write):
    suite = read_suite(write(content))
    assert suite.seeds == [0, 1]
    assert suite.threads == 2
    assert suite.store_folder == Path("stores/tiny")
    assert suite.report_folder == Path("reports/tiny")
    assert suite.models["v1.5 untrained"].role == "comparator"
    assert suite.data["brain"].phantoms.init_args == {"subjects": 4}


@pytest.mark.parametrize("key", ["root", "normal_root"])
@pytest.mark.parametrize(
    ("folder", "options", "where"),
    [
        (".", [], "store: stores/tiny lies in"),
        (".", ["--store=../results"], "report: reports/tiny lies in"),
        ("stores", ["--report=page"], "store: stores/tiny lies in"),
    ],
)
def test_results_within_the_data_would_change_them_and_are_refused(content, write, key, folder, options, where):
    content["data"]["brain"]["init_args"][key] = folder
    with pytest.raises(InputError, match=f"{where} data.brain.init_args.{key}, .* expected a folder outside of it"):
        read_suite(write(content), options)


def test_results_beside_the_data_are_taken(content, write):
    content["data"]["brain"]["init_args"]["root"] = "stores/tiny-images"
    assert read_suite(write(content), ["--report=manifest.csv.d"]).store_folder == Path("stores/tiny")


def test_nested_class_paths_are_passed_on_without_importing_them(content, write):
    nested = read_suite(write(content)).models["Patch-GAN"].init_args["nested"]
    assert nested == {"class_path": "absent.Class", "init_args": {"a": 1}}


def test_overrides_of_a_data_set_go_over_the_arguments_of_a_model(content, write):
    row = read_suite(write(content)).models["Patch-GAN"]
    assert row.arguments_for("brain")["width"] == 4
    assert row.trainer_for("brain") == {"max_epochs": 5}
    assert row.arguments_for("skin")["width"] == 8


def test_accelerator_is_that_of_every_row_that_names_none_and_the_cpu_goes_without_saying(content, write):
    content["models"]["Patch-GAN"]["overrides"]["brain"]["trainer"]["accelerator"] = "cpu"
    path = write(content)
    on_cpu, on_gpu = read_suite(path), read_suite(path, ["--accelerator", "gpu"])
    assert on_cpu.trainer_of("v1.5 untrained", "brain") == {"max_steps": 1}
    assert on_gpu.trainer_of("v1.5 untrained", "brain") == {"max_steps": 1, "accelerator": "gpu"}
    assert on_gpu.trainer_of("Patch-GAN", "brain") == {"max_epochs": 5, "accelerator": "cpu"}
    with pytest.raises(InputError, match="accelerator"):
        read_suite(path, ["--accelerator", "abacus"])


@pytest.mark.parametrize(
    ("options", "read", "expected"),
    [
        (["--threads", "4"], lambda suite: suite.threads, 4),
        (["--seeds", "[7]"], lambda suite: suite.seeds, [7]),
        (["--store=elsewhere"], lambda suite: suite.store_folder, Path("elsewhere")),
        (["--data.brain.init_args.image_size", "32"], lambda suite: suite.data["brain"].init_args["image_size"], 32),
        (["--data.brain.phantoms", "null"], lambda suite: suite.data["brain"].phantoms, None),
        (
            ["--data.brain.phantoms.init_args.subjects=9"],
            lambda suite: suite.data["brain"].phantoms.init_args,
            {"subjects": 9},
        ),
        (
            ["--models.v1.5 untrained.init_args.rate", "1e-3"],
            lambda suite: suite.models["v1.5 untrained"].init_args,
            {"rate": 0.001},
        ),
        (
            ["--models.Patch-GAN.backends=[openvino_fp32]"],
            lambda suite: suite.models["Patch-GAN"].backends,
            ["openvino_fp32"],
        ),
    ],
)
def test_any_leaf_can_be_overridden_from_the_command_line(content, write, options, read, expected):
    assert read(read_suite(write(content), options)) == expected


def test_leaf_below_a_data_set_whose_name_holds_dots_can_be_overridden(content, write):
    content["data"] = {"brain": content["data"]["brain"], "brain.v1.5": content["data"]["brain"]}
    content["models"]["Patch-GAN"]["overrides"] = {"brain.v1.5": {"init_args": {"width": 4}}}
    options = ["--models.Patch-GAN.overrides.brain.v1.5.init_args.width=2"]
    overrides = read_suite(write(content), options).models["Patch-GAN"].overrides
    assert overrides == {"brain.v1.5": {"init_args": {"width": 2}}}


def test_row_runs_on_every_data_set_unless_it_names_some(content, write):
    content["data"]["skin"] = content["data"]["brain"]
    content["models"]["Patch-GAN"]["data"] = ["skin"]
    models = read_suite(write(content)).models
    runs_on = {name: [data for data in ("brain", "skin") if row.runs_on(data)] for name, row in models.items()}
    assert runs_on == {"Patch-GAN": ["skin"], "v1.5 untrained": ["brain", "skin"]}
    assert read_suite(write(content), ["--models.Patch-GAN.data", "null"]).models["Patch-GAN"].runs_on("brain")


def test_empty_skip_on_the_command_line_runs_a_skipped_row(content, write):
    content["models"]["Patch-GAN"]["skip"] = "Needs a hub."
    assert read_suite(write(content)).models["Patch-GAN"].skip == "Needs a hub."
    assert read_suite(write(content), ["--models.Patch-GAN.skip", ""]).models["Patch-GAN"].skip == ""


def test_the_method_alone_has_its_role(content, write):
    del content["models"]["Patch-GAN"]["role"]
    roles = {name: row.role for name, row in read_suite(write(content)).models.items()}
    assert roles == {"Patch-GAN": "method", "v1.5 untrained": "comparator"}


def test_a_second_row_with_the_role_of_the_method_is_a_comparator(content, write):
    content["models"]["v1.5 untrained"]["role"] = "method"
    roles = {name: row.role for name, row in read_suite(write(content)).models.items()}
    assert roles == {"Patch-GAN": "method", "v1.5 untrained": "comparator"}


def test_another_method_changes_roles_with_the_row_that_was_it(content, write):
    content["models"]["v1.5 untrained"]["role"] = "control"
    suite = read_suite(write(content), ["--method", "v1.5 untrained"])
    roles = {name: row.role for name, row in suite.models.items()}
    assert roles == {"Patch-GAN": "control", "v1.5 untrained": "method"}
    assert read_suite(write(dump_suite(suite))) == suite


ANCHORED = """
x-trainer: &trainer {max_epochs: 3}
x-row: &row {class_path: package.Model, trainer: *trainer, init_args: &arguments {width: 8}}
name: tiny
question: "?"
method: A
seeds: [0]
data: {brain: {class_path: package.Data, init_args: {root: here}}}
models:
  A: {<<: *row, role: method}
  B: {<<: *row, init_args: {<<: *arguments, width: 4}}
"""


def test_anchors_and_merge_keys_spell_rows_that_an_override_changes_one_by_one(write):
    suite = read_suite(write(ANCHORED), ["--models.A.trainer.max_epochs=9"])
    assert (suite.models["A"].trainer, suite.models["B"].trainer) == ({"max_epochs": 9}, {"max_epochs": 3})
    assert (suite.models["A"].init_args, suite.models["B"].init_args) == ({"width": 8}, {"width": 4})
    assert "x-row" not in dump_suite(suite)


@pytest.mark.parametrize("name", ["A", '"A"'])
def test_two_rows_with_one_name_are_a_sentence(write, name):
    twice = ANCHORED + f"  {name}: {{<<: *row}}\n"
    with pytest.raises(InputError, match=r"suite\.yaml: line 12 has the key 'A' again, which line 10 has"):
        read_suite(write(twice))


def test_key_twice_on_one_line_is_a_sentence(write):
    with pytest.raises(InputError, match=r"suite\.yaml: line 3 has the key 'width' again, which line 3 has"):
        read_suite(write(ANCHORED.replace("width: 8", "width: 8, width: 9")))


def test_anchor_that_holds_itself_is_a_sentence(write):
    with pytest.raises(InputError, match="an anchor holds itself"):
        read_suite(write(ANCHORED.replace("width: 4", "deep: &deep {deeper: *deep}")))


def test_suite_without_artefacts_asks_for_none(content, write):
    assert read_suite(write(content)).artefacts is None


def test_artefacts_of_a_suite_are_all_of_them_unless_said_otherwise(content, write):
    artefacts = read_suite(write(content | {"artefacts": {"kinds": ["noise", "blur"]}})).artefacts
    assert (artefacts.kinds, artefacts.severities) == (["noise", "blur"], [1, 2, 3, 4, 5])
    assert len(read_suite(write(content | {"artefacts": {}})).artefacts.kinds) == 6


def test_artefacts_can_be_set_and_switched_on_from_the_command_line(content, write):
    suite = read_suite(write(content), ["--artefacts.severities", "[2]", "--artefacts.kinds=[motion]"])
    assert (suite.artefacts.kinds, suite.artefacts.severities) == (["motion"], [2])


def test_loggers_are_read_and_overridden_as_the_other_entries(content, write):
    content["loggers"] = {"board": {"class_path": "anomalib.loggers.AnomalibTensorBoardLogger"}}
    suite = read_suite(write(content), ["--loggers.board.init_args.save_dir", "logs"])
    assert suite.loggers["board"].init_args == {"save_dir": "logs"}
    assert read_suite(write(dump_suite(suite))) == suite


@pytest.mark.parametrize("artefacts", [None, {"kinds": ["gamma"], "severities": [5]}])
def test_dumped_suite_reads_back_as_the_same_suite(content, write, artefacts):
    content["artefacts"] = artefacts
    suite = read_suite(write(content), ["--threads=3", "--report=there"])
    assert read_suite(write(dump_suite(suite))) == suite


@pytest.mark.parametrize("text", ["1e5", "-2E-3", "1.5e+3", "1.0", "null", "yes", "2020-01-01"])
def test_text_that_looks_like_a_number_is_dumped_as_text(content, write, text):
    suite = read_suite(write(yaml.safe_dump(content).replace("somewhere", repr(text))))
    assert suite.data["brain"].init_args["root"] == text
    assert read_suite(write(dump_suite(suite))) == suite


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("sedes",), [0], "unknown key 'sedes'; expected one of name, question"),
        (
            ("models", "Patch-GAN", "class_pth"),
            "x",
            "models.Patch-GAN has the unknown key 'class_pth'; expected one of",
        ),
        (("models", "Patch-GAN", "role"), "hero", "models.Patch-GAN.role is 'hero'; expected one of method"),
        (("models", "v1.5 untrained", "trainer"), {}, "models.v1.5 untrained.trainer says no end of the training"),
        (
            ("models", "v1.5 untrained", "trainer"),
            {"max_epochs": 0},
            "trainer.max_epochs is 0; expected a positive number",
        ),
        (
            ("models", "Patch-GAN", "trainer"),
            {"max_steps": 1.5},
            "trainer.max_steps is 1.5; expected a positive number",
        ),
        (
            ("models", "v1.5 untrained", "trainer"),
            {"max_steps": 1, "max_minutes": 1},
            "has both max_steps and max_minutes; expected one of them",
        ),
        (("loggers",), {"mine": {}}, "loggers.mine has no class_path"),
        (("loggers",), ["mine"], "loggers is no mapping"),
        (("models", "Patch-GAN", "trainer"), 3, "models.Patch-GAN.trainer is 3; expected a value of type dict"),
        (("models", "Patch-GAN", "overrides"), {"skin": {}}, "overrides names 'skin'; expected one of brain"),
        (("models", "Patch-GAN", "overrides"), {"brain": {"init": {}}}, "overrides.brain has the unknown key 'init'"),
        (("models", "Patch-GAN", "backends"), [1], "models.Patch-GAN.backends.0 is 1; expected a value of type str"),
        (("models", "Patch-GAN"), "package.Model", "models.Patch-GAN is 'package.Model'; expected a mapping"),
        (
            ("models", "Patch-GAN", "class_path"),
            ".models.PatchGan",
            "models.Patch-GAN.class_path is '.models.PatchGan'; expected the dotted path of a class",
        ),
        (("models", "Patch-GAN", "data"), ["skin"], r"models.Patch-GAN.data is \['skin'\]; expected some of brain"),
        (("models", "Patch-GAN", "data"), [], r"models.Patch-GAN.data is \[\]; expected some of brain"),
        (("models", "Patch-GAN", "data"), "brain", "models.Patch-GAN.data is 'brain'; expected a value of type list"),
        (("models",), None, "models is None; expected a mapping"),
        (("data", "brain", "init_args"), {}, "data.brain.init_args has no root; expected the folder"),
        (("data", "brain", "phantoms"), {"class": "x"}, "data.brain.phantoms has the unknown key 'class'"),
        (("data", "brain"), {"init_args": {"root": "x"}}, "data.brain has no class_path"),
        (("method",), "PaDiM", "method is 'PaDiM'; expected one of Patch-GAN, v1.5 untrained"),
        (("seeds",), [1, 1], r"seeds is \[1, 1\]"),
        (("seeds",), "many", "seeds"),
        (("data", "brain", "seeds"), [], r"data.brain.seeds is \[\]; expected at least one number, each once"),
        (("data", "brain", "seeds"), 3, "data.brain.seeds is 3; expected a value of type list"),
        (("threads",), 0, "threads is 0; expected a positive number"),
        (("artefacts",), {"kind": []}, "artefacts has the unknown key 'kind'; expected one of kinds, severities"),
        (("artefacts",), {"kinds": ["rain"]}, r"artefacts.kinds is \['rain'\]; expected some of bias_field, noise"),
        (("artefacts",), {"kinds": []}, r"artefacts.kinds is \[\]; expected some of"),
        (("artefacts",), {"severities": [1, 6]}, r"artefacts.severities is \[1, 6\]; expected some of 1, 2, 3, 4, 5"),
        (("artefacts",), {"severities": [1, 1]}, r"artefacts.severities is \[1, 1\]; expected some of .* each once"),
        (("artefacts",), {"severities": [True]}, "artefacts.severities.0 is True; expected a value of type int"),
        (
            ("models", "Patch-GAN", "overrides"),
            {"brain": {"init_args": 5}},
            "overrides.brain.init_args is 5; expected a",
        ),
        (("models", "Patch-GAN", "overrides"), {"brain": {"trainer": 5}}, "overrides.brain.trainer is 5; expected a"),
        (("data", "brain", "init_args"), {"root": 5}, "data.brain.init_args.root is 5; expected the path of a folder"),
        (("data", "brain", "init_args"), {"root": None}, "data.brain.init_args.root is None; expected the path"),
        (
            ("data", "brain", "init_args"),
            {"root": "somewhere", "normal_root": 5},
            "data.brain.init_args.normal_root is 5; expected the path of a folder",
        ),
        (
            ("data", "brain", "init_args"),
            {"root": "somewhere", "split_file": 5},
            "data.brain.init_args.split_file is 5; expected the path of a file",
        ),
        (("models", 7), {"class_path": "x.Y", "trainer": {}}, "models has the name 7; expected a text"),
        (("data", 7), {"class_path": "x.Y"}, "data has the name 7; expected a text"),
        (("loggers",), {True: {"class_path": "x.Y"}}, "loggers has the name True; expected a text"),
        (("seeds",), [-1], "seeds has -1; expected numbers from 0 to 4294967295"),
        (("seeds",), [2**32], "seeds has 4294967296; expected numbers from 0 to 4294967295"),
        (("seeds",), [True], "seeds"),
        (("data", "brain", "seeds"), [True], "data.brain.seeds.0 is True; expected a value of type int"),
        (
            ("models", "v1.5 untrained", "trainer"),
            {"max_epochs": True},
            "trainer.max_epochs is True; expected a positive",
        ),
        (
            ("models", "v1.5 untrained", "trainer"),
            {"max_minutes": float("inf")},
            "trainer.max_minutes is inf; expected",
        ),
        (("name",), "../../x", r"name is '../../x'; expected one that can be a folder's"),
        (("name",), "a\\b", "expected one that can be a folder's"),
        (("name",), "..", r"name is '\.\.'; expected one that can be a folder's"),
        (("name",), "", "name is ''; expected one that can be a folder's"),
        (("artefacts",), ["noise"], r"artefacts is \['noise'\]; expected a mapping with kinds, severities"),
    ],
)
def test_wrong_suite_is_one_sentence_that_names_file_and_key(content, write, path, value, message):
    *parents, leaf = path
    node = content
    for parent in parents:
        node = node[parent]
    node[leaf] = value
    with pytest.raises(InputError, match=message) as caught:
        read_suite(write(content))
    assert "suite.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a", "holds no mapping"), ("a: [", "is not YAML"), ("", "holds no mapping")],
)
def test_file_that_is_no_suite_is_a_sentence(write, text, message):
    with pytest.raises(InputError, match=message):
        read_suite(write(text))


def test_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"absent.yaml cannot be read \(No such file or directory\)"):
        read_suite(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models.Patch-GAN2.trainer.max_epochs=1"], "names no entry of models; expected one of Patch-GAN, v1.5"),
        (["--models.Patch-GAN.init_args.width"], "has no value"),
        (["--models.Patch-GAN.init_args.width.deep=1"], "goes below a value that is no mapping"),
        (["--models.Patch-GAN.colour=red"], "unknown key 'colour'"),
        (["--colour=red"], "colour"),
        (["--threads=many"], "threads"),
    ],
)
def test_wrong_override_is_a_sentence(content, write, options, message):
    with pytest.raises(InputError, match=message):
        read_suite(write(content), options)


@pytest.mark.parametrize(
    ("names", "data", "models"),
    [
        ([], ["brain", "skin"], ["Patch-GAN", "v1.5 untrained", "On skin"]),
        (["brain"], ["brain"], ["Patch-GAN", "v1.5 untrained"]),
        (["On skin"], ["brain", "skin"], ["Patch-GAN", "On skin"]),
        (["v1.5 untrained", "skin"], ["skin"], ["Patch-GAN", "v1.5 untrained"]),
    ],
)
def test_part_of_a_suite_keeps_what_is_named_and_the_method(content, write, names, data, models):
    content["data"]["skin"] = {"class_path": "package.Skin", "init_args": {"root": "elsewhere"}}
    content["models"]["On skin"] = {"class_path": "package.Model", "trainer": {"max_steps": 1}, "data": ["skin"]}
    part = restrict_suite(read_suite(write(content)), names)
    assert set(part.data) == set(data)
    assert set(part.models) == set(models)


def test_part_of_a_suite_with_an_unknown_name_is_refused(content, write):
    with pytest.raises(InputError, match="--only names 'skim'; expected some of brain"):
        restrict_suite(read_suite(write(content)), ["skim"])
