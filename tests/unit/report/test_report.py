# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import base64
import csv
import hashlib
import html
import html.parser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.report import write_report
from anomalib_patchgan.store import Run, Store

VOID = {"meta", "link", "img", "br", "input"}


class Outline(html.parser.HTMLParser):
    """Checks that tags are balanced and collects them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.tags if name == tag]


def text_of(page: str) -> str:
    without_pictures = re.sub(r"<(style|svg|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without_pictures)).split())


@pytest.fixture(scope="module")
def report(write_store: Callable[..., Path], one_failed: Callable[[Run], Run], tmp_path_factory) -> Path:
    """One page for all the tests that only read it; its store lies beside it."""
    folder = tmp_path_factory.mktemp("report")
    return write_report(write_store(folder / "store", change=one_failed), folder / "out")


def test_the_page_is_returned_with_its_twin_and_its_table(report):
    assert report.name == "index.html"
    tables = {f"{name}.{kind}" for name in ("results", "lesions") for kind in ("csv", "parquet")}
    found = {path.name for path in report.parent.iterdir()}
    assert found == {"index.html", "README.md", "figures", "tables", "scores.parquet"} | tables


def test_the_page_is_well_formed_with_landmarks_and_unique_identifiers(report):
    outline = Outline(report.read_text())
    names = [tag for tag, _ in outline.tags]
    assert [names.count(landmark) for landmark in ("header", "main", "footer", "h1", "nav")] == [1] * 5
    identifiers = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {
        value[1:]
        for _, attributes in outline.tags
        for key, value in attributes.items()
        if key == "href" and value.startswith("#")
    }
    targets |= {attributes["aria-labelledby"] for _, attributes in outline.tags if "aria-labelledby" in attributes}
    assert targets <= set(identifiers)


def test_tables_have_captions_and_scopes_and_pictures_have_alternatives(report):
    outline = Outline(report.read_text())
    assert len(outline.all("caption")) == len(outline.all("table")) > 5
    assert all("scope" in cell for cell in outline.all("th"))
    # The picture below a map is the input, which has stood beside it already.
    assert all(picture["alt"] for picture in outline.all("img") if "levels" in picture.get("class", ""))
    assert sum(not picture["alt"] for picture in outline.all("img")) == len(
        [picture for picture in outline.all("img") if "levels" in picture.get("class", "")]
    )
    labelled = [picture for picture in outline.all("svg") if picture.get("role") == "img"]
    assert len(labelled) == 2 * 8
    assert all(picture["aria-label"] for picture in labelled)


def test_the_page_loads_nothing_and_runs_its_own_scripts_alone(report):
    page = report.read_text()
    outline = Outline(page)
    loaded = [attributes.get("src") or "" for _, attributes in outline.tags if "src" in attributes]
    assert loaded
    assert all(address.startswith("data:image/") for address in loaded)
    assert all(link["href"].startswith("data:") for link in outline.all("link"))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == len(outline.all("script")) == 2
    policy = next(one["content"] for one in outline.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy.endswith("script-src " + " ".join(f"'sha256-{one}'" for one in hashes))
    assert "@import" not in page
    assert "url(http" not in page
    assert len(page) < 1_000_000


def test_the_gallery_shows_reconstruction_and_the_twin_of_what_has_one(report):
    pictures = [picture["alt"] for picture in Outline(report.read_text()).all("img")]
    inputs = [text for text in pictures if text.endswith(": input image")]
    assert len([text for text in pictures if text.endswith(": what the method reconstructs it as")]) == len(inputs)
    twins = [text.partition(":")[0] for text in pictures if "its healthy twin" in text]
    lesioned = [text.partition(":")[0] for text in pictures if "lesion outlined" in text]
    # Of the two data sets one is a phantom; the other has no twins.
    assert twins == [name for name in lesioned if name.startswith(twins[0].partition("/")[0])] != lesioned
    assert (
        "| Rule | Input | Anomaly map | Reconstruction | Lesion, outlined | Healthy twin |"
        in (report.parent / "README.md").read_text()
    )


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def test_the_same_store_gives_the_same_bytes(report, tmp_path):
    write_report(report.parent.parent / "store", tmp_path)
    assert files_of(tmp_path) == files_of(report.parent)


def test_the_table_holds_the_mean_over_seeds_of_the_stored_scores(report):
    store = Store(report.parent.parent / "store")
    jobs = [job for job in store.load_plan()["jobs"] if (job["model"], job["data"]) == ("Patch-GAN", "skin")]
    runs = [store.load_run(job["key"], with_maps=True) for job in jobs]
    record = store.load_data(runs[0].data_key)
    labels = record.samples["label"]
    aurocs = [metrics.roc_auc_score(labels, run.scores["raw_score"]) for run in runs]
    pixels = [
        metrics.average_precision_score(record.masks.ravel(), run.maps.astype(np.float64).ravel()) for run in runs
    ]
    with (report.parent / "results.csv").open() as file:
        rows = {(row["data"], row["model"]): row for row in csv.DictReader(file)}
    row = rows["skin", "Patch-GAN"]
    assert float(row["image_auroc"]) == pytest.approx(np.mean(aurocs))
    assert float(row["image_auroc_seed_sd"]) == pytest.approx(np.std(aurocs, ddof=1))
    assert float(row["pixel_average_precision"]) == pytest.approx(np.mean(pixels))
    assert float(row["image_auroc_low"]) < np.mean(aurocs) < float(row["image_auroc_high"])
    assert rows["skin", "PaDiM"]["seeds_scored"] == "1"
    assert rows["skin", "Mean intensity"]["pixel_average_precision"] == ""
    text = text_of(report.read_text())
    assert f"{np.mean(aurocs):.3f}" in text
    assert "no map" in text


def test_the_scores_of_all_images_give_every_number_of_the_table_again(report):
    scores = pd.read_parquet(report.parent / "scores.parquet")
    test = scores[scores["group"] == "test"]
    for (data, model), row in pd.read_csv(report.parent / "results.csv").groupby(["data", "model"]):
        seeds = [one for _, one in test[(test["data"] == data) & (test["model"] == model)].groupby("seed")]
        assert len(seeds) == row["seeds_scored"].item()
        aurocs = [metrics.roc_auc_score(one["label"], one["raw_score"]) for one in seeds]
        precisions = [metrics.average_precision_score(one["label"], one["raw_score"]) for one in seeds]
        assert row["image_auroc"].item() == pytest.approx(np.mean(aurocs))
        assert row["average_precision"].item() == pytest.approx(np.mean(precisions))
    calibration = scores[scores["group"] == "calibration"]
    assert (calibration["label"] == 0).all()
    assert calibration["predicted_label"].isna().all()
    assert set(calibration["model"]) == set(test["model"])


def test_the_scores_of_an_older_report_go(make_store, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "scores.parquet").write_bytes(b"old")
    page = write_report(make_store(change=lambda run: None), out)
    assert not (out / "scores.parquet").exists()
    assert "scores.parquet" not in page.read_text()


def test_the_verdict_names_gaps_intervals_and_controls(report):
    text = text_of(report.read_text())
    assert re.search(
        r"Patch-GAN is ahead of Mean intensity by \d+\.\d points \(95 % interval \d+\.\d to \d+\.\d\)", text
    )
    assert re.search(r"Patch-GAN is not separable from PaDiM \(", text)
    assert "Against the control Patch-GAN, untrained: ahead" in text


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(9.0, "ahead of its only rival."), (-9.0, "loses here: it is behind PaDiM by"), (None, "from its only rival.")],
)
def test_a_single_rival_gets_a_verdict_of_its_own(make_store, tmp_path, shift, verdict):
    def change(run: Run) -> Run:
        abnormal = np.arange(len(run.scores)) % 4 >= 2
        noise = np.random.default_rng([run.seed, run.role == "method"]).normal(size=len(run.scores))
        run.scores["raw_score"] = noise if shift is None else noise + 0.3 * abnormal
        if shift is not None and (run.role == "method") == (shift > 0.0):
            run.scores["raw_score"] += abs(shift) * abnormal
        return run

    store = make_store(names=("skin",), models=("Patch-GAN", "PaDiM"), change=change)
    text = text_of(write_report(store, tmp_path / "out").read_text())
    assert verdict in text
    assert "Over 1 comparison, Patch-GAN is" in text


def test_a_losing_method_is_said_to_lose(make_store, tmp_path):
    def weak(run: Run) -> Run:
        if run.role == "method":
            run.scores["raw_score"] = np.random.default_rng(run.seed).normal(size=len(run.scores))
        return run

    text = text_of(write_report(make_store(names=("skin",), change=weak), tmp_path / "out").read_text())
    assert "Patch-GAN loses here: it is behind PaDiM by" in text


def test_the_failed_job_is_listed_with_sentence_and_traceback(report):
    page = report.read_text()
    assert "PaDiM on skin, seed 1: failed" in page
    assert "The features of layer &lt;3&gt; were missing." in page
    assert "ValueError: &lt;b&gt;no features&lt;/b&gt; &amp; more" in page
    assert "1 of 16 jobs have no result." in text_of(page)
    assert "1 of 2 seeds only" in page
    assert "PaDiM on skin, seed 1, failed" in (report.parent / "README.md").read_text()


def test_phantoms_are_called_synthetic_only_where_there_are_some(report, make_store, tmp_path):
    notice = "They are no evidence of clinical value."
    assert notice in report.read_text()
    assert notice in (report.parent / "README.md").read_text()
    assert notice not in write_report(make_store(names=("skin",)), tmp_path / "real").read_text()


def test_the_papers_numbers_stand_apart_and_are_marked(report):
    for name in ("index.html", "README.md"):
        content = (report.parent / name).read_text()
        assert "95.79 %" in content
        assert "96.05 %" in content
        assert "protocol, split and settings are not known to us" in content
    assert "95.79" not in (report.parent / "results.csv").read_text()


def test_cards_environment_deployment_and_command_are_shown(report):
    text = text_of(report.read_text())
    for expected in (
        "it is not a healthy person's slice",
        "5f" * 32,
        "too little brain: 31",
        "generator: brain; version: 1; level: medium",
        "packages.torch 2.10.0",
        "openvino_fp32",
        "2.31 ×",
        "this processor has no such instruction",
        "anomalib-patchgan benchmark benchmarks/quickstart.yaml",
        "40 calibration normals of 20 subjects",
    ):
        assert expected in text


def test_a_given_command_replaces_the_one_in_the_plan(make_store, tmp_path):
    page = write_report(
        make_store(names=("skin",), models=("PaDiM",)), tmp_path / "out", command="run 'this' <now>"
    ).read_text()
    assert "<code>run &#39;this&#39; &lt;now&gt;</code>" in page
    assert "benchmarks/quickstart.yaml" not in page


def test_too_few_calibration_samples_are_said_to_be_too_few(make_store, tmp_path):
    def few(run: Run) -> Run:
        run.calibration = run.calibration.head(30)
        return run

    text = text_of(write_report(make_store(names=("skin",), change=few), tmp_path / "out").read_text())
    assert "not attainable 15 calibration subjects, 19 needed; a quantile of pooled images gave" in text
    assert "not attainable 15 calibration subjects, 99 needed; the largest score gave" in text


def test_suspicious_scores_are_flagged(make_store, tmp_path):
    def spoil(run: Run) -> Run:
        if run.model == "PaDiM":
            run.scores.loc[3, "raw_score"] = np.nan
        if run.model == "Mean intensity":
            run.scores["raw_score"] = 1.0
        if run.role == "control":
            run.scores["raw_score"] = -run.scores["raw_score"] * 0.0 - np.repeat([[0.0, 0.0, 1.0, 1.0]], 30, 0).ravel()
        return run

    text = text_of(write_report(make_store(names=("skin",), change=spoil), tmp_path / "out").read_text())
    assert "no usable result; seed 0: 1 of 120 scores are not finite" in text
    assert "PaDiM on skin, seed 0: not usable The job has finished, but 1 of 120 scores are not finite." in text
    assert "2 of 8 jobs have no result." in text
    assert "seed 0: constant: every sample has the same score" in text
    assert "inverted: normal images score higher (reversed, the AUROC would be 1.000)" in text


def test_finished_jobs_on_a_test_set_of_one_class_are_said_to_have_finished(make_store, tmp_path):
    store = make_store(names=("skin",), models=("Patch-GAN", "Mean intensity"))
    (path,) = store.glob("data/*/samples.parquet")
    pd.read_parquet(path).assign(label=0).to_parquet(path, index=False)
    text = text_of(write_report(store, tmp_path / "out").read_text())
    assert "no usable result; seed 0: the test set has 120 normal and 0 abnormal samples" in text
    assert "Patch-GAN and a rival need a usable result on the same data set" in text
    assert text.count("not usable The job has finished, but the test set has 120 normal and 0 abnormal samples.") == 4
    assert "no finished job" not in text
    assert "No job has finished." not in text


def test_a_store_without_a_finished_job_still_gives_a_report(make_store, tmp_path):
    def fail(run: Run) -> Run:
        run.status, run.error, run.traceback = "failed", "It broke.", None
        run.scores = None
        return run

    text = text_of(write_report(make_store(change=fail), tmp_path / "out").read_text())
    assert "There is no comparison yet" in text
    assert "No verdict: Patch-GAN has no usable result on this data set." in text
    assert "No job has finished." in text
    assert "5f" * 32 in text


def test_a_data_set_that_no_job_stored_is_said_to_be_unknown(make_store, tmp_path):
    store = make_store(names=("skin",), change=lambda run: None)
    shutil.rmtree(store / "data")
    text = text_of(write_report(store, tmp_path / "out").read_text())
    assert "No finished job has stored this data set" in text
    assert "Patch-GAN on skin, seed 1: not run" in text


def test_jobs_that_have_not_run_are_named(make_store, tmp_path):
    page = write_report(make_store(change=lambda run: None), tmp_path / "out").read_text()
    assert page.count(": not run</summary>") == 16


def test_a_store_with_one_job_is_a_report_without_a_verdict(make_store, tmp_path):
    store = make_store(names=("skin",), models=("Patch-GAN",), change=lambda run: run if run.seed == 0 else None)
    text = text_of(write_report(store, tmp_path / "out").read_text())
    assert "Patch-GAN has no rival with a usable result on this data set." in text
    assert "1 of 2 seeds only" in text


def test_missing_maps_are_said_to_be_missing(make_store, tmp_path):
    def without(run: Run) -> Run:
        run.maps = None
        return run

    page = write_report(make_store(names=("skin",), change=without), tmp_path / "out")
    assert "The store holds no anomaly maps of this run" in text_of(page.read_text())
    assert not list((page.parent / "figures").glob("*-map.png"))
    assert "no map" in (page.parent / "README.md").read_text()


def test_pixels_are_left_out_where_lesions_were_not_outlined(make_store, tmp_path):
    root = make_store(names=("skin",), models=("Patch-GAN", "Mean intensity"))
    (card,) = root.rglob("card.json")
    content = json.loads(card.read_text())
    content["card"]["has_masks"] = False
    card.write_text(json.dumps(content))
    page = write_report(root, tmp_path / "out")
    table = pd.read_csv(page.parent / "results.csv")
    assert table["pixel_average_precision"].isna().all()
    assert table["pixel_prevalence"].isna().all()
    text = text_of(page.read_text())
    assert "no pixel metric" not in text
    assert "no masks" in text
    assert "no map" not in text.replace("no maps", "")
    assert not list((page.parent / "figures").glob("*-mask.*"))


def test_definitions_of_the_score_are_compared_where_lesions_were_not_outlined(make_store, tmp_path):
    root = make_store(names=("skin",), models=("Patch-GAN", "Mean intensity"))
    outlined = pd.read_csv(write_report(root, tmp_path / "outlined").parent / "results.csv", index_col="model")
    (card,) = root.rglob("card.json")
    content = json.loads(card.read_text())
    content["card"]["has_masks"] = False
    card.write_text(json.dumps(content))
    page = write_report(root, tmp_path / "out")
    table = pd.read_csv(page.parent / "results.csv", index_col="model")
    assert not pd.isna(table.loc["Patch-GAN", "image_auroc_of_maximum"])
    columns = [column for column in table if column.startswith("image_auroc_of_")]
    pd.testing.assert_frame_equal(table[columns], outlined[columns])
    assert "image AUROC by the definition of the score" in text_of(page.read_text())


def test_a_damaged_job_is_a_row_and_the_others_stand(make_store, tmp_path):
    store = make_store(names=("skin",))
    (store / "jobs" / "4-5-0" / "scores.parquet").write_bytes(b"not parquet")
    page = write_report(store, tmp_path / "out").read_text()
    assert "PaDiM on skin, seed 0: unreadable" in page
    assert "Patch-GAN is ahead of Mean intensity" in page


def test_a_folder_that_is_no_store_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match=r"no plan\.json"):
        write_report(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_with_special_characters_are_text(make_store, tmp_path):
    name = "a|b <script>alert(1)</script> & $x$ `c`"

    def rename(run: Run) -> Run:
        if run.role == "trivial":
            run.note = "pipe | and <img src=x onerror=y>"
        return run

    store = make_store(names=(name,), change=rename)
    plan = Store(store).load_plan()
    plan["question"] = "Is 1 < 2 & | so?\n# not a heading"
    for job in plan["jobs"]:
        job["note"] = "pipe | and <img src=x onerror=y>"
    Store(store).save_plan(plan)
    page = write_report(store, tmp_path / "out")
    outline = Outline(page.read_text())
    assert len(outline.all("script")) == 2
    assert "<script>alert" not in page.read_text()
    assert all("onerror" not in attributes for attributes in outline.all("img"))
    assert name in text_of(page.read_text())
    twin = (page.parent / "README.md").read_text()
    assert r"a\|b \<script\>" in twin
    assert "<script>" not in twin
    assert "\n# not" not in twin


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head(report):
    blocks = re.findall(r"(?:^\|.*\n)+", (report.parent / "README.md").read_text(), flags=re.MULTILINE)
    assert len(blocks) > 5
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1
        assert set(block.splitlines()[1]) <= set("|-: ")


def test_the_twin_links_pictures_that_can_be_opened(report):
    links = re.findall(r"\]\((figures/[^)]+)\)", (report.parent / "README.md").read_text())
    assert len(links) > 10
    for link in links:
        path = report.parent / link
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")
        else:
            with Image.open(path) as picture:
                assert max(picture.size) == 192
    shown = {path.name for path in (report.parent / "figures").iterdir() if path.suffix != ".pdf"}
    assert shown == {Path(link).name for link in links}


def test_pictures_of_an_older_report_go_and_other_files_stay(make_store, tmp_path):
    (tmp_path / "out" / "figures").mkdir(parents=True)
    old, mine = (tmp_path / "out" / "figures" / name for name in ("example-9-old-1-map.png", "mine.png"))
    old.write_bytes(b"old")
    mine.write_bytes(b"mine")
    write_report(make_store(names=("skin",)), tmp_path / "out")
    assert not old.exists()
    assert mine.exists()


def test_the_report_needs_neither_torch_nor_anomalib():
    code = "import sys, anomalib_patchgan.report; print(sorted({'torch', 'anomalib', 'lightning'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
