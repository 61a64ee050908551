"""`vfxmatte serve`: an engine that stays, with its model loaded, for the hosts of one user.

JSON-RPC 2.0 in frames with a Content-Length, over stdio or over TCP on 127.0.0.1; the protocol is
told in docs/serve.md. framing and rpc know messages, endpoint where a running engine is found,
arrays how pixels travel, jobs what waits, work what is done, session what a client may say; threads
alone starts threads.
"""
