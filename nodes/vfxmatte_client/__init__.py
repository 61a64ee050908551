"""The client of vfxmatte that every host uses: it finds the server, starts it and talks to it.

The server (`vfxmatte serve`) runs in a Python environment of its own, so that torch and its
libraries never meet the host's. Where it cannot serve, the command line does the work.
Python 3.9 syntax, standard library only, relative imports: the folder may be copied into any node.

Calls may be made from every thread. All of them wait but the `start_*` ones, which return at once
and are the only ones for a host's main thread. Callbacks come on a thread of the client.
"""

from __future__ import annotations

from .client import Client, shared_client
from .errors import ClientError
from .job import Job
from .locate import find_command, remember_command
from .paths import settings_file, tidy_path

__all__ = [
    "Client", "ClientError", "Job", "find_command", "remember_command", "settings_file",
    "shared_client", "tidy_path",
]  # fmt: skip
