# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Comparing two stores, and listing many."""

import json
import shutil

import pandas as pd
import pytest

from anomalib_patchgan.cli import main
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.report import write_comparison, write_leaderboard
from anomalib_patchgan.store import Store

MODELS = ("Patch-GAN", "PaDiM", "Patch-GAN, untrained")


def better_padim(run):
    if run.model == "PaDiM":
        run.scores["raw_score"] += 4.0 * (run.scores.index % 4 >= 2)
        run.environment = run.environment | {"python": "3.12.1"}
        run.model_arguments = {"patch_size": 4}
    return run


def with_card(store, folder, changed):
    """A copy of a store whose data card says something else."""
    for path in shutil.copytree(store, folder).glob("data/*/card.json"):
        card = json.loads(path.read_text())
        card["card"] |= changed
        path.write_text(json.dumps(card))
    return folder


def with_new_samples(store, folder):
    """A copy of a store whose samples are called otherwise."""
    other = shutil.copytree(store, folder)
    for path in (*other.glob("data/*/samples.parquet"), *other.glob("jobs/*/scores.parquet")):
        table = pd.read_parquet(path)
        table.assign(sample_id="new " + table["sample_id"]).to_parquet(path, index=False)
    return other


# What decides the test images beside the split, and how a page names it.
OTHER_IMAGES = [
    ({"protocol_parameters": {"margin": 2, "stride": 1, "modality": ["t2"]}}, "protocol_parameters.modality", "[t2]"),
    ({"phantom_parameters": {"level": "hard"}}, "phantom_parameters.level", "hard"),
    ({"image_size": [64, 64]}, "image_size", "[64, 64]"),
]


@pytest.fixture(scope="module")
def stores(write_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    one = write_store(folder / "before", names=("skin",), models=MODELS)
    return one, write_store(folder / "after", names=("skin",), models=MODELS, change=better_padim)


@pytest.fixture(scope="module")
def comparison(stores, tmp_path_factory):
    return write_comparison(*stores, tmp_path_factory.mktemp("comparison"))


def test_only_what_moved_beyond_noise_is_called_better(comparison):
    table = pd.read_csv(comparison.parent / "moves.csv").set_index("model")
    assert table["verdict"].to_dict() == {
        "Patch-GAN": "within noise",
        "PaDiM": "better",
        "Patch-GAN, untrained": "within noise",
    }
    row = table.loc["PaDiM"]
    assert row["moved"] == pytest.approx(row["second"] - row["first"])
    assert 0.0 < row["moved_low"] < row["moved"] < row["moved_high"]
    assert "after is better in 1, worse in 0 and within noise in 2" in comparison.read_text()


def test_the_other_way_round_it_is_worse(stores, tmp_path):
    page = write_comparison(*reversed(stores), tmp_path)
    assert "before is better in 0, worse in 1 and within noise in 2" in page.read_text()


def test_settings_and_environment_that_differ_are_named_and_no_others(comparison):
    text = comparison.read_text()
    assert "PaDiM on skin: arguments" in text
    assert "patch_size: 4" in text
    assert "3.12.1" in text
    assert "Patch-GAN on skin: arguments" not in text


def test_other_test_images_are_not_compared(stores, tmp_path):
    other = with_new_samples(stores[1], tmp_path / "other")
    table = pd.read_csv(write_comparison(stores[0], other, tmp_path / "out").parent / "moves.csv")
    assert set(table["verdict"]) == {"other test images"}
    assert table["moved"].isna().all()


@pytest.mark.parametrize(("changed", "name", "value"), OTHER_IMAGES)
def test_images_by_other_parameters_are_not_compared_and_the_page_says_which(stores, tmp_path, changed, name, value):
    other = with_card(stores[1], tmp_path / "other", changed)
    page = write_comparison(stores[0], other, tmp_path / "out")
    assert set(pd.read_csv(page.parent / "moves.csv")["verdict"]) == {"other test images"}
    text = page.read_text().replace("&#34;", "")
    assert f"skin: {name}" in text
    assert value in text
    assert "protocol_parameters.margin" not in text


def test_a_move_within_the_spread_of_seeds_is_noise(stores, write_store, tmp_path):
    def spread(run):
        if run.model == "PaDiM":
            run.scores["raw_score"] += (9.0 if run.seed else 0.0) * (run.scores.index % 4 >= 2)
        return run

    after = write_store(tmp_path / "spread", names=("skin",), models=MODELS, change=spread)
    table = pd.read_csv(write_comparison(stores[0], after, tmp_path / "out").parent / "moves.csv").set_index("model")
    assert table.loc["PaDiM", "moved_low"] > 0.0
    assert table.loc["PaDiM", "verdict"] == "within noise"


def test_models_of_one_store_alone_are_listed(stores, write_store, tmp_path):
    small = write_store(tmp_path / "small", names=("skin",), models=("Patch-GAN",))
    table = pd.read_csv(write_comparison(stores[0], small, tmp_path / "out").parent / "moves.csv").set_index("model")
    assert table.loc["PaDiM", "verdict"] == "only in the first"
    assert table.loc["Patch-GAN", "verdict"] == "within noise"


def test_leaderboard_ranks_within_a_board_and_gives_controls_no_rank(stores, tmp_path):
    page = write_leaderboard(stores[0].parent, tmp_path)
    table = pd.read_csv(page.parent / "leaderboard.csv")
    assert len(table) == 6
    ranked = table[table["rank"].notna()].sort_values("rank")
    assert ranked["rank"].tolist() == [1, 2, 3, 3]
    assert ranked["image_auroc"].is_monotonic_decreasing
    assert ranked.iloc[0][["model", "store"]].tolist() == ["PaDiM", "after"]
    assert table.loc[table["rank"].isna(), "role"].unique().tolist() == ["control"]


def test_equal_results_share_a_rank_on_the_leaderboard(stores, tmp_path):
    shutil.copytree(stores[0], tmp_path / "stores" / "one")
    shutil.copytree(stores[0], tmp_path / "stores" / "two")
    page = write_leaderboard(tmp_path / "stores", tmp_path / "out")
    table = pd.read_csv(page.parent / "leaderboard.csv")
    ranks = table[table["rank"].notna()].groupby("model")["rank"].apply(list).to_dict()
    assert sorted(ranks.values()) == [[1, 1], [3, 3]]
    assert page.read_text().count("first of 4, tied.") == 2


def test_another_split_is_another_board(stores, tmp_path):
    shutil.copytree(stores[0], tmp_path / "stores" / "one")
    with_card(stores[1], tmp_path / "stores" / "two", {"split_sha256": "ab" * 32})
    page = write_leaderboard(tmp_path / "stores", tmp_path / "out")
    table = pd.read_csv(page.parent / "leaderboard.csv")
    assert table.loc[table["rank"] == 1, "store"].tolist() == ["one", "two"]
    assert "2 boards from 2 stores" in page.read_text()


@pytest.mark.parametrize(("changed", "name", "value"), OTHER_IMAGES)
def test_images_by_other_parameters_are_another_board_that_says_so(stores, tmp_path, changed, name, value):
    shutil.copytree(stores[0], tmp_path / "stores" / "one")
    with_card(stores[1], tmp_path / "stores" / "two", changed)
    page = write_leaderboard(tmp_path / "stores", tmp_path / "out")
    table = pd.read_csv(page.parent / "leaderboard.csv")
    assert set(table.loc[table["rank"] == 1, "store"]) == {"one", "two"}
    assert table["images_sha256"].nunique() == 2
    text = page.read_text().replace("&#34;", "")
    assert "2 boards from 2 stores" in text
    assert f"{name}: {value})" in text
    assert "protocol_parameters.margin" not in text


def test_other_samples_of_the_same_subjects_are_another_board(stores, tmp_path):
    shutil.copytree(stores[0], tmp_path / "stores" / "one")
    with_new_samples(stores[1], tmp_path / "stores" / "two")
    assert "2 boards from 2 stores" in write_leaderboard(tmp_path / "stores", tmp_path / "out").read_text()


def test_a_store_of_another_version_is_named_and_the_others_stand(stores, tmp_path):
    shutil.copytree(stores[0], tmp_path / "stores" / "good")
    old = shutil.copytree(stores[1], tmp_path / "stores" / "old")
    (old / "plan.json").write_text('{"schema_version": 0}')
    page = write_leaderboard(tmp_path / "stores", tmp_path / "out").read_text()
    assert "schema_version 0" in page
    assert "3 results on 1 board from 2 stores" in page


def test_a_folder_without_a_store_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="holds no result store"):
        write_leaderboard(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    "arguments",
    [["--compare", "{0}", "{1}"], ["--leaderboard", "{2}"], ["{0}", "--pdf"]],
)
def test_the_command_prints_the_path_of_the_page(stores, tmp_path, capsys, arguments):
    typed = [argument.format(*stores, stores[0].parent) for argument in arguments]
    assert main(["report", *typed, "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "index.html")
    assert bool(list(tmp_path.glob("figures/*.pdf"))) == ("--pdf" in arguments)


@pytest.mark.parametrize("arguments", [[], ["somewhere", "--leaderboard", "elsewhere"]])
def test_not_exactly_one_task_is_a_sentence(arguments, capsys):
    assert main(["report", *arguments]) == 2
    assert "takes one of STORE, --compare A B and --leaderboard DIR" in capsys.readouterr().err


def test_kept_scores_give_the_same_comparison(stores, comparison, tmp_path):
    assert list((Store(stores[0]).root / "report-cache").glob("*.npz"))
    again = write_comparison(*stores, tmp_path)
    assert again.read_bytes() == comparison.read_bytes()
