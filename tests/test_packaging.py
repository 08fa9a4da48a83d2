"""What pyproject.toml and constraints.txt say of the package agrees, on every Python that it is for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bentsao

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if " :: Python :: 3." in name]
UNPINNED = {"vllm"}
"""Not in constraints.txt: see docs/packaging.md."""


def pins(python: str) -> dict[str, str]:
    """Package → its version in constraints.txt, on Linux with this Python."""
    where = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    there = [pin for pin in wanted if pin.marker is None or pin.marker.evaluate(where)]
    out = {str(canonicalize_name(pin.name)): str(pin.specifier).removeprefix("==") for pin in there}
    assert len(out) == len(there), "a package is pinned twice"
    return out


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    assert f"## [{bentsao.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {bentsao.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_pythons_are_those_that_may_install_it() -> None:
    low, high = PROJECT["requires-python"].removeprefix(">=").split(",<")
    assert (PYTHONS[0], f"3.{int(PYTHONS[-1].removeprefix('3.')) + 1}") == (low, high)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_within_its_range(python: str) -> None:
    pinned = pins(python)
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for wanted in (Requirement(line) for group in groups for line in group):
        name = canonicalize_name(wanted.name)
        if name in UNPINNED or (wanted.marker and not wanted.marker.evaluate({"python_version": python})):
            continue
        assert wanted.specifier.contains(pinned[name]), f"{wanted}, pinned to {pinned[name]}"
