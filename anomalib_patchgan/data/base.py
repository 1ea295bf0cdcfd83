# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What the datamodules of all medical collections share."""

from __future__ import annotations

import copy
import hashlib
import json
from abc import abstractmethod
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pandas as pd
from anomalib.data import AnomalibDataModule
from anomalib.data.utils import TestSplitMode, ValSplitMode
from torch.utils.data import DataLoader

from anomalib_patchgan.data.cache import default_cache_dir
from anomalib_patchgan.data.dataset import MedicalDataset, SampleReader
from anomalib_patchgan.data.duplicates import Fingerprint, check_duplicates
from anomalib_patchgan.data.phantoms import HEALTHY_TWINS, read_parameters
from anomalib_patchgan.data.protocols import ABNORMAL, NORMAL, AxialSliceProtocol
from anomalib_patchgan.data.splits import GROUPS, check_disjoint, read_split, split_sha256, split_subjects, write_split
from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torchvision.transforms.v2 import Transform

_LABELS = {NORMAL: "normal", ABNORMAL: "abnormal"}
_COLUMNS = [
    "sample_id",
    "subject_id",
    "protocol",
    "split",
    "label",
    "label_index",
    "lesion_fraction",
    "slice_index",
    "top",
    "left",
    "height",
    "width",
    "image_path",
    "mask_path",
]


class EligibilityProtocol(Protocol):
    """A frozen dataclass that says what a sample is."""

    @property
    def normal_means(self) -> str:
        """What a normal sample is, in a sentence."""


@dataclass
class Assembly:
    """A collection, read and split.

    Attributes:
        subjects: Sorted subjects of each group.
        samples: One row an eligible sample, with ``group, sample_id, subject_id, slice_index, label_index,
            lesion_fraction, top, left, height, width``.
        excluded: Number of candidates left out, by reason.
        reader: Reads a row.
        fingerprints: What each image is recognised by, so that none is in two groups.
        findings: What was wrong with the subjects that could not be used, by name, in a sentence each.
        spare: Normal samples of test subjects that the protocol left out; for the leak meter only.
        has_masks: Whether the reader gives masks; else ``lesion_fraction`` is NaN and nothing is known of pixels.
    """

    subjects: dict[str, list[str]]
    samples: pd.DataFrame
    excluded: Counter[str]
    reader: SampleReader
    fingerprints: Sequence[Fingerprint] = ()
    findings: Mapping[str, str] = field(default_factory=dict)
    spare: pd.DataFrame = field(default_factory=pd.DataFrame)
    has_masks: bool = True

    @property
    def task(self) -> str:
        """What can be evaluated, in anomalib's terms."""
        return "segmentation" if self.has_masks else "classification"


class MedicalDataModule(AnomalibDataModule):
    """Four groups of subjects that share nobody: `train`, `reference`, `calibration` and `test`.

    `train`, `reference` and `calibration` hold normal samples only; `calibration` is anomalib's validation set, and
    `reference` is for models that fit a distribution of normal samples after training. `test` holds both labels.

    The sample tables have, beside anomalib's columns, ``sample_id``, ``subject_id``, ``protocol``, ``lesion_fraction``
    (share of the sample's pixels that are lesion) and ``slice_index`` (-1 where there are no slices). Their order is
    that of the loaders, which do not shuffle except in training.

    Args:
        root: Folder of the collection.
        protocol: Name of the protocol.
        eligibility: The protocol.
        image_size: Rows and columns of every image; one number for a square.
        train_batch_size: Images a step in training.
        eval_batch_size: Images a step in validation and test.
        num_workers: Processes that read samples.
        split_seed: Seed of the split and of every draw of samples.
        cache_dir: Folder of prepared data; None for the user's cache folder.
        train_augmentations: torchvision transform of training images and masks.
        split_file: JSON file of the split. It is read if it is there, and written otherwise. None for a split that is
            made anew, which gives the same groups as long as the subjects are the same.
        exclude: Subjects to leave out.
        strict: Whether one damaged file is an error; else one subject in a hundred may be damaged, and is listed.
    """

    def __init__(
        self,
        root: Path | str,
        protocol: str,
        eligibility: EligibilityProtocol,
        image_size: int | tuple[int, int],
        train_batch_size: int,
        eval_batch_size: int,
        num_workers: int,
        split_seed: int,
        cache_dir: Path | str | None,
        train_augmentations: Transform | None,
        split_file: Path | str | None = None,
        exclude: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        super().__init__(
            train_batch_size=train_batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            train_augmentations=train_augmentations,
            val_split_mode=ValSplitMode.FROM_DIR,
            test_split_mode=TestSplitMode.FROM_DIR,
            seed=split_seed,
        )
        self.root = Path(root)
        self.protocol = protocol
        self.eligibility = eligibility
        self.image_size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
        if min(self.image_size) < 1:
            raise InputError(f"image_size: found {self.image_size}, expected at least one row and one column.")
        self.split_seed = split_seed
        self.cache_dir = Path(cache_dir) if cache_dir else default_cache_dir()
        self.split_file = Path(split_file) if split_file else None
        self.exclude = tuple(exclude)
        self.strict = strict
        self.reference_data: MedicalDataset
        self._assembly: Assembly | None = None
        self._leaked = 0
        self._dealt: dict[str, list[str]] = {}

    @abstractmethod
    def _assemble(self) -> Assembly:
        """Read the collection, split its subjects and list the eligible samples."""

    def setup(self, stage: str | None = None) -> None:
        """Make the four data sets, once.

        Args:
            stage: Not used: all are made together.

        Raises:
            InputError: If the collection cannot be used, or if two groups share a subject or an image.
        """
        super().setup(stage)
        self.reference_data.augmentations = self.val_data.augmentations
        if not self._leaked:
            check_disjoint({group: data.samples["subject_id"] for group, data in self._datasets().items()})

    def renewed(self) -> Self:
        """The same data in a datamodule of their own, without reading them again; what it is used for stays with it.

        Raises:
            RuntimeError: If :meth:`setup` has not been called, or :meth:`leak` has.
        """
        if self._assembly is None or self._leaked:
            raise RuntimeError("call setup() before renewed(), and leak() not.")
        other = copy.copy(self)
        tables = {group: data.samples for group, data in self._datasets().items()}
        other._hold(self._assembly, tables)  # noqa: SLF001 - one of its own class
        other.setup()
        return other

    def _setup(self, _stage: str | None = None) -> None:
        if self._assembly is not None:
            return
        assembly = self._assemble()
        check_disjoint(assembly.subjects)
        self._duplicates_within_groups = check_duplicates(assembly.subjects, assembly.fingerprints)
        self._hold(assembly, self._tables(assembly))

    def _hold(self, assembly: Assembly, tables: Mapping[str, pd.DataFrame]) -> None:
        datasets = {
            group: MedicalDataset(
                table, assembly.reader, self.image_size, write_previews=group in {"calibration", "test"}
            )
            for group, table in tables.items()
        }
        self.train_data = datasets["train"]
        self.reference_data = datasets["reference"]
        self.val_data = datasets["calibration"]
        self.test_data = datasets["test"]
        self._assembly = assembly

    def _create_test_split(self) -> None:
        """Leave the test set as it is; the base class would take its normal samples out and append them again."""

    def _tables(self, assembly: Assembly) -> dict[str, pd.DataFrame]:
        if assembly.samples.empty:
            raise InputError(
                f"{self.root}: found no eligible sample ({_listed(assembly.excluded)}), expected some under the "
                f"protocol {self.protocol!r}."
            )
        outside_test = (assembly.samples["group"] != "test") & (assembly.samples["label_index"] == ABNORMAL)
        assembly.excluded["abnormal sample outside the test group"] += int(outside_test.sum())
        assembly.excluded = Counter({reason: count for reason, count in assembly.excluded.items() if count})
        samples = assembly.samples[~outside_test].sort_values("sample_id", ignore_index=True)
        previews = self._preview_folder(assembly)
        self._complete(samples, previews)
        tables = {}
        for group in GROUPS:
            table = samples.loc[samples["group"] == group, _COLUMNS].reset_index(drop=True)
            labels = set(table["label_index"])
            wanted = set(_LABELS) if group == "test" else {NORMAL}
            for label in sorted(wanted - labels):
                raise InputError(
                    f"{self.root}: found no {_LABELS[label]} sample in the group {group} "
                    f"({_listed(assembly.excluded)}), expected some under the protocol {self.protocol!r}."
                )
            table.attrs["task"] = assembly.task
            tables[group] = table
        return tables

    def _complete(self, samples: pd.DataFrame, previews: Path) -> None:
        """Add the columns that follow from the others."""
        samples["protocol"] = self.protocol
        samples["split"] = samples["group"]
        samples["label"] = samples["label_index"].map(_LABELS)
        samples["image_path"] = [
            str(previews / label / f"{sample_id}.png")
            for label, sample_id in zip(samples["label"], samples["sample_id"], strict=True)
        ]
        samples["mask_path"] = ""

    def _without_excluded(self, found: Iterable[str]) -> list[str]:
        """Subjects without those that the user names in ``exclude``, sorted.

        Raises:
            InputError: If a name in ``exclude`` is not among them.
        """
        names = set(found)
        unknown = sorted(set(self.exclude) - names)
        if unknown:
            raise InputError(f"exclude: found {unknown[0]!r}, expected subjects of {self.root}.")
        return sorted(names - set(self.exclude))

    def _split(
        self, strata: Mapping[str, str], fractions: Mapping[str, float], test: Iterable[str] = ()
    ) -> dict[str, list[str]]:
        """Split subjects, or read their split from the file that the user names.

        Args:
            strata: Stratum of each subject that is dealt to a group.
            fractions: Share of each group.
            test: Subjects that the organisers set apart for the test; not dealt.

        Raises:
            InputError: If there are too few subjects, or the file is not a split of these subjects.
        """
        fixed = sorted(test)
        if self.split_file is not None and self.split_file.is_file():
            self._dealt = read_split(self.split_file, {*strata, *fixed})
            return self._dealt
        try:
            groups = split_subjects(strata, fractions, self.split_seed)
        except InputError as error:
            raise InputError(f"{self.root}: {error}") from error
        if fixed:
            groups["test"] = sorted([*groups.get("test", ()), *fixed])
        if self.split_file is not None:
            write_split(self.split_file, groups)
        self._dealt = groups
        return groups

    def _preview_folder(self, assembly: Assembly) -> Path:
        identity = [
            assembly.reader.fingerprint,
            str(self.root.resolve()),
            self.protocol,
            asdict(self.eligibility),  # type: ignore[call-overload]
            self._further_parameters(),
            self.image_size,
        ]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        # anomalib's visualiser repeats below its output folder what follows the name of the datamodule.
        return self.cache_dir / "previews" / digest / self.name

    def _datasets(self) -> dict[str, MedicalDataset]:
        return {
            "train": self.train_data,
            "reference": self.reference_data,
            "calibration": self.val_data,
            "test": self.test_data,
        }

    def reference_dataloader(self) -> DataLoader:
        """Loader of normal samples of subjects who are in no other group, not shuffled."""
        return DataLoader(
            dataset=self.reference_data,
            shuffle=False,
            batch_size=self.eval_batch_size,
            num_workers=self.num_workers,
            collate_fn=self.external_collate_fn or self.reference_data.collate_fn,
        )

    def twins(self) -> MedicalDataset | None:
        """The abnormal test samples as they would be without their lesions, where the collection has such twins.

        Only phantoms have them; for looking at, never for training or scoring.

        Raises:
            InputError: If there are twins, but not of every subject.
            RuntimeError: If :meth:`setup` has not been called.
        """
        if self._assembly is None:
            raise RuntimeError("call setup() before twins().")
        folder = self.root / HEALTHY_TWINS
        if not folder.is_dir():
            return None
        abnormal = self.test_data.samples[self.test_data.samples["label_index"] == ABNORMAL]
        subjects = sorted(set(abnormal["subject_id"]))
        # A volume is a folder, a photograph a file.
        found = {path.stem for path in folder.iterdir()}
        for lacking in [name for name in subjects if name not in found]:
            raise InputError(f"{folder}: found no {lacking}, expected a healthy twin of every subject, or no folder.")
        reader = self._twin_reader(folder, subjects)
        return MedicalDataset(abnormal, reader, self.image_size, write_previews=False) if reader else None

    def _twin_reader(self, _folder: Path, _subjects: list[str]) -> SampleReader | None:
        """Read samples of these subjects as they would be without lesions, or None where that is not known."""
        return None

    def leak(self) -> int:
        """Train on what a split by sample would have dealt: some training samples are of test subjects from now on.

        For the leak meter, which compares this with the honest split on the very same test. There are as many training
        samples as before. The share of them that comes from test subjects is the one that test subjects have among all,
        or less where not as many can be had; those samples are normal, and none of them is in the test itself. A slice
        is exchanged for one that is alike in position and area, or slices would differ in more than whose they are.

        Returns:
            Number of training samples that are of test subjects.

        Raises:
            InputError: If the protocol leaves no spare normal sample of a test subject that could be exchanged.
            RuntimeError: If :meth:`setup` has not been called.
        """
        if self._assembly is None:
            raise RuntimeError("call setup() before leak().")
        own, spare = self.train_data.samples, self._assembly.spare
        if spare.empty:
            raise InputError(f"{self.root}: found no spare normal sample of a test subject, expected some to leak.")
        subjects = self._assembly.subjects
        share = len(subjects["test"]) / sum(len(names) for names in subjects.values())
        generator = np.random.default_rng(self.split_seed)
        if isinstance(self.eligibility, AxialSliceProtocol):
            placed = self._assembly.samples.set_index("sample_id").loc[own["sample_id"]]
            pairs = np.array(self.eligibility.alike(placed, spare), dtype=np.int64).reshape(-1, 2)
        else:
            count = min(len(own), len(spare))
            pairs = np.stack([generator.permutation(len(rows))[:count] for rows in (own, spare)], axis=1)
        pairs = generator.permutation(pairs)[: round(share * len(own))]
        leaked = len(pairs)
        if not leaked:
            raise InputError(f"{self.root}: found no slice of a test subject like one to train on, expected some.")
        foreign = spare.iloc[np.sort(pairs[:, 1])].assign(group="train")
        self._complete(foreign, self._preview_folder(self._assembly))
        table = pd.concat([own.drop(own.index[pairs[:, 0]]), foreign[_COLUMNS]], ignore_index=True)
        table.attrs["task"] = self._assembly.task
        self.train_data.samples = table
        self._leaked = leaked
        return leaked

    def write_split(self, path: Path) -> None:
        """Write the split, with its hash, to a file that ``split_file`` reads.

        Args:
            path: JSON file.

        Raises:
            RuntimeError: If :meth:`setup` has not been called.
        """
        if self._assembly is None:
            raise RuntimeError("call setup() before write_split().")
        # With those that cannot be used: whoever reads the file does not yet know them.
        write_split(path, self._dealt or self._assembly.subjects)

    def card(self) -> dict[str, Any]:
        """Describe what a score on these data means; JSON-able.

        Raises:
            RuntimeError: If :meth:`setup` has not been called.
        """
        if self._assembly is None:
            raise RuntimeError("call setup() before card().")
        # The root of a manifest may be its file.
        phantom_parameters = read_parameters(self.root if self.root.is_dir() else self.root.parent)
        return {
            "name": self.name,
            "protocol": self.protocol,
            "normal_means": self.eligibility.normal_means,
            "protocol_parameters": {**asdict(self.eligibility), **self._further_parameters()},  # type: ignore[call-overload]
            "image_size": list(self.image_size),
            "has_masks": self._assembly.has_masks,
            "groups": {
                group: {
                    "subjects": len(self._assembly.subjects[group]),
                    "normal": int((data.samples["label_index"] == NORMAL).sum()),
                    "abnormal": int((data.samples["label_index"] == ABNORMAL).sum()),
                }
                for group, data in self._datasets().items()
            },
            "excluded": dict(sorted(self._assembly.excluded.items())),
            "split_seed": self.split_seed,
            "split_sha256": split_sha256(self._assembly.subjects),
            "split": self._assembly.subjects,
            "leaked_training_samples": self._leaked,
            "left_out": dict(self._assembly.findings),
            "duplicates_within_groups": self._duplicates_within_groups,
            "phantom": phantom_parameters is not None,
            "phantom_parameters": phantom_parameters,
        }

    def _further_parameters(self) -> dict[str, Any]:
        """What determines a sample beside the protocol; JSON-able."""
        return {}


def choose(name: str, offered: Iterable[str], what: str) -> str:
    """Return ``name`` if it is offered.

    Args:
        name: What the user gave.
        offered: What there is.
        what: Name of the argument, for the message.

    Raises:
        InputError: If it is not offered.
    """
    known = list(offered)
    if name not in known:
        raise InputError(f"{what}: found {name!r}, expected one of {', '.join(known)}.")
    return name


def check_positive(**arguments: float) -> None:
    """Refuse arguments that are not positive numbers.

    Args:
        arguments: What the user gave, by name.

    Raises:
        InputError: If one is not above zero.
    """
    for name, value in arguments.items():
        if not value > 0:
            raise InputError(f"{name}: found {value:g}, expected a number above 0.")


def group_fractions(train: float, reference: float, calibration: float) -> dict[str, float]:
    """Shares of the four groups; `test` has the rest.

    Args:
        train: Share of subjects, in (0, 1).
        reference: Share of subjects, in (0, 1).
        calibration: Share of subjects, in (0, 1).

    Raises:
        InputError: If a share is not positive, or nothing is left for `test`.
    """
    test = 1 - train - reference - calibration
    if min(train, reference, calibration) <= 0 or test <= 1e-9:
        raise InputError(
            f"train_fraction, reference_fraction, calibration_fraction: found {train:g}, {reference:g}, "
            f"{calibration:g}, expected positive shares that leave some subjects for the test."
        )
    return {"train": train, "reference": reference, "calibration": calibration, "test": test}


def training_fractions(train: float, reference: float) -> dict[str, float]:
    """Shares of the three groups that a collection's own training part is dealt to; `calibration` has the rest.

    Args:
        train: Share of images, in (0, 1).
        reference: Share of images, in (0, 1).

    Raises:
        InputError: If a share is not positive, or nothing is left for `calibration`.
    """
    calibration = 1 - train - reference
    if min(train, reference) <= 0 or calibration <= 1e-9:
        raise InputError(
            f"train_fraction, reference_fraction: found {train:g}, {reference:g}, expected positive shares that leave "
            "some images for the calibration."
        )
    return {"train": train, "reference": reference, "calibration": calibration}


def _listed(excluded: Counter[str]) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(excluded.items()) if count) or "nothing left out"
