# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Measure what brightness alone, and PaDiM, reach on a frozen phantom set.

    python benchmarks/phantoms/intensity_scorers.py brain_medium datasets/frozen/brain_medium results/brain_medium

Writes the set if it is not there, scores its test samples by the fifteen intensity scorers and by PaDiM on
EfficientNet-Lite0, and writes `scorers.csv`, `scorers.md` and, for brains, `detectability.csv`: each abnormal slice
against the same slice of its healthy twin, by radius and contrast of the lesion. Intervals are the 95 % bootstrap over
subjects. The best of the fifteen is chosen on the test labels, so it is an upper bound of what brightness can do.
"""

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anomalib.engine import Engine
from anomalib.models import Padim
from anomalib.pre_processing import PreProcessor
from numpy.typing import NDArray
from torchvision.transforms import v2

import anomalib_patchgan.models.backbones  # noqa: F401 - registers efficientnet_lite0_wheel
from anomalib_patchgan.data import ISIC2016, BraTS2019
from anomalib_patchgan.data.base import MedicalDataModule
from anomalib_patchgan.data.phantoms import HEALTHY_TWINS, MARKER
from anomalib_patchgan.data.phantoms.frozen import load_frozen
from anomalib_patchgan.data.phantoms.intensity_scorers import intensity_scores, scorer_names
from anomalib_patchgan.data.volumes import prepare_intensities
from anomalib_patchgan.evaluation.bootstrap import auroc_draws, draw_subjects, percentile_interval
from anomalib_patchgan.evaluation.image import auroc
from anomalib_patchgan.io import resize_image

Array = NDArray[np.float32]

DATAMODULES = {f"anomalib_patchgan.data.{datamodule.__name__}": datamodule for datamodule in (BraTS2019, ISIC2016)}
BATCH = 32
RADIUS_EDGES_MM = (4.0, 7.0, 12.0, 28.0)
CONTRAST_EDGES = (0.0, 0.12, 0.22, 0.50)


def brain_of(image: Array) -> NDArray[np.bool_]:
    """Background is exactly 0."""
    return image[0] > 0


def everything(image: Array) -> NDArray[np.bool_]:
    """A photograph has no background."""
    return np.ones(image.shape[1:], dtype=bool)


MASKS: dict[type[MedicalDataModule], Callable[[Array], NDArray[np.bool_]]] = {BraTS2019: brain_of, ISIC2016: everything}


def train_padim(datamodule: MedicalDataModule, scratch: Path) -> Callable[[list[Array]], Array]:
    """Fits PaDiM as the first quickstart did, with ImageNet's mean and deviation, and returns its raw image scores."""
    torch.manual_seed(0)
    normalise = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    model = Padim(
        backbone="efficientnet_lite0_wheel",
        layers=["blocks.1", "blocks.2", "blocks.4"],
        n_features=100,
        pre_processor=PreProcessor(transform=v2.Compose([v2.Resize([128, 128], antialias=True), normalise])),
        evaluator=False,
        visualizer=False,
    )
    engine = Engine(accelerator="cpu", devices=1, max_epochs=1, logger=False, default_root_dir=scratch)
    engine.fit(model, datamodule=datamodule)
    model.eval()

    def score(images: list[Array]) -> Array:
        parts = []
        with torch.inference_mode():
            for first in range(0, len(images), BATCH):
                batch = torch.from_numpy(np.stack(images[first : first + BATCH])).expand(-1, 3, -1, -1)
                parts.append(model.model(model.pre_processor.transform(batch)).pred_score.reshape(-1).numpy())
        return np.concatenate(parts)

    return score


def score_all(
    images: list[Array], mask_of: Callable[[Array], NDArray[np.bool_]], padim: Callable[[list[Array]], Array]
) -> pd.DataFrame:
    """One row an image, one column a scorer."""
    scores = pd.DataFrame([intensity_scores(image.mean(axis=0), mask_of(image)) for image in images])
    return scores.assign(PaDiM=padim(images))


def summarise(scores: pd.DataFrame, samples: pd.DataFrame, kinds: pd.Series) -> pd.DataFrame:
    """AUROC of each scorer with its interval, and for each kind of lesion against all normal samples."""
    labels = samples["label_index"].to_numpy()
    draws = draw_subjects(list(samples["subject_id"]))
    rows = []
    for name in scores:
        values = scores[name].to_numpy()
        interval = percentile_interval(auroc_draws(labels, values, draws))
        assert interval is not None
        row: dict[str, Any] = {"scorer": name, "AUROC": auroc(labels, values)}
        row |= {"low": interval.low, "high": interval.high}
        for kind in sorted(set(kinds[labels == 1])):
            kept = (labels == 0) | (kinds == kind).to_numpy()
            row[kind] = auroc(labels[kept], values[kept])
        rows.append(row)
    return pd.DataFrame(rows)


def detectability(
    datamodule: BraTS2019, scores: pd.DataFrame, lesions: pd.DataFrame, score: Callable[[list[Array]], pd.DataFrame]
) -> pd.DataFrame:
    """AUROC of lesion slices against the same slices of their healthy twins, by radius and contrast."""
    samples = datamodule.test_data.samples
    chosen = np.flatnonzero(samples["label_index"] == 1)
    twins, images = {}, []
    for _, sample in samples.iloc[chosen].iterrows():
        subject = sample["subject_id"]
        if subject not in twins:
            path = datamodule.root / HEALTHY_TWINS / subject / f"{subject}_{datamodule.modalities[0]}.nii.gz"
            twins[subject] = prepare_intensities(path, datamodule.cache_dir)
        window = datamodule.test_data.reader.stacks[subject].field_of_view
        intensities = twins[subject].read_intensities(sample["slice_index"], window)
        images.append(resize_image(intensities, datamodule.image_size)[None])
    ill, healthy = scores.iloc[chosen].reset_index(drop=True), score(images)
    drawn = lesions.loc[samples["subject_id"].iloc[chosen]].reset_index(drop=True)
    radius = pd.cut(drawn["radius_mm"], RADIUS_EDGES_MM, include_lowest=True)
    contrast = pd.cut(drawn["contrast"], CONTRAST_EDGES)
    rows = []
    for (of_radius, of_contrast), group in drawn.groupby([radius, contrast], observed=True):
        index = group.index
        labels = np.repeat([1, 0], len(index))
        row: dict[str, Any] = {"radius_mm": str(of_radius), "contrast": str(of_contrast), "slices": len(index)}
        row["subjects"] = samples["subject_id"].iloc[chosen].iloc[index].nunique()
        for name in scores:
            row[name] = auroc(labels, np.concatenate([ill.loc[index, name], healthy.loc[index, name]]))
        rows.append(row)
    return pd.DataFrame(rows)


def read_lesions(root: Path) -> pd.DataFrame:
    """What was drawn, by subject."""
    marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    records = marker.get("subjects") or marker["images"]
    return pd.DataFrame({record.get("subject") or record["image"]: record["lesion"] for record in records}).T


def main() -> None:
    """Writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("root", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("anomalib").setLevel(logging.WARNING)
    frozen = load_frozen(arguments.name)
    frozen.write(arguments.root)
    datamodule_class = DATAMODULES[frozen.data["class_path"]]
    datamodule = datamodule_class(arguments.root, **frozen.data["init_args"])
    datamodule.setup()
    mask_of, data = MASKS[datamodule_class], datamodule.test_data
    arguments.output.mkdir(parents=True, exist_ok=True)
    padim = train_padim(datamodule, arguments.output / "engine")
    channels = 1 if datamodule_class is BraTS2019 else 3
    images = [data[index].image.numpy()[:channels] for index in range(len(data))]
    scores = score_all(images, mask_of, padim)
    lesions = read_lesions(arguments.root)
    kinds = data.samples["subject_id"].map(lesions["kind"])
    table = summarise(scores, data.samples, kinds)
    best = table[table["scorer"].isin(scorer_names())].sort_values("AUROC").iloc[-1]
    table.to_csv(arguments.output / "scorers.csv", index=False, float_format="%.4f")
    lines = ["| " + " | ".join(table) + " |", "| " + " | ".join("---" for _ in table) + " |"]
    for row in table.to_dict("records"):
        cells = [value if isinstance(value, str) else f"{value:.3f}" for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    groups = datamodule.card()["groups"]["test"]
    summary = (
        f"{frozen.name}: {groups['subjects']} test subjects, {groups['normal']} normal and {groups['abnormal']} "
        f"abnormal samples; best intensity scorer {best['scorer']} {best['AUROC']:.3f} "
        f"[{best['low']:.3f}, {best['high']:.3f}]"
    )
    text = "\n".join([summary, "", *lines]) + "\n"
    (arguments.output / "scorers.md").write_text(text, encoding="utf-8")
    print(text)
    if isinstance(datamodule, BraTS2019):
        by_lesion = detectability(datamodule, scores, lesions, lambda found: score_all(found, mask_of, padim))
        by_lesion.to_csv(arguments.output / "detectability.csv", index=False, float_format="%.4f")
        print(
            by_lesion[["radius_mm", "contrast", "slices", "subjects", best["scorer"], "PaDiM"]].to_string(index=False)
        )


if __name__ == "__main__":
    main()
