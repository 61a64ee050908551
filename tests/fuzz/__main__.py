"""`python -m tests.fuzz --minutes 10`: look for input that ends in a traceback or a hang."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import click

from tests.fuzz.pool import hunt
from tests.fuzz.targets import HEAVY, LIGHT


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True)
@click.option("--target", "chosen", multiple=True, help="Only these, e.g. image:.exr or message.")
@click.option("--seed", type=int, help="For the same inputs again [the time].")
@click.option(
    "--keep", type=click.Path(path_type=Path), default=Path("fuzz-findings"), show_default=True,
    help="Where inputs are written; move them to tests/fuzz/corpus when they are mended.",
)  # fmt: skip
def main(minutes: float, chosen: tuple[str, ...], seed: int | None, keep: Path) -> None:
    """Give broken input to every reader and every message; exit code 1 for findings."""
    names = [n for n in (*LIGHT, *HEAVY) if not chosen or n in chosen or n.split(":")[0] in chosen]
    if not names:
        raise click.UsageError(f"targets: {', '.join((*LIGHT, *HEAVY))}")
    seed = int(time.time()) if seed is None else seed
    click.echo(f"seed {seed}, {len(names)} targets")
    counts: dict[str, int] = {}
    seen: dict[str, int] = {}
    for finding in hunt(names, seconds=60 * minutes, seed=seed, counts=counts):
        seen[finding.key] = seen.get(finding.key, 0) + 1
        if seen[finding.key] == 1:
            place = keep / finding.target.replace(":", "") / _name(finding.data)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(finding.data)
            click.echo(f"\n{finding.target}: {place}\n{finding.text}")
    click.echo(f"{sum(counts.values())} inputs: {counts}")
    for key, count in seen.items():
        click.echo(f"{count} times {key}")
    raise SystemExit(bool(seen))


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


if __name__ == "__main__":
    main()
