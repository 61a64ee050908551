"""Mattes whose alpha is right and whose file is not: read, and written as the settings ask for now.

The one place that knows where the alpha of an earlier run can be had from: today the matte itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vfxmatte.common.parallel import close, ordered_map
from vfxmatte.io.writers import OutputSettings, alpha_type, read_matte
from vfxmatte.journal.records import FrameRecord, file_of
from vfxmatte.pipeline.footage import Footage
from vfxmatte.pipeline.frame import Work, failing_alone
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.pipeline.results import Results
from vfxmatte.types import Matte


def alpha_source(
    record: FrameRecord | None, fingerprint: str, settings: OutputSettings, output: Path
) -> Path | None:
    """The file that a frame's matte can be written from without solving it, to the very pixels
    that solving would give; None where there is none.

    fingerprint: that the matte ought to have. A file in single precision will do for any other,
    one in half precision for half precision alone.
    """
    if record is None or not same_alpha(record.fingerprint, fingerprint):
        return None
    if record.alpha != "float" and not record.alpha == "half" == alpha_type(settings):
        return None
    return file_of(record, output)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rewriter:
    """Writes mattes of an earlier run anew, several at once.

    attributes: of the run, for the headers.
    """

    footage: Footage
    results: Results
    attributes: Mapping[str, str]

    def works(
        self, wanted: Mapping[int, str], records: Mapping[int, FrameRecord]
    ) -> Generator[Work]:
        """Each frame's work, ascending; with an error where its plate or its matte cannot be read.

        wanted: fingerprints by number. records: what is known of the mattes that are there.
        Raises what concerns all frames, see `failing_alone`.
        """

        def write(work: Work) -> None:
            self._write(work, records[work.number])

        return ordered_map(failing_alone(write), self._loaded(wanted), workers=self.footage.workers)

    def _loaded(self, wanted: Mapping[int, str]) -> Iterator[Work]:
        frames = self.footage.frames(list(wanted))
        try:
            for number, frame in frames:
                work = Work(number=number, fingerprint=wanted[number])
                if isinstance(frame, Exception):
                    work.fail(frame)
                else:
                    work.frame = frame
                yield work
        finally:
            close(frames)

    def _write(self, work: Work, record: FrameRecord) -> None:
        frame = work.needed(work.frame)
        with work.timed("read"):
            path = self.results.shot.output / work.needed(record.file)
            matte = Matte(number=work.number, alpha=read_matte(path, frame.canvas))
        with work.timed("write"):
            written = self.results.write_matte(matte, frame, work.fingerprint, self.attributes)
            work.size_bytes = written.stat().st_size
        work.stats = {**record.stats, **work.stats}
        work.path, work.frame = written, None
