# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The suite: which models on which data sets with which seeds, as a YAML file that the command line can override."""

import json
import math
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, Namespace

from anomalib_patchgan.benchmark.suite_yaml import dump_yaml, load_yaml
from anomalib_patchgan.data.artefacts import ARTEFACTS, SEVERITIES
from anomalib_patchgan.errors import InputError, sentence

Role = Literal["method", "comparator", "trivial", "control"]


@dataclass(kw_only=True)
class PhantomsEntry:
    """Synthetic data to write to the data set's root when they are not there yet.

    Attributes:
        class_path: Dotted path of the phantoms' class.
        init_args: Its constructor arguments.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class DataEntry:
    """One data set.

    Attributes:
        class_path: Dotted path of the datamodule's class.
        init_args: Its constructor arguments; ``root`` is one of them.
        phantoms: Synthetic data to write to ``root`` first, or None for data that are there.
        seeds: Seeds of the runs on this data set; those of the suite when not given.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)
    phantoms: PhantomsEntry | None = None
    seeds: list[int] | None = None


@dataclass(kw_only=True)
class ModelEntry:
    """One row of the comparison.

    Attributes:
        class_path: Dotted path of the model's class.
        trainer: Arguments of Lightning's trainer; ``max_epochs``, ``max_steps`` or ``max_minutes`` has to be one of
            them. Minutes of training are turned into steps when the plan is written.
        init_args: Constructor arguments of the model.
        role: What the row is there for; that of the suite's method is always ``method``.
        note: What a reader has to know about the row, such as where its weights come from.
        overrides: By name of a data set: ``init_args`` and ``trainer`` that go over those above.
        backends: Backends on which the trained model is exported, checked and timed.
        data: Names of the data sets on which the row runs; all of them when not given.
        skip: Why the row does not run here, such as weights that need a hub, in one sentence; it runs when empty.
    """

    class_path: str
    trainer: dict[str, Any]
    init_args: dict[str, Any] = field(default_factory=dict)
    role: Role = "comparator"
    note: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)
    backends: list[str] = field(default_factory=list)
    data: list[str] | None = None
    skip: str = ""

    def runs_on(self, data: str) -> bool:
        """Whether the row is one for a data set."""
        return self.data is None or data in self.data

    def arguments_for(self, data: str) -> dict[str, Any]:
        """Constructor arguments on one data set."""
        return self.init_args | self.overrides.get(data, {}).get("init_args", {})

    def trainer_for(self, data: str) -> dict[str, Any]:
        """Trainer arguments on one data set."""
        return self.trainer | self.overrides.get(data, {}).get("trainer", {})


@dataclass(kw_only=True)
class ArtefactsEntry:
    """Artefacts under which every trained model is tested again.

    Attributes:
        kinds: Names of the artefacts; all of them when not given.
        severities: 1 to 5; all of them when not given.
    """

    kinds: list[str] = field(default_factory=lambda: list(ARTEFACTS))
    severities: list[int] = field(default_factory=lambda: list(SEVERITIES))


@dataclass(kw_only=True)
class LoggerEntry:
    """Where trainings are logged beside the store.

    Attributes:
        class_path: Dotted path of a logger's class, such as ``anomalib.loggers.AnomalibTensorBoardLogger``.
        init_args: Its constructor arguments; where it takes a name and none is given, it gets that of the job.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Settings:
    """Settings of a suite

    Attributes:
        name: Name of the suite, also of its folders.
        question: What the comparison is to answer, in one sentence.
        method: Name of the model that the others are compared with.
        seeds: One run of every model on every data set for each, unless a data set has seeds of its own.
        threads: CPU threads of a job.
        accelerator: Where models are trained and tested: ``cpu`` or ``gpu``. A row's ``trainer`` goes over it.
        store: Folder of the results; stores/<name> when not given.
        report: Folder of the report; reports/<name> when not given.
    """  # noqa: D415 - the first line is a heading of --help

    name: str
    question: str
    method: str
    seeds: list[int]
    threads: int = 2
    accelerator: Literal["cpu", "gpu"] = "cpu"
    store: Path | None = None
    report: Path | None = None


@dataclass(kw_only=True)
class Suite(Settings):
    """A comparison: every model on every data set with every seed.

    Attributes:
        data: Data sets by name.
        models: Rows by name.
        artefacts: Artefacts to test under beside the clean test set, or None for the clean one alone.
        loggers: Loggers of every training, by name; what they keep is no part of the result.
    """

    data: dict[str, DataEntry]
    models: dict[str, ModelEntry]
    artefacts: ArtefactsEntry | None = None
    loggers: dict[str, LoggerEntry] = field(default_factory=dict)

    def seeds_on(self, data: str) -> list[int]:
        """Seeds of the runs on one data set."""
        own = self.data[data].seeds
        return self.seeds if own is None else own

    def trainer_of(self, model: str, data: str) -> dict[str, Any]:
        """Trainer arguments of a row on one data set."""
        # The CPU is what a job takes anyway, and unsaid it leaves the keys of jobs as they always were.
        everywhere = {} if self.accelerator == "cpu" else {"accelerator": self.accelerator}
        return everywhere | self.models[model].trainer_for(data)

    @property
    def store_folder(self) -> Path:
        """Folder of the results."""
        return self.store or Path("stores") / self.name

    @property
    def report_folder(self) -> Path:
        """Folder of the report."""
        return self.report or Path("reports") / self.name


_SETTINGS = tuple(item.name for item in fields(Settings))
_SECTIONS = ("data", "models")
_ARTEFACTS = "artefacts"
_LOGGERS = "loggers"
_FOLDERS = ("store", "report")
_OPTIONS: dict[str, type] = {
    "--data.NAME.KEY": DataEntry,
    "--models.NAME.KEY": ModelEntry,
    "--artefacts.KEY": ArtefactsEntry,
    "--loggers.NAME.KEY": LoggerEntry,
}
# As far as NumPy, and with it Lightning, takes seeds.
_LARGEST_SEED = 2**32 - 1
# A key that starts so holds what several rows refer to by an anchor, and is no setting itself.
_ANCHORS = "x-"


def read_suite(path: Path, overrides: Sequence[str] = ()) -> Suite:
    """Read a suite file.

    Args:
        path: The YAML file.
        overrides: Command-line options that go over it, as in ``["--models.PaDiM.init_args.layers", "[a, b]"]``.

    Returns:
        The suite.

    Raises:
        InputError: The file is missing or is no suite.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Settings)
    content, remaining = load_suite(path, overrides)
    try:
        namespace = parser.parse_args([*settings_arguments(content), *remaining])
    except ArgumentError as error:
        raise InputError(f"{path}: {sentence(error)}") from error
    return make_suite(namespace, content, path)


def load_suite(path: Path, overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Read a suite file as YAML and set those leaves of it that lie below a free name.

    Args:
        path: The file.
        overrides: Command-line options.

    Returns:
        The content, and the options that are not of the form ``--data.NAME.KEY VALUE``, ``--models.NAME.KEY VALUE``,
        ``--loggers.NAME.KEY VALUE`` or ``--artefacts.KEY VALUE``.

    Raises:
        InputError: The file is missing, is no YAML mapping, or an override names what is not in it.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); expected a suite in YAML.") from error
    except (InputError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {sentence(error)}") from error
    known = [*_SETTINGS, *_SECTIONS, _ARTEFACTS, _LOGGERS]
    _expect(isinstance(content, dict), str(path), "holds no mapping", f"one with {', '.join(known)}")
    content = {key: value for key, value in content.items() if not str(key).startswith(_ANCHORS)}
    for key in content:
        _expect(key in known, str(path), f"has the unknown key {key!r}", f"one of {', '.join(known)}")
    for key in _SECTIONS:
        filled = isinstance(content.get(key), dict) and bool(content[key])
        _expect(filled, f"{path}: {key}", f"is {content.get(key)!r}", "a mapping of names to entries")
    content[_LOGGERS] = content.get(_LOGGERS) or {}
    _expect(isinstance(content[_LOGGERS], dict), f"{path}: {_LOGGERS}", "is no mapping", "names of entries")
    for key in (*_SECTIONS, _LOGGERS):
        for name in content[key]:
            _expect(
                isinstance(name, str), f"{path}: {key}", f"has the name {name!r}", "a text, which quotes make of it"
            )
    remaining: list[str] = []
    options = list(overrides)
    while options:
        option = options.pop(0)
        section, _, target = option.removeprefix("--").partition(".")
        if not (option.startswith("--") and section in {*_SECTIONS, _ARTEFACTS, _LOGGERS} and target):
            remaining.append(option)
            continue
        target, separator, value = target.partition("=")
        if not separator:
            _expect(bool(options), option, "has no value", "one after it")
            value = options.pop(0)
        _set_leaf(content, section, target, value)
    return content, remaining


def describe_keys() -> dict[str, str]:
    """What can be overridden below each section, for ``--help``: by option, its keys with their meaning."""
    described = {}
    for option, schema in _OPTIONS.items():
        parameters = {parameter.arg_name: parameter.description for parameter in parse_docstring(schema.__doc__).params}
        keys = (f"{item.name}: {' '.join(str(parameters[item.name]).split())}" for item in fields(schema))
        described[option] = "  ".join(keys).replace("``", "")
    return described


def settings_arguments(content: dict[str, Any]) -> list[str]:
    """Settings of a suite file as command-line options, over which those of the user go."""
    given = {key: content[key] for key in _SETTINGS if content.get(key) is not None}
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in given.items()]


def make_suite(settings: Namespace, content: dict[str, Any], path: Path) -> Suite:
    """Check the entries of a suite and join them with its settings.

    Args:
        settings: The parsed :class:`Settings`.
        content: Content of the suite file.
        path: The file, for messages.

    Raises:
        InputError: A key is unknown or missing, or a value does not fit the others.
    """
    try:
        suite = Suite(
            **{key: settings[key] for key in _SETTINGS},
            data={name: _data_entry(value, f"data.{name}") for name, value in content["data"].items()},
            models={name: _entry(ModelEntry, value, f"models.{name}") for name, value in content["models"].items()},
            artefacts=_artefacts_entry(content.get(_ARTEFACTS)),
            loggers={name: _entry(LoggerEntry, value, f"loggers.{name}") for name, value in content[_LOGGERS].items()},
        )
        _check_together(suite)
        _settle_roles(suite)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return suite


def restrict_suite(suite: Suite, names: Sequence[str]) -> Suite:
    """A part of a suite, whose jobs are those of the whole: what has run of one has run of the other.

    Args:
        suite: The suite.
        names: Data sets and models that stay. All data sets stay where none is named, and all models likewise; the
            method's row always does.

    Raises:
        InputError: A name is neither a data set's nor a model's.
    """
    for name in names:
        known = ", ".join([*suite.data, *suite.models])
        _expect(name in suite.data or name in suite.models, "--only", f"names {name!r}", f"some of {known}")
    data = {name: entry for name, entry in suite.data.items() if name in names} or suite.data
    named = {*names, suite.method} if set(names) & set(suite.models) else set(suite.models)
    models = {name: row for name, row in suite.models.items() if name in named and any(map(row.runs_on, data))}
    return replace(suite, data=data, models=models)


def dump_suite(suite: Suite) -> str:
    """A suite as YAML that reads back as the same suite."""
    content = asdict(suite) | {key: None if (value := getattr(suite, key)) is None else str(value) for key in _FOLDERS}
    return dump_yaml(content)


def _set_leaf(content: dict[str, Any], section: str, target: str, text: str) -> None:
    if section == _ARTEFACTS:
        # The one section without names.
        content[section] = content.get(section) or {}
        node, rest = content[section], target
    else:
        # A name may hold dots and spaces, so it is looked for as a whole before the rest is split.
        entries = content[section]
        names = [name for name in entries if target.startswith(f"{name}.")]
        _expect(bool(names), f"--{section}.{target}", f"names no entry of {section}", f"one of {', '.join(entries)}")
        name = max(names, key=len)
        node, rest = entries[name], target.removeprefix(f"{name}.")
    leaf = _first_key(node, rest)
    while leaf != rest and isinstance(node, dict):
        node, rest = node.setdefault(leaf, {}), rest.removeprefix(f"{leaf}.")
        leaf = _first_key(node, rest)
    if not isinstance(node, dict):
        raise InputError(f"--{section}.{target} goes below a value that is no mapping.")
    try:
        # Nothing is null in YAML; from the command line it is the text that clears a note.
        node[leaf] = load_yaml(text) if text else ""
    except InputError as error:
        raise InputError(f"--{section}.{target} has the value {text!r}: {error}") from error


def _first_key(node: Any, path: str) -> str:
    """What a path names first: a key that is there, which may hold dots as a data set's name does, or a new one."""
    names = [key for key in node if isinstance(key, str)] if isinstance(node, dict) else []
    known = [name for name in names if f"{path}.".startswith(f"{name}.")]
    return max(known, key=len, default=path.partition(".")[0])


def _data_entry(content: Any, where: str) -> DataEntry:
    known, phantoms = content, None
    if isinstance(content, dict):
        known = dict(content)
        phantoms = known.pop("phantoms", None)
    entry: DataEntry = _entry(DataEntry, known, where)
    if phantoms is not None:
        entry.phantoms = _entry(PhantomsEntry, phantoms, f"{where}.phantoms")
    _expect("root" in entry.init_args, f"{where}.init_args", "has no root", "the folder that holds the data")
    for key, kind in (("root", "folder"), ("normal_root", "folder"), ("split_file", "file")):
        path = entry.init_args.get(key)
        fits = isinstance(path, str) or (path is None and key != "root")
        _expect(fits, f"{where}.init_args.{key}", f"is {path!r}", f"the path of a {kind}")
    return entry


def _artefacts_entry(content: Any) -> ArtefactsEntry | None:
    if content is None:
        return None
    entry: ArtefactsEntry = _entry(ArtefactsEntry, content, _ARTEFACTS)
    offered: dict[str, list[Any]] = {"kinds": list(ARTEFACTS), "severities": list(SEVERITIES)}
    for name, known in offered.items():
        given = getattr(entry, name)
        fits = bool(given) and set(given) <= set(known) and len(set(given)) == len(given)
        _expect(fits, f"{_ARTEFACTS}.{name}", f"is {given}", f"some of {', '.join(map(str, known))}, each once")
    return entry


def _entry(schema: type, content: Any, where: str) -> Any:
    names = [item.name for item in fields(schema)]
    _expect(isinstance(content, dict), where, f"is {content!r}", f"a mapping with {', '.join(names)}")
    for key in content:
        _expect(key in names, where, f"has the unknown key {key!r}", f"one of {', '.join(names)}")
    for item in fields(schema):
        given = item.name in content
        required = item.default is MISSING and item.default_factory is MISSING
        _expect(given or not required, where, f"has no {item.name}", f"it beside {', '.join(content) or 'nothing'}")
        if given:
            _check_type(content[item.name], get_type_hints(schema)[item.name], f"{where}.{item.name}")
    path = content.get("class_path", "")
    # Python would ask of which package this is a part.
    _expect(not path.startswith("."), f"{where}.class_path", f"is {path!r}", "the dotted path of a class")
    return schema(**content)


def _check_type(value: Any, annotation: Any, where: str) -> None:
    if get_origin(annotation) is Literal:
        _expect(value in get_args(annotation), where, f"is {value!r}", f"one of {', '.join(get_args(annotation))}")
        return
    if get_origin(annotation) is UnionType:
        if value is not None:
            _check_type(value, get_args(annotation)[0], where)
        return
    expected = get_origin(annotation) or annotation
    # To Python, true is a number.
    fits = isinstance(value, expected) and not (isinstance(value, bool) and expected is int)
    _expect(fits, where, f"is {value!r}", f"a value of type {expected.__name__}")
    if expected is list:
        for index, item in enumerate(value):
            _check_type(item, get_args(annotation)[0], f"{where}.{index}")


def _check_together(suite: Suite) -> None:
    _check_name(suite.name)
    _expect(suite.method in suite.models, "method", f"is {suite.method!r}", f"one of {', '.join(suite.models)}")
    _check_seeds(suite.seeds, "seeds")
    for name in suite.data:
        _check_seeds(suite.seeds_on(name), f"data.{name}.seeds")
    _check_folders(suite)
    _expect(suite.threads > 0, "threads", f"is {suite.threads}", "a positive number")
    for name, row in suite.models.items():
        _check_overrides(row, f"models.{name}", set(suite.data))
        fits = row.data is None or (bool(row.data) and set(row.data) <= set(suite.data))
        _expect(fits, f"models.{name}.data", f"is {row.data}", f"some of {', '.join(suite.data)}")
        for dataset in filter(row.runs_on, suite.data):
            _check_budget(row.trainer_for(dataset), f"models.{name}.trainer")


def _settle_roles(suite: Suite) -> None:
    """Give the method's row its role; another that had it takes the one of the method's row, or is a comparator."""
    method = suite.models[suite.method]
    former: Role = "comparator" if method.role == "method" else method.role
    for row in suite.models.values():
        if row.role == "method":
            row.role = former
    method.role = "method"


def _check_name(name: str) -> None:
    # Folders are called so, and one named by `..` or with a separator would lie elsewhere.
    fits = name not in {"", ".", ".."} and not set(name) & set("/\\\0")
    _expect(fits, "name", f"is {name!r}", "one that can be a folder's, without / and \\")


def _check_folders(suite: Suite) -> None:
    """Refuse results among the data: written there, they would make other data of them for the next start."""
    for option, folder in (("store", suite.store_folder), ("report", suite.report_folder)):
        for name, entry in suite.data.items():
            for key in ("root", "normal_root"):
                root = entry.init_args.get(key)
                outside = root is None or not folder.resolve().is_relative_to(Path(root).resolve())
                where = f"data.{name}.init_args.{key}"
                found = f"{folder} lies in {where}, whose files decide whether a job has run"
                _expect(outside, f"{option}:", found, f"a folder outside of it, as --{option} names one")


def _check_seeds(seeds: list[int], where: str) -> None:
    _expect(bool(seeds) and len(set(seeds)) == len(seeds), where, f"is {seeds}", "at least one number, each once")
    for seed in seeds:
        _expect(0 <= seed <= _LARGEST_SEED, where, f"has {seed!r}", f"numbers from 0 to {_LARGEST_SEED}")


def _check_budget(trainer: dict[str, Any], where: str) -> None:
    budget = {"max_epochs", "max_steps", "max_minutes"} & set(trainer)
    _expect(bool(budget), where, "says no end of the training", "max_epochs, max_steps or max_minutes")
    twice = {"max_steps", "max_minutes"} <= budget
    _expect(not twice, where, "has both max_steps and max_minutes", "one of them, since minutes are turned into steps")
    for key in sorted(budget):
        number = type(trainer[key]) is int or (key == "max_minutes" and type(trainer[key]) is float)
        fits = number and 0 < trainer[key] < math.inf
        _expect(fits, f"{where}.{key}", f"is {trainer[key]!r}", "a positive number")


def _check_overrides(row: ModelEntry, where: str, datasets: set[str]) -> None:
    for dataset, override in row.overrides.items():
        _expect(
            dataset in datasets, f"{where}.overrides", f"names {dataset!r}", f"one of {', '.join(sorted(datasets))}"
        )
        _expect(isinstance(override, dict), f"{where}.overrides.{dataset}", f"is {override!r}", "a mapping")
        for key in override:
            known = key in {"init_args", "trainer"}
            _expect(known, f"{where}.overrides.{dataset}", f"has the unknown key {key!r}", "init_args or trainer")
            given = override[key]
            _expect(isinstance(given, dict), f"{where}.overrides.{dataset}.{key}", f"is {given!r}", "a mapping")


def _expect(condition: bool, where: str, found: str, expected: str) -> None:
    if not condition:
        raise InputError(f"{where} {found}; expected {expected}.")
