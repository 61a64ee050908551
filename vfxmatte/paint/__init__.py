"""`vfxmatte paint`: a local server and its page, on which trimaps are painted and mattes judged.

The page talks to the server over one WebSocket (`messages`, `methods`); the server keeps plates and
trimaps, and one child process solves (`engine_process`). The server itself loads no torch.
"""
