# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys
from pathlib import Path

import pytest

import anomalib_patchgan
from anomalib_patchgan import models
from anomalib_patchgan.benchmark.environment import describe_environment
from anomalib_patchgan.benchmark.fingerprint import _job_source_digest, job_source_digest, package_source_digest
from anomalib_patchgan.benchmark.imports import files_behind

PACKAGE = Path(anomalib_patchgan.__file__).parent
MODELS = "anomalib_patchgan.models"


def behind(*names: str) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in files_behind(names, PACKAGE)}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    files = {
        "__init__.py": "",
        "models/__init__.py": "if True:\n    from own.models.one import One\n    from own.models.two import Two",
        "models/one.py": "def build():\n    import own.parts.late\n\n\nclass One: ...",
        "models/two.py": (
            "import json\nfrom own.parts import base as part\n\n\n"
            "def build():\n    from own.parts import other as part\n\n\nclass Two: ..."
        ),
        "parts/__init__.py": "",
        "parts/late.py": "from own.models import Two",
        "parts/base.py": "",
        "parts/other.py": "",
        "parts/unused.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "own"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("own.models.Two", {"models/two.py", "parts/base.py", "parts/other.py"}),
        ("own.models.One", {"models/one.py", "parts/late.py", "models/two.py", "parts/base.py", "parts/other.py"}),
        ("own.parts.base", {"parts/base.py"}),
        ("own.parts", {"parts/__init__.py"}),
        # What cannot be found depends on all that could hold it.
        (
            "own.models.Unknown",
            {
                "models/__init__.py",
                "models/one.py",
                "parts/late.py",
                "models/two.py",
                "parts/base.py",
                "parts/other.py",
            },
        ),
        ("own.models.two.Unknown", {"models/two.py", "parts/base.py", "parts/other.py"}),
        ("other.models.Two", set()),
    ],
)
def test_imports_are_followed_wherever_they_stand(package, name, expected):
    assert {path.relative_to(package).as_posix() for path in files_behind([name], package)} == expected


def test_one_model_does_not_depend_on_another():
    own = behind(f"{MODELS}.PatchGan")
    assert {"models/patchgan/torch_model.py", "models/components/corruption.py"} <= own
    assert not {path for path in own if "alocc" in path or "f_anogan" in path}


def test_the_short_name_of_the_model_is_followed_too():
    assert behind("anomalib_patchgan.PatchGan") == behind(f"{MODELS}.PatchGan")


def test_patch_scorer_depends_on_the_corruption_that_patchgan_uses_and_not_on_patchgan():
    own = behind(f"{MODELS}.PatchScorer")
    assert "models/components/corruption.py" in own
    assert not {path for path in own if "models/patchgan" in path}


def test_nothing_that_importing_a_model_loads_is_missed():
    """Every module that is loaded with all models and backends is behind one of them."""
    code = (
        "import sys, anomalib_patchgan.models as m, anomalib_patchgan.models.backbones\n"
        "from anomalib_patchgan.deploy import deployment_rows\n"
        "[getattr(m, name) for name in m.__all__]\n"
        "for module in list(sys.modules.values()):\n"
        "    if module.__name__.startswith(('anomalib_patchgan.models.', 'anomalib_patchgan.deploy.')):\n"
        "        print(module.__file__)\n"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    modules = {Path(path).relative_to(PACKAGE).as_posix() for path in loaded if path.startswith(str(PACKAGE))}
    modules = {path for path in modules if not path.endswith("__init__.py")}
    found = behind(
        *(f"{MODELS}.{name}" for name in models.__all__),
        f"{MODELS}.backbones",
        "anomalib_patchgan.deploy.deployment_rows",
    )
    assert len(modules) > 30
    assert not modules - found


def test_digest_follows_classes_named_in_arguments():
    plain = job_source_digest("anomalib.models.Padim", {}, False)
    assert plain == job_source_digest("anomalib.models.Dfm", {"layer": "blocks.4"}, False)
    named = {"parts": [{"class_path": f"{MODELS}.Alocc"}]}
    assert plain != job_source_digest("anomalib.models.Padim", named, False)
    assert plain != job_source_digest("anomalib.models.Padim", {}, True)


def test_digest_follows_the_metric_that_is_computed_under_artefacts_alone(monkeypatch):
    """The maps are dropped, so that a changed metric cannot be computed again from what is stored."""

    def digests() -> list[str]:
        _job_source_digest.cache_clear()
        return [job_source_digest("anomalib.models.Padim", {}, False, artefacts) for artefacts in (False, True)]

    before = digests()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * path.match("evaluation/pixel.py"))
    after = digests()
    _job_source_digest.cache_clear()
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("file", ["their_models.py", "their_models/deep/parts.py"])
@pytest.mark.parametrize(
    ("model", "arguments"),
    [("their_models.Detector", {}), ("anomalib.models.Padim", {"parts": [{"class_path": "their_models.Part"}]})],
)
def test_digest_follows_the_source_of_other_packages_without_importing_it(
    tmp_path, monkeypatch, file, model, arguments
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    # What an editor leaves beside a file that is being changed.
    (tmp_path / file).with_name(".#edited.py").symlink_to("nobody@nowhere.1")
    digests = []
    for content in ("alpha = 1", "alpha = 2", "alpha = 1"):
        (tmp_path / file).write_text(content)
        _job_source_digest.cache_clear()
        digests.append(job_source_digest(model, arguments, False))
    assert digests[0] == digests[2] != digests[1]
    assert "their_models" not in sys.modules


@pytest.mark.parametrize("name", ["absent_package.Model", ".Model", "__main__.Model", "builtins.dict"])
def test_a_class_without_a_source_has_a_digest_too(name):
    assert job_source_digest(name, {}, False) == job_source_digest(name, {}, False)


def test_a_result_says_which_state_of_the_source_it_was_made_with():
    source = describe_environment()["source"]
    assert source == package_source_digest()
    assert source != job_source_digest(f"{MODELS}.PatchGan", {}, True)
