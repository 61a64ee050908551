"""A "movie" that is a playlist would have other files read in its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from vfxmatte.errors import PlateError
from vfxmatte.io.plates import open_plate


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv", ".avi", ".webm"])
@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile secret.mov\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mov\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
        '<Representation id="1" bandwidth="1"><BaseURL>secret.mov</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>\n",
    ],
    ids=["concat", "hls", "dash"],
)
def test_a_playlist_is_no_movie(text: str, suffix: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "secret.mov"), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 90, np.uint8), "rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode())
    shutil.copy(tmp_path / "secret.mov", tmp_path / "whole.mov")
    with open_plate(tmp_path / "whole.mov") as plate:
        assert plate.info.numbers
    (tmp_path / f"plate{suffix}").write_text(text)
    with pytest.raises(PlateError):
        open_plate(tmp_path / f"plate{suffix}")
