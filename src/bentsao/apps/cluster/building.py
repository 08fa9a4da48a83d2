"""Data sets built side by side on a cluster: each by the same function as here, so each with the same bytes.

A data set is not cut further: a row that a filter refuses changes what is drawn after it, and near copies are looked
for among the rows before, so the rows of two halves would not be those of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bentsao.apps.cluster.pieces import ClusterError, Report
from bentsao.apps.cluster.workers import Cluster
from bentsao.construction.writing import MANIFEST_NAME, BuildOptions, build
from bentsao.core.files import read_json, whole_folder
from bentsao.knowledge.store import KnowledgeBase


def build_on(
    cluster: Cluster, kb: Path, orders: Mapping[str, BuildOptions], out: Path, report: Report
) -> dict[str, dict[str, Any]]:
    """Build each data set into its folder in `out`, whole or not at all; returns the manifests in their order.

    kb: the knowledge base, under the same path and with the same contents on every node. A data set goes through the
    memory of this process once. Raises what `Cluster.each` and `build` raise, and ClusterError for another base.
    """
    with KnowledgeBase.open(kb) as store:
        opened = partial(_same, kb.resolve(), store.version)
    pieces = sorted(orders.items(), key=lambda order: -order[1].rows)
    for name, files in cluster.each(opened, _built, pieces, report):
        with whole_folder(out / name) as folder:
            for file, contents in files.items():
                (folder / file).write_bytes(contents)
        report(f"{out / name} 已写好。")
    return {name: read_json(out / name / MANIFEST_NAME) for name in orders}


def _same(kb: Path, version: str) -> Path:
    """The knowledge base, if it is the one."""
    with KnowledgeBase.open(kb) as store:
        if store.version != version:
            raise ClusterError(f"这里的知识库 {kb} 与发起任务的机器上的不同。请把同一个文件放到每个节点的同一位置。")
    return kb


def _built(kb: Path, piece: tuple[str, BuildOptions]) -> tuple[str, dict[str, bytes]]:
    """The name of the data set and its files."""
    name, options = piece
    with TemporaryDirectory() as beside, KnowledgeBase.open(kb) as store:
        folder = Path(beside, name)
        build(store, options, folder)
        return name, {file.name: file.read_bytes() for file in folder.iterdir()}
