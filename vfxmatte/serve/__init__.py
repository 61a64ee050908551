"""`vfxmatte serve`: a server that keeps engines loaded for the hosts of one user.

JSON-RPC 2.0 in messages with a Content-Length, over stdio or over TCP on 127.0.0.1; docs/serve.md
describes the protocol. Only `threads` starts threads.
"""
