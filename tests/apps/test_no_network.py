"""Nothing is contacted that nobody asked for: commands in processes that write down every address they turn to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.doubles import TEMPLATE, tiny_base_folder

GUARD = '''
"""Read by Python when it starts: an address that is not this machine's is written down and refused."""
import os, socket

def told(host):
    if str(host) in ("localhost", "127.0.0.1", "::1", "None", "0.0.0.0", "::", ""):
        return
    with open(os.environ["GUARD"], "a", encoding="utf-8") as file:
        file.write(f"{host}\\n")
    raise OSError(f"refused: {host}")

def guarded(method):
    def call(self, address, *rest):
        if self.family != socket.AF_UNIX:
            told(address[0])
        return method(self, address, *rest)
    return call

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
found = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **named: (told(host), found(host, *rest, **named))[1]
'''


class Watched:
    """Runs Python in a folder under the guard; `turned_to` is what it turned to outside of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "guard.log"
        (folder / "guard").mkdir()
        (folder / "guard" / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        paths = [str(folder / "guard"), *(path for path in sys.path if path)]
        # CI: trl does not report where it is set.
        kept = {name: value for name, value in os.environ.items() if name not in {"CI", "BENTSAO_CACHE"}}
        self.environment = {
            **kept,
            **{"PYTHONPATH": os.pathsep.join(paths), "GUARD": str(self.log), "OMP_NUM_THREADS": "1"},
            **{"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "NO_PROXY": "*"},
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def bentsao(self, *arguments: str) -> None:
        process = self.start("-m", "bentsao.apps.cli", *arguments)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said

    @property
    def turned_to(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return str(tiny_base_folder(tmp_path / "base", "qwen3", chat_template=TEMPLATE))


@pytest.mark.parametrize(
    "code",
    [
        "import urllib.request as u; u.urlopen('http://example.invalid')",
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "import httpx; httpx.get('http://192.0.2.1', timeout=1)",
    ],
)
def test_the_guard_sees(watched: Watched, code: str) -> None:
    process = watched.start("-c", code)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert watched.turned_to.split()[0] in {"example.invalid", "192.0.2.1"}


def test_knowledge_data_and_answers(watched: Watched) -> None:
    watched.bentsao("kb", "show", "偏头痛")
    watched.bentsao("build", "qa", "--rows", "20", "--out", "qa")
    watched.bentsao("answer", "布洛芬有哪些禁忌？", "--no-model")
    assert watched.turned_to == ""


def test_tuning_with_a_library_that_would_report(watched: Watched, base: str) -> None:
    pytest.importorskip("trl")
    pairs = [{"prompt": f"{n}病怎么办？", "chosen": "吃药休息。", "rejected": "不用管。"} for n in range(8)]
    (watched.folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    flags = ("--method", "dpo", "--base", base, "--data", "pairs.jsonl", "-o", "out", "--set", "base.device=cpu")
    watched.bentsao("finetune", *flags, "--steps", "1", "--validation", "0", "--format", "base")
    assert watched.turned_to == ""


def test_the_server_with_its_page(watched: Watched, base: str) -> None:
    pytest.importorskip("gradio")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    process = watched.start("-m", "bentsao.apps.cli", "serve", "--base", base, "--ui", "--port", port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        while process.poll() is None:
            try:
                page = client.get("/ui/")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        else:
            pytest.fail(str(process.communicate()[0]))
        assert page.status_code == 200
        asked = {"model": "base", "messages": [{"role": "user", "content": "感冒怎么办？"}], "max_tokens": 4}
        names = [model["id"] for model in client.get("/v1/models").json()["data"]]
        answered = client.post("/v1/chat/completions", json={**asked, "model": names[0]})
        assert answered.status_code == 200, answered.text
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert watched.turned_to == ""
