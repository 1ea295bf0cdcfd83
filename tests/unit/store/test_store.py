# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.store import CannotWriteError, DataRecord, Run, Store


def make_run(**changes) -> Run:
    values = {
        "key": "0123456789abcdef",
        "model": "Mean intensity",
        "role": "trivial",
        "note": "",
        "model_class": "package.Model",
        "model_arguments": {"size": (4, 4)},
        "data": "brain",
        "data_key": "fedcba9876543210",
        "protocol": "slice",
        "seed": 1,
        "status": "finished",
        "threads": 2,
        "parameters": np.int64(7),
        "timings": {"fit": 1.5},
        "deployment": [{"backend": "pytorch_fp32", "speedup": float("nan")}],
        "scores": pd.DataFrame({"sample_id": ["a", "b"], "raw_score": [0.25, 3.0], "predicted_label": [False, True]}),
        "calibration": pd.DataFrame({"sample_id": ["c"], "subject_id": ["s"], "raw_score": [0.5]}),
        "maps": np.arange(32, dtype=np.float32).reshape(2, 4, 4),
        "curves": pd.DataFrame({"step": [0], "name": ["loss"], "value": [0.1]}),
    }
    return Run(**(values | changes))


def make_record(**changes) -> DataRecord:
    samples = pd.DataFrame(
        {"sample_id": ["a", "b"], "subject_id": ["s", "t"], "label": [0, 1], "lesion_fraction": [0.0, 0.5]}
    )
    samples["slice_index"] = [-1, 3]
    values = {
        "key": "fedcba9876543210",
        "name": "brain",
        "data_class": "package.Data",
        "data_arguments": {"protocol": "slice"},
        "card": {"name": "BraTS 2019", "image_size": [4, 4]},
        "samples": samples,
        "images": np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3),
        "masks": np.eye(4, dtype=bool)[None].repeat(2, axis=0),
    }
    return DataRecord(**(values | changes))


def test_run_comes_back_as_it_was_saved(tmp_path):
    store, run = Store(tmp_path), make_run()
    store.save_run(run)
    loaded = store.load_run(run.key, with_maps=True)
    pd.testing.assert_frame_equal(loaded.scores, run.scores)
    pd.testing.assert_frame_equal(loaded.calibration, run.calibration)
    pd.testing.assert_frame_equal(loaded.curves, run.curves)
    assert loaded.maps.dtype == np.float16
    np.testing.assert_array_equal(loaded.maps, run.maps)
    assert loaded.timings == {"fit": 1.5}
    assert loaded.parameters == 7
    assert loaded.model_arguments == {"size": [4, 4]}


def test_tables_of_artefacts_come_back_as_they_were_saved(tmp_path):
    scores = pd.DataFrame(
        {"artefact": ["noise"] * 2, "severity": [1, 1], "sample_id": ["a", "b"], "raw_score": [0.5, 2.0]}
    )
    pixels = pd.DataFrame({"artefact": ["noise"], "severity": [1], "pixel_average_precision": [0.4]})
    Store(tmp_path).save_run(make_run(artefacts=scores, artefact_pixels=pixels))
    loaded = Store(tmp_path).load_run(make_run().key)
    pd.testing.assert_frame_equal(loaded.artefacts, scores)
    pd.testing.assert_frame_equal(loaded.artefact_pixels, pixels)


def test_run_without_tables_of_artefacts_is_read_as_one_that_asked_for_none(tmp_path):
    Store(tmp_path).save_run(make_run())
    loaded = Store(tmp_path).load_run(make_run().key)
    assert loaded.artefacts is None
    assert loaded.artefact_pixels is None


def test_missing_number_of_a_deployment_row_is_stored_as_none(tmp_path):
    Store(tmp_path).save_run(make_run())
    assert Store(tmp_path).load_run(make_run().key).deployment == [{"backend": "pytorch_fp32", "speedup": None}]


def test_maps_are_read_only_when_asked_for(tmp_path):
    Store(tmp_path).save_run(make_run())
    assert Store(tmp_path).load_run(make_run().key).maps is None


def test_data_record_comes_back_as_it_was_saved(tmp_path):
    store, record = Store(tmp_path), make_record()
    store.save_data(record)
    loaded = store.load_data(record.key)
    pd.testing.assert_frame_equal(loaded.samples, record.samples)
    np.testing.assert_array_equal(loaded.images, record.images)
    np.testing.assert_array_equal(loaded.masks, record.masks)
    assert loaded.card == record.card
    assert store.load_data(record.key, with_images=False).images is None


def test_plan_comes_back_as_it_was_saved(tmp_path):
    plan = {"suite": "tiny", "jobs": [{"key": "k"}]}
    Store(tmp_path / "new").save_plan(plan)
    assert Store(tmp_path / "new").load_plan() == plan


def test_same_run_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        Store(tmp_path / name).save_run(make_run())
    for file in ("run.json", "scores.parquet", "calibration.parquet", "maps.npz", "curves.parquet"):
        path = f"jobs/{make_run().key}/{file}"
        assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "second" / path).read_bytes(), file


def test_finished_run_is_never_overwritten(tmp_path):
    store = Store(tmp_path)
    store.save_run(make_run())
    with pytest.raises(FileExistsError, match="never overwritten"):
        store.save_run(make_run(parameters=8))
    assert store.load_run(make_run().key).parameters == 7


def test_failed_run_is_replaced_as_a_whole(tmp_path):
    store = Store(tmp_path)
    store.save_run(make_run(status="failed", error="It broke.", scores=None, maps=None))
    assert store.run_status(make_run().key) == "failed"
    store.save_run(make_run(calibration=None))
    loaded = store.load_run(make_run().key)
    assert (loaded.status, loaded.error, loaded.calibration) == ("finished", None, None)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [make_run().key]


def test_killed_write_is_never_read_and_is_cleaned(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def killed(*_args, **_kwargs):
        raise SystemExit

    # The folder of a process that was killed stays; here the removal on the way out is switched off instead.
    monkeypatch.setattr("anomalib_patchgan.store.store.write_json", killed)
    monkeypatch.setattr("anomalib_patchgan.store.files.shutil.rmtree", lambda *_args, **_kwargs: None)
    with pytest.raises(SystemExit):
        store.save_run(make_run())
    monkeypatch.undo()

    assert list((tmp_path / "jobs").iterdir()), "the interrupted write should have left its folder"
    assert store.run_status(make_run().key) is None
    assert store.clean() == 1
    assert not list((tmp_path / "jobs").iterdir())


def test_exception_while_writing_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="could not convert"):
        Store(tmp_path).save_run(make_run(maps=np.array(["x", "y"])))
    assert not list((tmp_path / "jobs").iterdir())


def test_failed_run_whose_message_names_a_file_that_is_no_utf_8_is_stored(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    Store(tmp_path).save_run(make_run(status="failed", scores=None, maps=None, error=f"{name} cannot be read"))
    assert Store(tmp_path).load_run("0123456789abcdef").error == "caf?.png cannot be read"


@pytest.mark.parametrize("writer", ["to_parquet", "savez_compressed", "write_text", "fsync", "rename"])
def test_full_disk_is_a_sentence_and_leaves_what_was_there(tmp_path, monkeypatch, writer):
    store = Store(tmp_path)
    store.save_run(make_run(status="failed", error="It broke.", scores=None, maps=None))
    before = {path.name: path.read_bytes() for path in (tmp_path / "jobs" / make_run().key).iterdir()}
    owners = {"to_parquet": pd.DataFrame, "savez_compressed": np, "fsync": os}

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(owners.get(writer, Path), writer, full)
    with pytest.raises(CannotWriteError, match=rf"{make_run().key} cannot be written \(No space left on device\)"):
        store.save_run(make_run())
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in (tmp_path / "jobs" / make_run().key).iterdir()} == before
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [make_run().key]


def test_plan_that_finds_no_room_leaves_the_one_that_was_there(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.save_plan({"suite": "tiny", "jobs": []})

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CannotWriteError, match=r"plan.json cannot be written \(No space left on device\)"):
        store.save_plan({"suite": "other", "jobs": []})
    assert store.load_plan() == {"suite": "tiny", "jobs": []}
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_store_is_locked_for_one_writer_at_a_time(tmp_path):
    first, second = Store(tmp_path / "store"), Store(tmp_path / "store")
    with (
        first.locked(),
        pytest.raises(InputError, match=rf"store is being written by process {os.getpid()} on .*; expected one run"),
    ):
        second.locked().__enter__()
    with second.locked():
        pass


def test_lock_of_a_process_that_was_killed_holds_nothing(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from anomalib_patchgan.store.lock import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    assert (tmp_path / ".lock-owner").exists()
    with Store(tmp_path).locked():
        pass


def test_runs_are_summarised_without_their_tables(tmp_path):
    store = Store(tmp_path)
    assert list(store.summaries()) == []
    store.save_run(make_run())
    store.save_run(make_run(key="f" * 16, status="failed", scores=None, maps=None))
    assert [(run.status, run.timings, run.scores) for run in store.summaries()] == [
        ("finished", {"fit": 1.5}, None),
        ("failed", {"fit": 1.5}, None),
    ]


def test_other_schema_version_is_a_sentence(tmp_path):
    store = Store(tmp_path)
    store.save_run(make_run())
    path = tmp_path / "jobs" / make_run().key / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    for read in (store.run_status, store.load_run):
        with pytest.raises(InputError, match=r"run\.json has schema_version 99; .* reads 2, .* or another store"):
            read(make_run().key)


def test_damaged_json_is_a_sentence(tmp_path):
    store = Store(tmp_path)
    store.save_plan({"suite": "tiny", "jobs": []})
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        store.load_plan()


@pytest.mark.parametrize("damaged", ["{", '{"schema_version": 2}'])
def test_remedy_of_a_damaged_plan_keeps_the_results(tmp_path, damaged):
    store = Store(tmp_path)
    store.save_run(make_run())
    (tmp_path / "plan.json").write_text(damaged)
    with pytest.raises(InputError, match=r"remove this file alone") as caught:
        store.load_plan()
    # The folder of the plan is the store itself.
    assert "folder" not in str(caught.value).replace(str(tmp_path), "")


def test_damaged_run_is_made_again_without_its_folder(tmp_path):
    store = Store(tmp_path)
    store.save_run(make_run())
    (tmp_path / "jobs" / make_run().key / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json cannot be read .*; remove its folder to have it made again"):
        store.run_status(make_run().key)


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("jobs/*/scores.parquet", lambda store: store.load_run(make_run().key)),
        ("data/*/samples.parquet", lambda store: store.load_data(make_record().key, with_images=False)),
    ],
)
def test_damaged_table_is_a_sentence(tmp_path, file, read):
    store = Store(tmp_path)
    store.save_run(make_run())
    store.save_data(make_record())
    (path,) = tmp_path.glob(file)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"parquet cannot be read .*; remove its folder to have it made again"):
        read(store)


def test_unknown_key_in_a_stored_run_is_a_sentence(tmp_path):
    store = Store(tmp_path)
    store.save_run(make_run())
    path = tmp_path / "jobs" / make_run().key / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))
    with pytest.raises(InputError, match="colour"):
        store.load_run(make_run().key)


def test_folder_without_plan_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"is not a result store \(no plan.json in it\)"):
        Store(tmp_path).load_plan()
    with pytest.raises(InputError, match="no such folder"):
        Store(tmp_path / "absent").load_plan()


def test_finished_run_without_scores_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no scores"):
        Store(tmp_path).save_run(make_run(scores=None))


def test_maps_of_another_length_than_the_scores_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 maps for 2 scores"):
        Store(tmp_path).save_run(make_run(maps=np.zeros((1, 4, 4))))


def test_record_without_an_image_for_each_sample_is_refused(tmp_path):
    with pytest.raises(ValueError, match="1 images for 2 samples"):
        Store(tmp_path).save_data(make_record(images=np.zeros((1, 4, 4, 3), dtype=np.uint8)))
    assert not Store(tmp_path).has_data(make_record().key)
