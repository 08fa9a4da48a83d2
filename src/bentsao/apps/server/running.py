"""uvicorn around the application: one process, signals that end it properly."""

from __future__ import annotations

from types import FrameType

import uvicorn
from fastapi import FastAPI

from bentsao.apps.server.serving import Service


class Server(uvicorn.Server):
    """On the first SIGTERM or Ctrl-C no new requests are taken, and those under way may end; the second ends all."""

    def __init__(self, app: FastAPI, service: Service, *, host: str, port: int, connections: int = 1024) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_level="info",
                limit_concurrency=connections,
                timeout_keep_alive=30,
                # After the grace everything is called off, and ends by itself within moments.
                timeout_graceful_shutdown=int(service.limits.grace) + 10,
                server_header=False,
            )
        )
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal."""
        self._service.drain()
        super().handle_exit(sig, frame)
