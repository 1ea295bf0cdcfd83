# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What an export holds, whether it decides as the trained model does, and what the gate says if it does not."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import openvino
import pandas as pd
import pytest
import torch
from anomalib.data import InferenceBatch
from anomalib.models import Cflow, Dfkde, Dfm, Fre, Patchcore
from anomalib.models.components.filters import GaussianBlur2d
from anomalib.pre_processing import PreProcessor
from scipy import stats
from small_model import SIZE, NormalImages, make_model
from torchvision.transforms.v2 import Compose, Resize
from torchvision.transforms.v2.functional import resize

from anomalib_patchgan import PatchGan
from anomalib_patchgan.deploy import parity, quantisation, runtimes
from anomalib_patchgan.deploy.core import compile_in_float32
from anomalib_patchgan.deploy.device import computes_bfloat16
from anomalib_patchgan.deploy.export import PRECISIONS, Exporter, export_model
from anomalib_patchgan.deploy.graph import DeployedGraph, convert, write_onnx
from anomalib_patchgan.deploy.identity import read_model
from anomalib_patchgan.deploy.preparation import RasterPreparation
from anomalib_patchgan.deploy.quantisation import network_layers, quantised_operations
from anomalib_patchgan.errors import InputError


def test_the_metadata_say_what_the_model_is(exported, model):
    graph, identity = read_model(exported["int8"])
    assert identity.model_class == "anomalib_patchgan.models.patchgan.lightning_model.PatchGan"
    assert identity.arguments["width"] == 8
    assert (identity.precision, identity.inference_precision) == ("int8", "f32")
    assert identity.raw_image_threshold == pytest.approx(float(model.post_processor.image_threshold))
    assert identity.preparation == {"kind": "raster", "image_size": [32, 32], "intensity_range": None, "aliased": False}
    assert identity.packages["openvino"] == openvino.__version__.split("-")[0]
    # Any other reader of OpenVINO models sees it too.
    assert json.loads(str(graph.get_rt_info(["anomalib_patchgan", "precision"]).value)) == "int8"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_outputs_are_named_and_their_batch_is_free(exported, precision):
    graph, _ = read_model(exported[precision])
    names = [output.get_any_name() for output in graph.outputs]
    assert names == ["raw_score", "pred_score", "pred_label", "anomaly_map", "pred_mask"]
    assert all(output.get_partial_shape()[0].is_dynamic for output in graph.outputs)


def test_int8_bf16_is_the_graph_of_int8_with_another_arithmetic_declared(exported):
    (quantised, first), (other, second) = (read_model(exported[name]) for name in ("int8", "int8_bf16"))
    assert (first.inference_precision, second.inference_precision) == ("f32", "bf16")
    assert second.quantised == first.quantised == quantised_operations(other)
    assert second.weights_sha256 == first.weights_sha256
    assert len(quantised.get_ops()) == len(other.get_ops())


def test_only_layers_of_the_network_are_quantised(exported, model):
    graph, identity = read_model(exported["int8"])
    assert identity.quantised == quantised_operations(graph)
    full, _ = read_model(exported["fp32"])
    layers = network_layers(full, model.model)
    worthwhile = quantisation.worthwhile_layers(full, layers)
    assert set(identity.quantised) <= set(worthwhile) < set(layers)
    assert len(identity.quantised) > 0.5 * len(worthwhile)
    kinds = {operation.get_friendly_name(): operation.get_type_name() for operation in full.get_ops()}
    # The whitening of the novelty distribution is a product too, but of no layer.
    assert "Einsum" in kinds.values()
    assert {kinds[name] for name in layers} == {"Convolution", "MatMul"}
    fed = [op for op in graph.get_ops() if op.get_type_name() == "FakeQuantize"]
    readers = {target.get_node().get_type_name() for op in fed for target in op.output(0).get_target_inputs()}
    assert readers <= {"Convolution", "MatMul", "Reshape", "Transpose", "Convert"}


@pytest.mark.parametrize("channels", [1, 2])
def test_the_blur_of_a_map_is_no_layer_of_the_network(channels, tmp_path):
    class Blurred(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = torch.nn.Conv2d(3, channels, 3, padding=1)
            self.blur = GaussianBlur2d(sigma=2, channels=channels)

        def forward(self, images):
            return self.blur(self.network(images))

    module = Blurred().eval()
    torch.onnx.export(module, (torch.rand(2, 3, 32, 32),), tmp_path / "model.onnx", opset_version=18, dynamo=True)
    graph = openvino.convert_model(tmp_path / "model.onnx")
    kinds = {operation.get_friendly_name(): operation.get_type_name() for operation in graph.get_ordered_ops()}
    assert sum(kind in ("Convolution", "GroupConvolution") for kind in kinds.values()) == 2
    (layer,) = network_layers(graph, module)
    assert kinds[layer] == "Convolution"


def small_network(layers=4):
    """Convolutions one after the other, and the mean of the last as the raw score; converted by hand."""
    draw = np.random.default_rng(0)
    operations = openvino.opset13
    images = operations.parameter([-1, 3, 16, 16], np.float32, name="input")
    node, channels = images, 3
    for _ in range(layers):
        weights = operations.constant(draw.normal(0, 0.4, (8, channels, 3, 3)).astype(np.float32))
        node = operations.relu(operations.convolution(node, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
        channels = 8
    score = operations.reduce_mean(node, np.array([1, 2, 3]), keep_dims=False)
    score.output(0).set_names({"raw_score"})
    return openvino.Model([score], [images], "small")


@pytest.fixture
def tolerant(monkeypatch):
    """No change of the scores is too much."""
    monkeypatch.setattr(quantisation, "TOLERATED_DIFFERENCE", 1e3)
    monkeypatch.setattr(quantisation, "TOLERATED_DISCORDANCE", 1e3)
    return monkeypatch


def noise(count):
    """Images for the small network."""
    return np.random.default_rng(1).uniform(0, 1, (count, 3, 16, 16)).astype(np.float32)


def scores_before_and_after(images):
    """Scores of the small network, and with every layer of it in eight bits."""
    free = quantisation.quantise(small_network(), torch.nn.Module(), images)
    assert len(quantised_operations(free)) == 4
    compiled = [compile_in_float32(graph) for graph in (small_network(), free)]
    return [quantisation.raw_scores(run, images) for run in compiled]


def test_layers_are_taken_out_of_the_quantisation_if_scores_move_too_much(tolerant):
    images = noise(8)
    expected, found = scores_before_and_after(images)
    moved = np.abs(found - expected).mean() / quantisation.interquartile_range(expected)
    tolerant.setattr(quantisation, "TOLERATED_DIFFERENCE", 0.9 * moved)
    bound = quantisation.quantise(small_network(), torch.nn.Module(), images)
    assert 0 < len(quantised_operations(bound)) < 4
    tolerant.setattr(quantisation, "TOLERATED_DIFFERENCE", 1e-9)
    with pytest.raises(InputError, match="found no layer that can be quantised"):
        quantisation.quantise(small_network(), torch.nn.Module(), images)


def test_layers_are_taken_out_of_the_quantisation_if_images_change_places(tolerant):
    images = noise(40)
    swapped = quantisation.discordance(*scores_before_and_after(images))
    assert swapped > 0
    # A mean movement within tolerance says nothing of it.
    tolerant.setattr(quantisation, "TOLERATED_DISCORDANCE", 0.9 * swapped)
    bound = quantisation.quantise(small_network(), torch.nn.Module(), images)
    assert 0 < len(quantised_operations(bound)) < 4
    scores = [quantisation.raw_scores(compile_in_float32(graph), images) for graph in (small_network(), bound)]
    assert quantisation.discordance(*scores) <= 0.9 * swapped


def test_discordance_is_what_kendalls_tau_counts():
    draw = np.random.default_rng(0)
    first = draw.normal(size=50)
    second = first + draw.normal(size=50)
    tau = stats.kendalltau(first, second).statistic
    assert quantisation.discordance(first, second) == pytest.approx((1 - tau) / 2)
    assert quantisation.discordance(first, -first) == 1
    # Scores that are all alike order nothing, and their AUROC is a half.
    assert quantisation.discordance(first, np.zeros(50)) == 0.5
    assert quantisation.discordance(first[:1], second[:1]) == 0


def test_a_layer_that_costs_nothing_keeps_its_bits():
    operations = openvino.opset13
    images = operations.parameter([-1, 3, 16, 16], np.float32, name="input")
    wide = operations.constant(np.ones((8, 3, 3, 3), np.float32))
    convolved = operations.convolution(images, wide, [1, 1], [1, 1], [1, 1], [1, 1], name="wide")
    vector = operations.reduce_mean(convolved, np.array([2, 3]), keep_dims=False)
    product = operations.matmul(vector, operations.constant(np.ones((8, 8), np.float32)), False, False, name="vector")
    graph = openvino.Model([product], [images], "small")
    layers = {operation.get_friendly_name(): operation for operation in graph.get_ordered_ops()}
    assert quantisation.multiplications(layers["wide"]) == 8 * 3 * 9 * 256
    assert quantisation.multiplications(layers["vector"]) == 64
    assert quantisation.worthwhile_layers(graph, ["wide", "vector"]) == ["wide"]


@pytest.mark.usefixtures("tolerant")
def test_weights_leave_a_bit_for_cpus_that_would_overflow():
    graph = quantisation.quantise(small_network(), torch.nn.Module(), noise(8))
    for name in quantised_operations(graph):
        layer = next(operation for operation in graph.get_ops() if operation.get_friendly_name() == name)
        node = layer.input_value(1).get_node()
        while node.get_type_name() != "Constant":
            node = node.input_value(0).get_node()
        assert node.data.dtype == np.int8
        assert 60 <= np.abs(node.data.astype(int)).max() <= 64


def test_int8_needs_data_and_says_so(model, tmp_path):
    with pytest.raises(InputError, match="data: found none, expected those"):
        export_model(model, tmp_path, ("int8",))
    with pytest.raises(InputError, match="precision: found 'fp4', expected one of fp32, fp16, bf16, int8, int8_bf16"):
        export_model(model, tmp_path, ("fp4",))


def test_a_model_that_was_never_validated_is_refused(tmp_path):
    fresh = PatchGan(image_size=32, channels=1, width=8, discriminator_width=16, evaluator=False, visualizer=False)
    with pytest.raises(InputError, match="PatchGan: found no thresholds"):
        export_model(fresh, tmp_path)


@pytest.fixture(scope="module")
def bench(model, datamodule):
    return parity.ParityBench(model, datamodule, 1)


def test_fp32_passes_the_gate_and_every_row_has_its_numbers(bench, exported, tmp_path):
    runnable = {name: path for name, path in exported.items() if "bf16" not in name or computes_bfloat16("CPU")}
    rows = {precision: bench.compare_export(path) for precision, path in runnable.items()}
    row = rows["fp32"]
    assert (row.status, row.flips, row.note) == ("passed", 0, "")
    assert 0 < row.score_mean <= row.score_max < 1e-3
    assert row.map_max < 1e-3
    assert row.auroc_low <= row.auroc_difference <= row.auroc_high
    assert rows["fp16"].score_max > row.score_max
    assert rows["int8"].quantised > 0
    if computes_bfloat16("CPU"):
        assert rows["int8_bf16"].quantised == rows["int8"].quantised
        assert rows["int8_bf16"].score_mean != rows["int8"].score_mean
    assert bench.compare_backend("onnxruntime_fp32", tmp_path).status == "passed"
    table = parity.parity_table(list(rows.values()))
    assert [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]] == [
        f"openvino_{precision}" for precision in runnable
    ]


@pytest.mark.parametrize(
    ("precision", "changes", "reason"),
    [
        ("fp32", {"flips": 1}, "1 labels flipped, at most 0 may"),
        ("fp32", {"score_max": 2e-3}, "a raw score differs by 0.002 interquartile ranges"),
        ("fp16", {"auroc_difference": -0.0021}, "the AUROC differs by -0.0021, at most 0.002 may"),
        ("bf16", {"auroc_difference": 0.0021}, "the AUROC differs by +0.0021, at most 0.002 may"),
        ("int8", {"auroc_difference": 0.0051}, "the AUROC differs by +0.0051, at most 0.005 may"),
        ("int8", {"quantised": 0}, "no layer is quantised"),
        ("int8_bf16", {"auroc_difference": -0.0051}, "the AUROC differs by -0.0051, at most 0.005 may"),
        ("int8_bf16", {"quantised": 0}, "no layer is quantised"),
    ],
)
def test_the_gate_says_what_is_broken(precision, changes, reason):
    kept = parity.ParityRow(
        backend="b", precision=precision, status="passed", score_max=0.0, auroc_difference=0.0, flips=0, quantised=3
    )
    assert parity.broken_by(kept) == []
    (broken,) = parity.broken_by(replace(kept, **changes))
    assert broken.startswith(reason)


def test_a_label_that_flips_at_a_tie_is_counted_apart():
    score = np.array([0.5, 0.5 + 5e-7, 0.7, 0.2])
    reference = runtimes.Outputs(score, score, np.array([False, True, True, False]), None)
    other = runtimes.Outputs(score, score, np.array([True, False, False, False]), None)
    assert parity.count_flips(reference, other) == (1, 2)


def test_an_export_of_another_model_is_refused(bench, exported, tmp_path):
    graph, identity = read_model(exported["fp32"])
    path = tmp_path / "model.xml"
    replace(identity, raw_image_threshold=identity.raw_image_threshold + 0.25).write_to(graph)
    openvino.save_model(graph, path, compress_to_fp16=False)
    with pytest.raises(InputError, match="found a model whose raw_image_threshold is"):
        bench.compare_export(path)


def test_an_export_of_an_unknown_precision_is_refused(bench, exported, tmp_path):
    graph, identity = read_model(exported["fp32"])
    path = tmp_path / "model.xml"
    replace(identity, precision="fp4").write_to(graph)
    openvino.save_model(graph, path, compress_to_fp16=False)
    with pytest.raises(InputError, match="found the precision 'fp4', expected one of fp32"):
        bench.compare_export(path)


def test_an_export_in_bfloat16_is_unsupported_where_the_cpu_has_none(bench, exported, monkeypatch):
    monkeypatch.setattr("anomalib_patchgan.deploy.backends.computes_bfloat16", lambda device: False)
    row = bench.compare_export(exported["bf16"])
    assert (row.status, row.note.partition(",")[0]) == (
        "unsupported",
        "CPU: found no bfloat16 among what it computes in",
    )


def test_an_export_that_does_not_run_is_refused(bench, exported, monkeypatch):
    def fail(self, images):
        raise RuntimeError("Exception from src/inference:\nShapes do not fit.\n")

    monkeypatch.setattr(runtimes.OpenVinoRuntime, "__call__", fail)
    with pytest.raises(InputError, match=r"model\.xml: found that it does not run \(Shapes do not fit\), expected"):
        bench.compare_export(exported["fp32"])


@pytest.mark.parametrize("name", ["model.xml", "model.bin"])
def test_a_folder_in_the_place_of_an_export_is_a_sentence(model, tmp_path, name):
    (tmp_path / "fp32" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=rf"{name}: found a folder, expected a file"):
        export_model(model, tmp_path)


def test_an_output_that_is_a_file_is_a_sentence(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="fp32: found no folder that can be made"):
        export_model(model, tmp_path / "file")


@pytest.fixture
def small_exporter(model):
    """Writes the small network in the place of the model."""
    exporter = Exporter(model)
    exporter.converted = small_network()
    return exporter


def test_an_export_over_one_in_use_leaves_the_files_in_use_as_they_are(small_exporter, tmp_path):
    weights = small_exporter.write(tmp_path, "fp32").with_suffix(".bin")
    before = weights.read_bytes()
    with weights.open("rb") as in_use:
        small_exporter.write(tmp_path, "fp16")
        assert in_use.read() == before
    assert weights.read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.xml"]


def test_an_export_that_fails_leaves_the_one_before_it(small_exporter, tmp_path, monkeypatch):
    small_exporter.write(tmp_path, "fp32")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    save = openvino.save_model

    def fail(model, path, **options):
        save(model, path, **options)
        raise RuntimeError("No space left on device.")

    monkeypatch.setattr(openvino, "save_model", fail)
    with pytest.raises(InputError, match=r"model\.xml: found that it cannot be written \(No space left on device\)"):
        small_exporter.write(tmp_path, "fp16")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_normal_images_that_are_test_images_too_are_refused(model):
    def listed(images, first):
        names = [f"{first + index:02d}.png" for index in range(len(images))]
        images.samples = pd.DataFrame({"image_path": names, "label_index": images.labels})
        return images

    test = listed(NormalImages(8, 3, abnormal=True), 0)
    apart, shared = (listed(NormalImages(8, 2, abnormal=False), first) for first in (8, 7))
    assert len(Exporter(model, SimpleNamespace(val_data=apart, test_data=test)).normal_images()) == 8
    with pytest.raises(InputError, match="data: found 1 normal validation images that are test images too, expected"):
        Exporter(model, SimpleNamespace(val_data=shared, test_data=test)).normal_images()


@pytest.mark.parametrize("antialias", [False, True])
def test_images_larger_than_those_of_the_model_are_resized_by_its_own_rule(antialias):
    model = make_model()
    model.pre_processor = PreProcessor(transform=Compose([Resize((SIZE, SIZE), antialias=antialias)]))
    large = NormalImages(4, 3, abnormal=True)
    large.images = torch.rand(4, 3, 80, 60)
    exporter = Exporter(model, SimpleNamespace(val_data=large, test_data=large))
    expected = resize(large.images, [SIZE, SIZE], antialias=antialias)
    np.testing.assert_array_equal(exporter.images_of(large), expected.numpy())
    assert exporter.preparation == RasterPreparation((SIZE, SIZE), aliased=not antialias)
    # Without data it is not known; files are then prepared as our datamodules do.
    assert Exporter(model).preparation == RasterPreparation((SIZE, SIZE))


def fitted(model_class, **arguments):
    """A baseline on random weights, fitted to a few images, whose own export has a fixed batch size."""
    torch.manual_seed(0)
    model = model_class(
        backbone="resnet18", pre_trained=False, pre_processor=False, evaluator=False, visualizer=False, **arguments
    )
    images = NormalImages(24, 4, abnormal=False).images
    model.model.train()
    with torch.no_grad():
        for batch in images.split(8):
            model.model(batch)
    if hasattr(model.model, "fit"):
        model.model.fit()
    model.eval()
    calibrate(model)
    return model


def calibrate(model):
    """Give a baseline thresholds."""
    for name in ("_image_threshold", "image_min", "image_max", "_pixel_threshold", "pixel_min", "pixel_max"):
        getattr(model.post_processor, name).fill_(0.5 + 0.5 * name.endswith("max"))


@pytest.mark.parametrize(
    ("model_class", "arguments"),
    [
        (Dfm, {"layer": "layer3", "pooling_kernel_size": 1, "pca_level": 0.9}),
        (Dfkde, {"layers": ["layer4"], "n_pca_components": 4}),
        (Fre, {"layer": "layer3", "pooling_kernel_size": 1, "input_dim": 1024, "latent_dim": 8}),
    ],
)
def test_baselines_whose_own_export_fixes_the_batch_run_at_any(model_class, arguments, tmp_path):
    model = fitted(model_class, **arguments)
    graph = DeployedGraph(model)
    write_onnx(graph, (32, 32), tmp_path / "model.onnx")
    converted = convert(graph, tmp_path / "model.onnx")
    compiled = compile_in_float32(converted)
    images = NormalImages(7, 5, abnormal=True).images
    for batch in (1, 2, 7):
        with torch.no_grad():
            raw = model.model(images[:batch])
            expected = model(images[:batch])
        found = compiled(images[:batch].numpy())
        np.testing.assert_allclose(found["raw_score"], raw.pred_score.flatten().numpy(), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found["pred_score"], expected.pred_score.flatten().numpy(), rtol=1e-3, atol=1e-4)
        if expected.anomaly_map is not None:
            np.testing.assert_allclose(found["anomaly_map"], expected.anomaly_map.numpy(), rtol=1e-2, atol=1e-3)


def test_a_model_that_loops_over_the_batch_is_named(tmp_path):
    class Looping(torch.nn.Module):
        def forward(self, images):
            return InferenceBatch(pred_score=torch.stack([image.mean() for image in images]))

    model = SimpleNamespace(
        pre_processor=None, model=Looping(), post_processor=make_model().post_processor, cpu=lambda: model
    )
    model.eval = lambda: model
    graph = DeployedGraph(model)
    write_onnx(graph, (32, 32), tmp_path / "model.onnx")
    with pytest.raises(InputError, match="Looping: found"):
        convert(graph, tmp_path / "model.onnx")


@pytest.mark.parametrize("nested", [False, True])
def test_a_model_that_crops_its_images_is_named(nested):
    pre_processor = Patchcore.configure_pre_processor(image_size=(64, 64), center_crop_size=(32, 32))
    if nested:
        pre_processor.transform = Compose([pre_processor.transform])
    model = Patchcore(backbone="resnet18", pre_trained=False, pre_processor=pre_processor, evaluator=False)
    calibrate(model)
    with pytest.raises(InputError, match="Patchcore: found CenterCrop in its pre-processing, expected"):
        DeployedGraph(model)


def test_a_model_whose_scores_depend_on_the_batch_is_named(tmp_path):
    torch.manual_seed(0)
    model = Cflow(backbone="resnet18", pre_trained=False, layers=("layer3",), pre_processor=False, evaluator=False)
    calibrate(model)
    with pytest.raises(InputError, match="CflowModel: found scores that depend on the other images of a batch"):
        write_onnx(DeployedGraph(model), (64, 64), tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "validation", [{}, {"val_data": None}, {"val_data": [SimpleNamespace(gt_label=torch.tensor(1))]}]
)
def test_data_without_normal_validation_images_are_refused(model, validation):
    data = SimpleNamespace(test_data=[], **validation)
    with pytest.raises(InputError, match="data: found no normal validation image, expected some: "):
        Exporter(model, data).normal_images()
