"""Visitors who get nothing: other hosts, origins, tokens, and pages in the same browser."""

from __future__ import annotations

import http.client
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.paint.conftest import Serve
from vfxmatte.paint.guard import Admission
from vfxmatte.paint.messages import packed, unpacked
from vfxmatte.paint.server import PaintServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def server(tiny_shot: Path, serve: Serve) -> PaintServer:
    return serve(tiny_shot)


def answer(server: PaintServer, path: str = "/", method: str = "GET", **headers: str) -> Any:
    """Ask for a file of the page; headers by name, `_` for `-`, "" leaves out the host."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in sent)
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.text = response.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return response


def test_the_page_is_served_to_itself_with_strict_headers(server: PaintServer) -> None:
    page = answer(server)
    assert page.status == 200
    assert "paint.js" in page.text
    assert server.admission.token not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in page.headers if name.lower().startswith("access-control")]
    own = f"http://127.0.0.1:{server.port}"
    assert answer(server, "/paint.js", Origin=own, Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost:80"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_others_are_refused(server: PaintServer, headers: dict[str, str]) -> None:
    for path in ("/", "/paint.js", "/nothing"):
        refused = answer(server, path, **headers)
        assert refused.status == 403
        assert refused.text == "refused\n"
    assert answer(server, "/", "OPTIONS", **headers).status == 403


def test_a_link_shows_the_page_and_nothing_else_does(server: PaintServer) -> None:
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert answer(server, "/", **link, Sec_Fetch_Dest="document").status == 200
    assert answer(server, "/", **link, Sec_Fetch_Dest="iframe").status == 403
    assert answer(server, "/paint.js", **link, Sec_Fetch_Dest="document").status == 403


@pytest.mark.parametrize(
    "path",
    ["/../paint/server.py", "/%2e%2e/server.py", "//etc/passwd", "/page/paint.js", "/index.html"],
)
def test_only_the_files_of_the_page_are_served(server: PaintServer, path: str) -> None:
    assert answer(server, path).status == 404
    assert answer(server, "/paint.js", "POST").status == 405


def socket(server: PaintServer, *shown: str, origin: str | None = None, host: str = "") -> Any:
    own = f"127.0.0.1:{server.port}"
    headers = {"Host": host} if host else None
    return connect(
        f"ws://{own}/socket",
        origin=origin or f"http://{own}",  # type: ignore[arg-type]
        subprotocols=["vfxmatte", *shown],  # type: ignore[list-item]
        additional_headers=headers,
        max_size=None,
        open_timeout=30,
    )


def ask(connection: Any, record: dict[str, Any], pixels: bytes = b"") -> dict[str, Any]:
    """Send a request and return its answer's record, passing over events."""
    connection.send(packed({"id": 1, "params": {}, **record}, pixels))
    while True:
        answered, _ = unpacked(connection.recv(timeout=60))
        if answered.get("id") == 1 or answered.get("event") == "refused":
            return dict(answered)


def test_the_token_opens_the_socket(server: PaintServer) -> None:
    with socket(server, server.admission.token) as connection:
        assert ask(connection, {"method": "shot"})["result"]["width"] == 64


def test_a_wrong_token_host_or_origin_gets_nothing(server: PaintServer) -> None:
    token = server.admission.token
    wrong: list[dict[str, Any]] = [
        {"shown": ()},
        {"shown": ("",)},
        {"shown": (token[:-1],)},
        {"shown": (token + "x",)},
        {"shown": (token,), "origin": "http://evil.example"},
        {"shown": (token,), "origin": "null"},
        {"shown": (token,), "origin": f"https://127.0.0.1:{server.port}"},
    ]
    for one in wrong:
        with pytest.raises(InvalidStatus) as refused:
            socket(server, *filter(None, one["shown"]), origin=one.get("origin"))
        assert refused.value.response.status_code == 403
    raw = answer(
        server, "/socket", Host="evil.example", Upgrade="websocket", Connection="Upgrade",
        Sec_WebSocket_Version="13", Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        Origin=f"http://127.0.0.1:{server.port}", Sec_WebSocket_Protocol=f"vfxmatte, {token}",
    )  # fmt: skip
    assert raw.status == 403


def test_the_code_for_the_browser_is_good_once(server: PaintServer) -> None:
    code = server.admission.code
    with socket(server, code) as connection:
        first, _ = unpacked(connection.recv(timeout=60))
        assert first == {"event": "token", "token": server.admission.token}
    with pytest.raises(InvalidStatus):
        socket(server, code)
    assert not Admission().admits(["", "None"])


def test_requests_name_no_paths_and_nothing_outside_of_the_shot(server: PaintServer) -> None:
    frame = {"frame": 1001}
    box = {**frame, "x": 0, "y": 0, "width": 2, "height": 2}
    wrong = [
        {"method": "open"},
        {"method": "__init__"},
        {"method": "shot", "params": {"folder": "/etc"}},
        {"method": "trimap", "params": {"frame": 1}},
        {"method": "trimap", "params": {"frame": "1001"}},
        {"method": "trimap", "params": {"frame": "../1001"}},
        {"method": "matte", "params": {**frame, "path": "/etc/passwd"}},
        {"method": "save", "params": {**frame, "path": "/tmp/x.png"}},
        {"method": "tile", "params": {**frame, "level": 0, "column": 1, "row": 0}},
        {"method": "tile", "params": {**frame, "level": 90, "column": 0, "row": 0}},
        {"method": "tile", "params": {**frame, "level": 0, "column": 0, "row": 0, "stops": 1e9}},
        {"method": "tile", "params": {**frame, "level": 0, "column": 0, "row": 0, "view": "x"}},
        {"method": "solve", "params": {**box, "x": 63, "level": 0}},
        {"method": "grow", "params": {**frame, "px": 1e12}},
        {"method": "edge", "params": {**frame, "stroke": [1, 2, 3], "reach": 3, "width": 3}},
        {"method": "edge", "params": {**frame, "stroke": [None, 2], "reach": 3, "width": 3}},
        {"method": "guess", "params": {**frame, "method": "auto"}},
        {"method": "run", "params": {"shot": "/etc"}},
    ]
    with socket(server, server.admission.token) as connection:
        for one in wrong:
            assert "error" in ask(connection, one), one
        for pixels in (b"", b"\0\0\0", b"\0\1\0\0", b"\0" * 5):
            assert "error" in ask(connection, {"method": "paint", "params": box}, pixels)
        assert "result" in ask(connection, {"method": "paint", "params": box}, b"\0\0\x80\xff")
        for message in (b"", b"\1", struct.pack("<I", 9) + b"{}", struct.pack("<I", 2) + b"[]",
                        struct.pack("<I", 2) + b"{}"):  # fmt: skip
            connection.send(message)
            assert unpacked(connection.recv(timeout=60))[0]["event"] == "refused"
        assert "result" in ask(connection, {"method": "shot"})  # it still answers


def test_a_page_of_another_origin_gets_nothing(
    server: PaintServer, browser: Browser, tmp_path: Path
) -> None:
    """A page from disk that knows the port, and even the token."""
    address, token = f"http://127.0.0.1:{server.port}", server.admission.token
    evil = tmp_path / "evil.html"
    evil.write_text("<!doctype html><title>evil</title>")
    script = """async ([address, token]) => {
      const tried = (promise) => promise.then(() => "got it", () => "refused");
      const socket = new Promise((resolve, reject) => {
        const one = new WebSocket(`ws${address.slice(4)}/socket`, ["vfxmatte", token]);
        one.onopen = resolve; one.onerror = reject;
      });
      const loaded = (tag, name, value) => new Promise((resolve, reject) => {
        const one = document.createElement(tag);
        one.onload = resolve; one.onerror = reject; one[name] = value;
        document.head.append(one);
      });
      return Promise.all([
        tried(fetch(address)),
        tried(fetch(address, { mode: "no-cors" }).then((a) => a.ok || Promise.reject())),
        tried(socket), tried(loaded("script", "src", `${address}/protocol.js`)),
      ]);
    }"""
    page = browser.new_page()  # its console tells of what is refused
    page.goto(evil.as_uri())
    assert page.evaluate(script, [address, token]) == ["refused"] * 4
    page.close()
