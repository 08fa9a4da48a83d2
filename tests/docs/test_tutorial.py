"""The tutorial is what happens: its commands are run as they stand, and what it says one sees is what is printed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.fences import ROOT

PAGE = ROOT / "docs" / "tutorial.md"
REFUSED = re.compile(r"^(bentsao [^#|&]*?)\s*# 会报错.*$", re.MULTILINE)
"""A command that the page says will fail."""

PORT = "8017"
"""The page's port, for which a free one is taken."""


@dataclass(frozen=True)
class Step:
    """A shell fence of the page, and the lines that it says are printed (of the fence named text behind it)."""

    line: int
    script: str
    seen: tuple[str, ...] = ()


def steps(page: Path = PAGE) -> list[Step]:
    """The page's steps in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Step] = []
    for fence in re.finditer(r"^```(bash|text)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        if fence[1] == "bash":
            found.append(Step(text.count("\n", 0, fence.start()) + 2, fence[2]))
        else:
            last = found.pop()
            found.append(Step(last.line, last.script, tuple(line.strip() for line in fence[2].strip().split("\n"))))
    return found


def bash(script: str) -> str:
    """The fence as a script: what the page says will fail must fail."""
    return REFUSED.sub(r"if \1; then echo 没有报错; exit 9; fi", script)


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `bentsao` is this tree's, and `python` this Python."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, what in (("bentsao", "-m bentsao.apps.cli"), ("python", "")):
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    more = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "100"}
    return {**os.environ, **more, "PYTHONIOENCODING": "utf-8", "NO_PROXY": "127.0.0.1"}


def walk(chosen: list[Step], folder: Path, environment: dict[str, str]) -> None:
    """Run the steps in one shell, and hold what each printed against what the page says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # What a step prints last may lack its end of line (curl).
    marked = [f"printf '\\n### %s\\n' {step.line}\n{bash(step.script)}" for step in chosen]
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(marked)
    done = subprocess.run(
        ["bash", "-c", script.replace(PORT, port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    printed = dict(re.findall(r"^### (\d+)\n(.*?)(?=^### |\Z)", done.stdout, flags=re.DOTALL | re.MULTILINE))
    for step in chosen:
        output = printed[str(step.line)]
        missing = [line for line in step.seen if line.strip("… ") not in output]
        assert not missing, f"{PAGE.name}:{step.line} does not print {missing}, but:\n{output}"


def before_the_model() -> list[Step]:
    return [step for step in steps() if step.line < next(one.line for one in steps() if "finetune" in one.script)]


def test_the_page_has_its_steps() -> None:
    assert len(steps()) >= 11
    assert len(before_the_model()) >= 5
    verbs = ("kb import", "build grounded", "build overlap", "finetune", "answer", "chat", "evaluate", "bundle make")
    assert all(any(f"bentsao {verb} " in step.script for step in steps()) for verb in (*verbs, "serve", "export"))
    assert sum(len(step.seen) for step in before_the_model()) > 15


def test_what_needs_no_model_is_as_the_page_says(tmp_path: Path, shell: dict[str, str]) -> None:
    walk(before_the_model(), tmp_path, shell)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_whole_page_is_as_it_says(tmp_path: Path, shell: dict[str, str]) -> None:
    """With the embedded base converted anew, as on a new machine: ten minutes and more on two cores."""
    pytest.importorskip("xllamacpp")
    shell.pop("OMP_NUM_THREADS", None)
    walk(steps(), tmp_path, shell)
    made = tmp_path / "my-clinic"
    for name in (
        "runs/my/adapter_model.safetensors",
        "runs/eval/report.html",
        "bundle/bundle.json",
        "my-gguf/Modelfile",
    ):
        assert (made / name).stat().st_size
