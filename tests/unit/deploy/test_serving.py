# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The repository of OpenVINO Model Server, and its client against a server that speaks the same protocol."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import openvino
import pytest
from PIL import Image

from anomalib_patchgan.deploy import serving_client
from anomalib_patchgan.deploy.core import shared_core
from anomalib_patchgan.deploy.identity import ModelIdentity, file_sha256
from anomalib_patchgan.deploy.serving import write_model_repository
from anomalib_patchgan.errors import InputError

RASTER = {"kind": "raster", "image_size": [8, 8], "intensity_range": None}


def write_identified(path, bias, preparation=RASTER):
    """A graph whose score is the mean intensity and a bias, with the outputs and the metadata of an export."""
    operations = openvino.opset13
    images = operations.parameter([-1, 3, 8, 8], np.float32, name="input")
    images.output(0).set_names({"input"})
    score = operations.add(
        operations.reduce_mean(images, np.array([1, 2, 3]), keep_dims=False), np.full(1, bias, np.float32)
    )
    label = operations.greater(score, np.full(1, 0.5, np.float32))
    outputs = {"raw_score": score, "pred_score": operations.relu(score), "pred_label": label}
    for name, node in outputs.items():
        node.output(0).set_names({name})
    model = openvino.Model(list(outputs.values()), [images], "mean")
    path.parent.mkdir(parents=True, exist_ok=True)
    for weights in ("", None):
        identity = ModelIdentity(
            model_class="some.Mean",
            arguments={},
            precision="bf16",
            inference_precision="bf16",
            image_threshold=0.5,
            pixel_threshold=0.5,
            raw_image_threshold=0.5,
            preparation=preparation,
            data={},
            packages={},
            quantised=[],
            weights_sha256=weights if weights is not None else file_sha256(path.with_suffix(".bin")),
        )
        identity.write_to(model)
        openvino.save_model(model, path, compress_to_fp16=False)
    return path


def test_the_layout_is_the_one_that_the_server_documents(tmp_path):
    model = write_identified(tmp_path / "model.xml", 0.0)
    repository = tmp_path / "repository"
    assert write_model_repository(model, repository, "brain") == repository / "brain" / "1"
    assert sorted(path.name for path in (repository / "brain" / "1").iterdir()) == ["model.bin", "model.xml"]
    (entry,) = json.loads((repository / "config.json").read_text())["model_config_list"]
    assert entry["config"]["name"] == "brain"
    assert entry["config"]["base_path"] == "/models/brain"
    assert entry["config"]["plugin_config"] == {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "bf16",
    }
    compile(((repository / "client.py").read_text()), "client.py", "exec")


def test_another_export_is_a_new_version_and_the_same_one_is_not(tmp_path):
    first = write_identified(tmp_path / "first" / "model.xml", 0.0)
    second = write_identified(tmp_path / "second" / "model.xml", 0.1)
    repository = tmp_path / "repository"
    versions = [
        write_model_repository(model, repository, name).name
        for model, name in ((first, "brain"), (first, "brain"), (second, "brain"), (second, "skin"))
    ]
    assert versions == ["1", "1", "2", "1"]
    entries = json.loads((repository / "config.json").read_text())["model_config_list"]
    assert [entry["config"]["name"] for entry in entries] == ["brain", "skin"]


@pytest.mark.parametrize("lost", ["model.xml", "model.bin"])
def test_a_version_that_lost_a_file_is_followed_by_a_whole_one(tmp_path, lost):
    model = write_identified(tmp_path / "model.xml", 0.0)
    (write_model_repository(model, tmp_path / "repository", "brain") / lost).unlink()
    assert write_model_repository(model, tmp_path / "repository", "brain").name == "2"


def test_names_that_a_server_would_not_take_are_refused(tmp_path):
    model = write_identified(tmp_path / "model.xml", 0.0)
    with pytest.raises(InputError, match="name: found 'a/b'"):
        write_model_repository(model, tmp_path / "repository", "a/b")
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="found no configuration of a model server"):
        write_model_repository(model, tmp_path / "repository", "ab")


def test_what_a_user_wrote_into_the_configuration_stays(tmp_path):
    model = write_identified(tmp_path / "model.xml", 0.0)
    configuration = tmp_path / "repository" / "config.json"
    configuration.parent.mkdir()
    other = {"config": {"name": "skin", "base_path": "/models/skin"}}
    own = {
        "config": {
            "name": "brain",
            "base_path": "/elsewhere",
            "nireq": 4,
            "plugin_config": {"NUM_STREAMS": "2", "PERFORMANCE_HINT": "LATENCY"},
        },
        "comment": "night shift",
    }
    before = {
        "mediapipe_config_list": [{"name": "graph"}],
        "model_config_list": [own, other],
        "monitoring": {"metrics": {"enable": True}},
    }
    configuration.write_text(json.dumps(before))
    write_model_repository(model, configuration.parent, "brain")
    after = json.loads(configuration.read_text())
    assert after["mediapipe_config_list"] == before["mediapipe_config_list"]
    assert after["monitoring"] == before["monitoring"]
    entry, untouched = after["model_config_list"]
    assert untouched == other
    assert entry["comment"] == "night shift"
    assert entry["config"]["nireq"] == 4
    assert entry["config"]["base_path"] == "/models/brain"
    assert entry["config"]["plugin_config"] == {
        "NUM_STREAMS": "2",
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "bf16",
    }


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"patch_size": 8}, "patches"),
        ({"colour_constancy": True}, "balanced colours"),
        ({"kind": "raster", "aliased": True}, "images resized without antialiasing"),
    ],
)
def test_a_model_of_images_that_the_client_does_not_prepare_is_refused(tmp_path, changes, found):
    photograph = {"kind": "photograph", "image_size": [8, 8], "working_size": 16}
    model = write_identified(tmp_path / "model.xml", 0.0, photograph | changes)
    with pytest.raises(InputError, match=rf"model\.xml: found a model of {found}, expected"):
        write_model_repository(model, tmp_path / "repository", "skin")
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"model_config_list": 1}', '{"model_config_list": [{"config": 1}]}'])
def test_a_damaged_configuration_is_refused_before_anything_is_copied(content, tmp_path):
    model = write_identified(tmp_path / "model.xml", 0.0)
    configuration = tmp_path / "repository" / "config.json"
    configuration.parent.mkdir()
    configuration.write_text(content)
    with pytest.raises(InputError, match=r"config\.json: found no configuration of a model server"):
        write_model_repository(model, configuration.parent, "brain")
    assert [path.name for path in configuration.parent.iterdir()] == ["config.json"]


def test_a_configuration_that_cannot_be_read_is_a_sentence(tmp_path):
    model = write_identified(tmp_path / "model.xml", 0.0)
    (tmp_path / "repository" / "config.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"config\.json: found a file that cannot be read \(Is a directory\)"):
        write_model_repository(model, tmp_path / "repository", "brain")


def test_a_repository_that_is_a_file_is_a_sentence(tmp_path):
    model = write_identified(tmp_path / "model.xml", 0.0)
    (tmp_path / "repository").write_text("")
    with pytest.raises(InputError, match="repository"):
        write_model_repository(model, tmp_path / "repository", "brain")


class Server(BaseHTTPRequestHandler):
    """Answers as the server does: KServe v2 over REST with the binary data extension."""

    model: openvino.CompiledModel

    def do_GET(self):
        self._answer(json.dumps({"inputs": [{"name": "input", "shape": [-1, 3, 8, 8]}]}).encode(), {})

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers["Inference-Header-Content-Length"])
        asked = json.loads(content[:length])
        images = np.frombuffer(content[length:], np.float32).reshape(asked["inputs"][0]["shape"])
        found = self.model(images)
        outputs, payload = [], b""
        for output in asked["outputs"]:
            values = np.ascontiguousarray(found[output["name"]])
            kind = "BOOL" if values.dtype == bool else "FP32"
            size = {"binary_data_size": values.nbytes}
            outputs.append({"name": output["name"], "shape": values.shape, "datatype": kind, "parameters": size})
            payload += values.tobytes()
        header = json.dumps({"outputs": outputs}).encode()
        self._answer(header + payload, {"Inference-Header-Content-Length": str(len(header))})

    def _answer(self, content, headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


def test_the_client_prints_what_the_served_model_says(tmp_path, monkeypatch, capsys):
    folder = write_model_repository(write_identified(tmp_path / "model.xml", 0.0), tmp_path / "repository", "brain")
    for name, value in (("dark", 51), ("bright", 204)):
        Image.fromarray(np.full((16, 16), value, np.uint8)).save(tmp_path / f"{name}.png")
    monkeypatch.setattr(Server, "model", shared_core().compile_model(folder / "model.xml", "CPU"), raising=False)
    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        pictures = [str(tmp_path / "dark.png"), str(tmp_path / "bright.png")]
        monkeypatch.setattr("sys.argv", ["client.py", address, "brain", *pictures])
        serving_client.main()
    finally:
        server.shutdown()
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == pictures
    assert [line[2] for line in lines] == ["normal", "abnormal"]
    assert [float(line[1]) for line in lines] == pytest.approx([0.2, 0.8], abs=0.01)


@pytest.mark.parametrize(
    ("mode", "found"), [("I;16", "deep.png: found more than eight bits"), ("L", "Connection refused")]
)
def test_the_client_says_in_a_sentence_what_it_cannot_read_or_reach(tmp_path, monkeypatch, mode, found):
    Image.new(mode, (8, 8)).save(tmp_path / "deep.png")
    if mode != "L":
        monkeypatch.setattr(serving_client, "input_size", lambda *_: (8, 8))
    monkeypatch.setattr("sys.argv", ["client.py", "http://localhost:1", "brain", str(tmp_path / "deep.png")])
    with pytest.raises(SystemExit, match=found):
        serving_client.main()
