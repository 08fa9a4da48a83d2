"""From an address to a cluster: Ray is imported, started or connected to, and kept quiet, here only."""

from __future__ import annotations

import importlib
import logging
import os
import re
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentsao.apps.cluster.pieces import ClusterError, Node, Size
from bentsao.apps.cluster.workers import Cluster
from bentsao.core.errors import ConfigError, MissingError

_STORE = 200 * 2**20
"""Bytes of the object store of a Ray that is started here: questions and answers are small."""


@contextmanager
def connected(
    address: str,
    *,
    usual: Size | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    workers: int = 0,
) -> Generator[Cluster]:
    """A cluster while the block lasts.

    address: `local:N` starts a Ray of N workers on this machine alone; `auto` is the cluster that this machine is a
    node of; HOST:PORT one by its head. usual: what a worker takes where `cpus` and `gpus` do not say; None: with GPUs,
    one GPU and one core, else a node, and for `local:N` its share of the cores. workers: see `Cluster`. Raises
    MissingError without Ray, ConfigError for an address that is none, ClusterError where nothing answers.
    """
    count = _local(address)
    ray = _import_ray()
    settings: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if count:
        # Cores are what Ray counts by; a worker that is asked for gets one even where there are fewer.
        cores = max(os.cpu_count() or 1, count)
        settings |= {"include_dashboard": False, "num_cpus": cores, "object_store_memory": _STORE}
    else:
        _reach(address)
    try:
        with _silent_start():
            ray.init("local" if count else address, **settings)
    except Exception as error:  # Ray raises bare ones too, as where a machine is too busy to start it in time
        raise ClusterError(
            f"连不上 Ray 集群 {address}：{_short(error)}\n"
            "请在集群的一台机器上运行 `ray status` 看它是否在，各机器的 Python 与 ray 版本是否相同；"
            "只用本机时请用 --ray local:2。"
        ) from None
    try:
        _quiet(ray)
        cluster = Cluster(ray, Size(), workers or count)
        size = usual or _usual(cluster.nodes(), count)
        yield cluster.sized(
            cpus=size.cpus if cpus is None else cpus,
            gpus=size.gpus if gpus is None else gpus,
        )
    finally:
        ray.shutdown()


def _usual(nodes: Sequence[Node], local: int) -> Size:
    if any(node.has.gpus for node in nodes):
        return Size(cpus=1, gpus=1)
    cores = min((node.has.cpus for node in nodes if node.has.cpus), default=1)
    return Size(cpus=max(1, cores // local) if local else cores)


def _local(address: str) -> int:
    """The workers of `local:N`; 0 for a cluster. Raises ConfigError for neither."""
    if found := re.fullmatch(r"local:([1-9]\d*)", address):
        return int(found[1])
    if address == "auto" or re.fullmatch(r"(?!local:)[^\s:/]+:\d+", address):
        return 0
    raise ConfigError(f"--ray {address} 应是 auto（本机所在的集群）、主机:端口，或 local:N（只在本机，N 个工作进程）。")


def _reach(address: str) -> None:
    """Raises ClusterError at once where nobody listens; Ray itself would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"连不上 Ray 集群 {address}：{error}。请检查地址，以及那台机器上的 `ray status`。") from None


def _import_ray() -> Any:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of the parts in C++, which write to the terminal
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of its own next version
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError:
        raise MissingError("--ray 需要 Ray。安装：pip install 'bentsao[ray]'（集群的每台机器上都要装）。") from None


@contextmanager
def _silent_start() -> Generator[None]:
    """Keeps from the terminal what Ray's parts in C++ write there when they start; errors come as exceptions."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _quiet(ray: Any) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # what is lost is asked again, see in_rounds
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _short(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
