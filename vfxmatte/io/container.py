"""Movie files opened so that they are what they say: one file, with pictures in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from vfxmatte.errors import PlateError

_OPTIONS = {
    # A "movie" that is a playlist would have other files and addresses read in its place.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,mxf,mxf_opatom,avi,mpegts,mpeg,mpegvideo,m4v,h264,"
    "hevc,dv,nut,flv,asf,ogg,ivf,yuv4mpegpipe,gif,apng,obu",
}


def open_container(path: Path) -> Any:
    """A movie for reading; metadata that is not UTF-8 is repaired. Raises PlateError."""
    try:
        return av.open(str(path), options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise PlateError(
            f"cannot read the movie: {getattr(error, 'strerror', None) or error}",
            path=path,
            hint="it may be incomplete: copy or export it again",
        ) from error
