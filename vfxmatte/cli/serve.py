"""`vfxmatte serve`: a server that keeps engines loaded, see docs/serve.md."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
from typing import BinaryIO

import click

from vfxmatte.serve.endpoint import Endpoint, endpoint_file, published, read, sole_server
from vfxmatte.serve.framing import framed
from vfxmatte.serve.threads import Server
from vfxmatte.serve.wires import StreamWire
from vfxmatte.version import __version__

log = logging.getLogger("vfxmatte.serve")


@click.command()
@click.option("--stdio", is_flag=True, help="Serve one client over standard input and output.")
@click.option("--stop", is_flag=True, help="Stop the user's running server, if any.")
@click.option(
    "--idle-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=900.0,
    show_default=True,
    help="End after this time without clients and jobs.",
)
@click.option(
    "--keep-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Release the device's memory after this time without work.",
)
def serve(stdio: bool, stop: bool, idle_seconds: float, keep_seconds: float) -> None:
    """Keep an engine loaded for Nuke, Blender, ComfyUI and scripts.

    Clients speak JSON-RPC 2.0 over TCP on 127.0.0.1; the port and a token are in a file under
    ~/.vfxmatte/run that only you can read. Hosts start the server themselves. It loads the network
    for the first job, runs one job after another, and ends when it has been idle for long.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    if stop:
        click.echo("stopped" if _stop_running() else "no engine is running")
        return
    server = Server(idle_seconds=None if stdio else idle_seconds, keep_seconds=keep_seconds)
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: server.stop())
    clean = _over_stdio(server) if stdio else _over_tcp(server)
    if not clean:  # a job cannot be stopped: end without waiting for it
        sys.stderr.flush()
        os._exit(0)


def _over_tcp(server: Server) -> bool:
    path = endpoint_file()
    with sole_server(path), contextlib.closing(server.listen()) as listener:
        endpoint = Endpoint.of_this_process(listener.getsockname()[1])
        server.accept_from(listener, endpoint.token)
        with published(endpoint, path):
            log.info("vfxmatte %s serves, see %s", __version__, path)
            clean = server.serve()
        server.close_clients()  # new clients no longer find this server
        return clean


def _over_stdio(server: Server) -> bool:
    source, target = _standard_streams()
    server.take_client(StreamWire(source, target))
    clean = server.serve(while_clients=True)
    server.close_clients()
    return clean


def _standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Reserve standard input and output for the protocol; what libraries print goes to stderr."""
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (source, target):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return os.fdopen(source, "rb"), os.fdopen(target, "wb")


def _stop_running() -> bool:
    """Stop the running server; return False if there is none."""
    server = read(endpoint_file())
    if server is None:
        return False
    requests = (
        {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {"token": server.token}},
        {"jsonrpc": "2.0", "id": 1, "method": "shutdown"},
    )
    try:
        with socket.create_connection((server.host, server.port), timeout=5) as connection:
            connection.sendall(b"".join(framed(json.dumps(one).encode()) for one in requests))
            while connection.recv(4096):  # until the server disconnects
                pass
    except OSError:
        return False
    return True
