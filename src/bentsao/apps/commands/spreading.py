"""`--ray` of `infer`, `evaluate` and `build all`: the same work on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bentsao.apps.commands.model_flags import ModelChoice, report
from bentsao.core.errors import ConfigError

if TYPE_CHECKING:
    from bentsao.apps.cluster.pieces import Size
    from bentsao.apps.cluster.workers import Cluster
    from bentsao.inference.engine import Engine, Spread


@dataclass(frozen=True)
class ClusterChoice:
    """The flags of a cluster. None and 0: as the cluster allows."""

    ray: Annotated[
        str | None,
        Parameter(
            help="用 Ray 分到多个进程或多台机器：auto（本机所在的集群）、主机:端口，或 local:N（只在本机，N 个进程）"
        ),
    ] = None
    workers: Annotated[int, Parameter(help="多少个工作进程，各开一份模型；0 为放得下的全部")] = 0
    worker_cpus: Annotated[
        float | None, Parameter(help="每个工作进程几个 CPU 核；缺省有 GPU 时 1，没有时一个节点一个进程")
    ] = None
    worker_gpus: Annotated[float | None, Parameter(help="每个工作进程几张 GPU；缺省有 GPU 时为 --gpus")] = None

    def check(self) -> None:
        """Raises ConfigError for values that cannot be."""
        if self.ray is None and self != ClusterChoice():
            raise ConfigError("--workers、--worker-cpus、--worker-gpus 要与 --ray 同用，如 --ray local:2。")
        if self.workers < 0 or (self.worker_cpus is not None and self.worker_cpus <= 0) or (self.worker_gpus or 0) < 0:
            raise ConfigError("--workers、--worker-gpus 应不小于 0，--worker-cpus 应大于 0。")

    @contextmanager
    def connected(self, usual: Size | None = None) -> Generator[Cluster]:
        """The cluster that `ray` names. usual: a worker's size where no flag says; None: what suits a model.

        Raises what `cluster.connected` does.
        """
        from bentsao.apps.cluster.connecting import connected

        assert self.ray is not None
        flags = {"cpus": self.worker_cpus, "gpus": self.worker_gpus}
        with connected(self.ray, usual=usual, workers=self.workers, **flags) as cluster:
            yield cluster

    @contextmanager
    def opener(self) -> Generator[Callable[[ModelChoice], Engine | Spread]]:
        """How a model is opened while the block lasts: here, or on every worker of the cluster."""
        self.check()
        if self.ray is None:
            yield ModelChoice.open
            return
        from bentsao.apps.cluster.engine import open_on

        def opened(model: ModelChoice) -> Engine | Spread:
            fitting = cluster
            if self.worker_gpus is None and cluster.size.gpus:
                fitting = cluster.sized(gpus=0 if model.device == "cpu" else model.gpus)
            return open_on(fitting, model.with_default().with_full_paths().open, report)

        with self.connected() as cluster:
            yield opened


Spreading = Annotated[ClusterChoice, Parameter(name="*", group="多机（Ray）")]
HERE = ClusterChoice()
