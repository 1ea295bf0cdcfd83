# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import os
from dataclasses import replace
from pathlib import Path

import pytest

from anomalib_patchgan.benchmark import plan as plan_module
from anomalib_patchgan.benchmark.budget import Speed
from anomalib_patchgan.benchmark.datasets import content_digest, record_key
from anomalib_patchgan.benchmark.fingerprint import digest, folder_digest, other_source_digest
from anomalib_patchgan.benchmark.plan import DataSummary, describe_plan, make_jobs, unmeasured_jobs, without_locations
from anomalib_patchgan.benchmark.suite import ArtefactsEntry, DataEntry, ModelEntry, Suite


@pytest.fixture
def suite() -> Suite:
    return Suite(
        name="tiny",
        question="?",
        method="A",
        seeds=[0, 1],
        data={"brain": DataEntry(class_path="package.Data", init_args={"root": "here", "image_size": 8})},
        models={
            "A": ModelEntry(class_path="package.Model", trainer={"max_epochs": 1}, init_args={"width": 8}),
            "B": ModelEntry(class_path="package.Other", trainer={"max_epochs": 1}),
        },
    )


@pytest.fixture
def prepared() -> dict[str, DataSummary]:
    return {"brain": DataSummary(key="k", content="c", protocol="slice", card_name="Brain", split_sha256="s")}


def keys(suite, prepared) -> list[str]:
    return [job.key for job in make_jobs(suite, prepared)]


def test_every_model_meets_every_data_set_with_every_seed(suite, prepared):
    jobs = make_jobs(suite, prepared)
    assert [(job.model, job.seed) for job in jobs] == [("A", 0), ("A", 1), ("B", 0), ("B", 1)]
    assert len(set(keys(suite, prepared))) == 4


def test_keys_do_not_depend_on_where_the_data_lie(suite, prepared):
    before = keys(suite, prepared)
    suite.data["brain"].init_args |= {"root": "there", "cache_dir": "elsewhere"}
    assert keys(suite, prepared) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda suite: suite.models["A"].init_args.update(width=9),
        lambda suite: suite.models["A"].trainer.update(max_epochs=2),
        lambda suite: suite.models["A"].overrides.update(brain={"init_args": {"width": 9}}),
        lambda suite: suite.models["A"].backends.append("openvino_fp32"),
        lambda suite: suite.data["brain"].init_args.update(image_size=16),
        lambda suite: setattr(suite, "threads", 1),
        lambda suite: setattr(suite, "artefacts", ArtefactsEntry()),
        lambda suite: setattr(suite, "seeds", [2, 3]),
    ],
)
def test_keys_change_with_what_determines_the_outcome(suite, prepared, change):
    before = keys(suite, prepared)[:2]
    change(suite)
    assert not set(before) & set(keys(suite, prepared))


@pytest.mark.parametrize("change", [{"content": "other"}, {"split_sha256": "other"}])
def test_keys_change_with_the_data(suite, prepared, change):
    assert not set(keys(suite, prepared)) & set(keys(suite, {"brain": replace(prepared["brain"], **change)}))


def test_keys_change_with_versions_and_sources(suite, prepared, monkeypatch):
    before = keys(suite, prepared)
    monkeypatch.setattr(plan_module, "package_versions", lambda: {"torch": "0"})
    with_other_versions = keys(suite, prepared)
    monkeypatch.setattr(plan_module, "job_source_digest", lambda *_: "other")
    assert not set(before) & set(with_other_versions)
    assert not set(with_other_versions) & set(keys(suite, prepared))


@pytest.mark.parametrize("arguments", [{}, {"reader": {"class_path": "their_data.Reader"}}])
def test_keys_change_with_the_source_of_a_datamodule_of_another_package(
    suite, prepared, monkeypatch, tmp_path, arguments
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "data").mkdir()
    class_path = "anomalib_patchgan.data.Manifest" if arguments else "their_data.Data"
    suite.data["brain"] = DataEntry(class_path=class_path, init_args={"root": str(tmp_path / "data")} | arguments)
    found = []
    for content in ("size = 1", "size = 2", "size = 1"):
        (tmp_path / "their_data.py").write_text(content)
        other_source_digest.cache_clear()
        found.append((record_key("brain", suite.data["brain"]), *keys(suite, prepared)))
    assert found[0] == found[2]
    assert not set(found[0]) & set(found[1])


def test_keys_change_with_the_artefacts_asked_for(suite, prepared):
    suite.artefacts = ArtefactsEntry(kinds=["noise"])
    before = keys(suite, prepared)
    suite.artefacts = ArtefactsEntry(kinds=["noise"], severities=[1])
    assert not set(before) & set(keys(suite, prepared))


def test_plan_says_how_strong_the_artefacts_are(suite, prepared):
    suite.artefacts = ArtefactsEntry(kinds=["noise"], severities=[1])
    plan = describe_plan(suite, make_jobs(suite, prepared), prepared, {}, "the command")
    assert plan["artefacts"]["severities"] == [1]
    assert plan["artefacts"]["parameters"][0]["parameters"][0]["levels"] == [1.5]
    assert plan["jobs"][0]["artefacts"] == {"kinds": ["noise"], "severities": [1]}


def test_row_that_names_its_data_sets_meets_no_other(suite, prepared):
    suite.data["skin"] = suite.data["brain"]
    suite.models["B"].data = ["skin"]
    jobs = make_jobs(suite, prepared | {"skin": replace(prepared["brain"], key="l")})
    assert {(job.model, job.data) for job in jobs} == {("A", "brain"), ("A", "skin"), ("B", "skin")}


def test_data_set_with_seeds_of_its_own_meets_no_other(suite, prepared):
    suite.data["skin"] = replace(suite.data["brain"], seeds=[7])
    jobs = make_jobs(suite, prepared | {"skin": replace(prepared["brain"], key="l")})
    assert {(job.data, job.seed) for job in jobs} == {("brain", 0), ("brain", 1), ("skin", 7)}
    suite.models["B"].trainer = {"max_minutes": 2.0}
    unmeasured = unmeasured_jobs(suite, prepared | {"skin": replace(prepared["brain"], key="l")}, {})
    assert [(job.data, job.seed) for job in unmeasured.values()] == [("brain", 0), ("skin", 7)]


def test_reason_to_skip_a_row_is_in_its_jobs_and_not_in_their_keys(suite, prepared):
    before = keys(suite, prepared)
    suite.models["B"].skip = "Its weights need a hub."
    assert [job.skip for job in make_jobs(suite, prepared)] == ["", "", *["Its weights need a hub."] * 2]
    assert keys(suite, prepared) == before


def test_row_with_a_budget_in_minutes_has_jobs_when_its_speed_is_known(suite, prepared):
    suite.models["B"].trainer = {"max_minutes": 2.0}
    assert {job.model for job in make_jobs(suite, prepared)} == {"A"}
    ((key, job),) = unmeasured_jobs(suite, prepared, {}).items()
    assert (job.model, job.seed, job.trainer) == ("B", 0, {})
    speeds = {key: Speed(model="B", data="brain", steps_per_second=0.5)}
    assert unmeasured_jobs(suite, prepared, speeds) == {}
    assert [job.trainer for job in make_jobs(suite, prepared, speeds) if job.model == "B"] == [{"max_steps": 60}] * 2


def test_speed_is_known_whatever_the_minutes_and_not_for_another_model(suite, prepared):
    suite.models["B"].trainer = {"max_minutes": 2.0}
    (key,) = unmeasured_jobs(suite, prepared, {})
    suite.models["B"].trainer["max_minutes"] = 3.0
    assert set(unmeasured_jobs(suite, prepared, {})) == {key}
    suite.models["B"].init_args["width"] = 9
    assert set(unmeasured_jobs(suite, prepared, {})) != {key}


def test_skipped_row_with_a_budget_in_minutes_is_not_measured_and_stands_in_the_plan(suite, prepared):
    suite.models["B"].trainer, suite.models["B"].skip = {"max_minutes": 2.0}, "Needs a hub."
    assert unmeasured_jobs(suite, prepared, {}) == {}
    assert [job.model for job in make_jobs(suite, prepared)] == ["A", "A", "B", "B"]


def test_note_and_role_of_a_row_do_not_change_its_keys(suite, prepared):
    before = keys(suite, prepared)
    suite.models["A"].note = "Now with a note."
    suite.models["A"].role = "method"
    assert keys(suite, prepared) == before


def test_plan_says_what_runs(suite, prepared):
    plan = describe_plan(suite, make_jobs(suite, prepared), prepared, {}, "the command")
    assert plan["jobs"][0]["model"] == "A"
    assert plan["jobs"][0]["key"] == keys(suite, prepared)[0]
    assert plan["data"]["brain"]["split_sha256"] == "s"
    assert plan["command"] == "the command"


def test_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(digest({})) == 16


def test_folder_digest_sees_names_and_sizes_below_a_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_text("1")
    before = folder_digest(tmp_path)
    (tmp_path / "deep" / "a").write_text("12")
    larger = folder_digest(tmp_path)
    (tmp_path / "deep" / "a").rename(tmp_path / "deep" / "b")
    assert len({before, larger, folder_digest(tmp_path)}) == 3
    assert folder_digest(Path(tmp_path / "absent")) is None


def test_folder_digest_sees_names_that_are_no_utf_8(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()
    before = folder_digest(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9")).rename(tmp_path / os.fsdecode(b"caf\xe8"))
    assert folder_digest(tmp_path) != before


def test_folder_digest_follows_links_as_the_readers_do(tmp_path):
    for name in ("root", "archive", "root/copied"):
        (tmp_path / name).mkdir()
    for place in ("archive", "root/copied"):
        (tmp_path / place / "scan").write_text("1")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "archive")
    before = folder_digest(tmp_path / "root")
    (tmp_path / "archive" / "scan").write_text("12")
    assert folder_digest(tmp_path / "root") != before


def test_folder_digest_of_links_in_a_circle_ends(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "scan").write_text("1")
    before = folder_digest(tmp_path)
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "deep" / "lost").symlink_to(tmp_path / "absent")
    assert folder_digest(tmp_path) == before


def test_a_healthy_cohort_beside_the_root_is_part_of_the_content(tmp_path):
    for name in ("patients", "healthy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    arguments = {"root": str(tmp_path / "patients"), "normal_root": str(tmp_path / "healthy")}
    entry = DataEntry(class_path="some.Data", init_args=arguments)
    alone = DataEntry(class_path="some.Data", init_args={"root": arguments["root"]})
    before = content_digest(entry)
    (tmp_path / "healthy" / "file").write_text("another subject")
    assert len({before, content_digest(entry), content_digest(alone)}) == 3
    assert without_locations(arguments) == {}


def test_the_split_in_a_file_is_part_of_the_content(tmp_path):
    for name in ("one", "other"):
        (tmp_path / f"{name}.json").write_text(name)
    (tmp_path / "data").mkdir()
    arguments = {"root": str(tmp_path / "data")}
    splits = ["one.json", "other.json", "absent.json"]
    entries = [arguments, *(arguments | {"split_file": str(tmp_path / name)} for name in splits)]
    contents = [content_digest(DataEntry(class_path="some.Data", init_args=one)) for one in entries]
    assert len(set(contents)) == 4
    assert all(without_locations(one) == {} for one in entries)
    (tmp_path / "one.json").rename(tmp_path / "moved.json")
    moved = arguments | {"split_file": str(tmp_path / "moved.json")}
    assert content_digest(DataEntry(class_path="some.Data", init_args=moved)) == contents[1]
