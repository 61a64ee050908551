"""Odd pictures and movies, made on the spot: what real programs write and few readers expect, and
headers that lie."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import OpenImageIO as oiio

WIDTH, HEIGHT = 64, 48


def make(folder: Path) -> None:
    """Fill a folder; what needs a library that is not there is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for group in (exr_files, dpx_files, oiio_files, lying_files, pillow_files, movies):
        with suppress(ImportError):
            group(folder)


def ramp() -> np.ndarray:
    """(48, 64, 3) uint8."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 4 % 256, y * 5 % 256, (x + y) * 2 % 256], -1).astype(np.uint8)


def planes(names: str = "RGB", dtype: type = np.float16) -> dict[str, np.ndarray]:
    """A different ramp for every name."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return {n: ((x * (i + 1) + y * (3 - i)) / 200 - 0.1).astype(dtype) for i, n in enumerate(names)}


def box(x: int, y: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([x, y], np.int32), np.array([x + width - 1, y + height - 1], np.int32)


def write(path: Path, channels: dict[str, Any], **header: Any) -> Path:
    """An EXR of one part, without compression unless the header says otherwise."""
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.NO_COMPRESSION, **header}
    OpenEXR.File(header, channels).write(str(path))
    return path


def with_attribute(path: Path, name: bytes, kind: bytes, payload: bytes) -> Path:
    """The EXR (scan lines, not compressed) with one more attribute, given as bytes."""
    data = path.read_bytes()
    extra = name + b"\0" + kind + b"\0" + struct.pack("<i", len(payload)) + payload
    end = 8
    while data[end]:
        end = data.index(b"\0", end) + 1
        end = data.index(b"\0", end) + 1
        end += 4 + struct.unpack_from("<i", data, end)[0]
    end += 1
    first = struct.unpack_from("<Q", data, end)[0]
    offsets = np.frombuffer(data[end:first], "<u8") + len(extra)
    path.write_bytes(data[:8] + extra + data[8:end] + offsets.tobytes() + data[first:])
    return path


def exr_files(folder: Path) -> None:
    """Texts, types, windows, parts and channels."""
    for name, kind, payload in (
        ("owner", b"string", "Jürgen".encode("latin-1")),
        ("comments", b"string", "合成".encode("shift_jis")),
        ("deepImageState", b"deepImageState", b"\x02"),
        ("studio", b"studioStuff", bytes(range(40))),
        ("timeCode", b"timecode", b"\xff" * 8),
        ("framesPerSecond", b"rational", bytes(8)),
        ("wide", b"double", struct.pack("<d", 1e300)),
    ):
        path = write(folder / f"attribute_{name}.exr", planes())
        with_attribute(path, name.encode(), kind, payload)
    latin = write(folder / "latin_layer.exr", planes() | {"Lumiere.R": planes()["R"]})
    latin.write_bytes(latin.read_bytes().replace(b"Lumiere.", b"Lumi\xe8re."))
    write(folder / "far.exr", planes(), dataWindow=box(4000, 3000, WIDTH, HEIGHT),
          displayWindow=box(0, 0, WIDTH, HEIGHT))  # fmt: skip
    write(folder / "xyz.exr", planes("XYZ", np.float32))
    write(folder / "depth.exr", planes("Z", np.float32))
    write(folder / "uint.exr", {n: p.astype(np.uint32) for n, p in planes("RGB", float).items()})
    mixed = planes() | {"A": np.ones((HEIGHT, WIDTH), np.uint32)}
    write(folder / "uint_alpha.exr", mixed)
    write(folder / "tiled.exr", planes(), type=OpenEXR.tiledimage,
          tiles=OpenEXR.TileDescription())  # fmt: skip
    mips = OpenEXR.TileDescription()
    mips.xSize = mips.ySize = 16
    mips.mode = OpenEXR.MIPMAP_LEVELS
    with suppress(RuntimeError, ValueError):
        write(folder / "mipmapped.exr", planes(), type=OpenEXR.tiledimage, tiles=mips)
    parts = [OpenEXR.Part({"type": OpenEXR.scanlineimage}, planes(names), title)
             for names, title in (("Z", "depth"), ("RGBA", "beauty"))]  # fmt: skip
    OpenEXR.File(parts).write(str(folder / "parts.exr"))


def dpx_files(folder: Path) -> None:
    """Time codes, rates and rubbish in the film and television headers."""
    for name, word, rate in (("plain", 0x01020304, 25.0), ("rubbish", 0xABCDEF99, float("nan")),
                             ("pairs", 0x01000049, 50.0), ("unset", 0xFFFFFFFF, 0.0)):  # fmt: skip
        dpx(folder / f"{name}.dpx", word, rate)
    cineon(folder / "film.cin", 24.0)
    early = bytearray(dpx(folder / "no_film_header.dpx", 0xFE0C0201, 1e30).read_bytes())
    struct.pack_into(">I", early, 4, 1664)
    (folder / "no_film_header.dpx").write_bytes(bytes(early))


def dpx(path: Path, timecode: int, rate: float) -> Path:
    """A DPX of 10 bits with a time code word and a frame rate in its television header."""
    save(path, ramp() / 255, "uint16", oiio__BitsPerSample=10, oiio__Endian="big")
    data = bytearray(path.read_bytes())
    struct.pack_into(">I", data, 1920, timecode)
    struct.pack_into(">f", data, 1940, rate)
    path.write_bytes(bytes(data))
    return path


def cineon(path: Path, rate: float) -> Path:
    """A Cineon file of 10 bits."""
    red, green, blue = (ramp()[..., i].astype(np.uint32) * 4 for i in range(3))
    words = (red << 22 | green << 12 | blue << 2).astype(">u4").tobytes()
    head = bytearray(2048)
    struct.pack_into(">6I", head, 0, 0x802A5FD7, 2048, 1024, 1024, 0, 2048 + len(words))
    struct.pack_into(">4s", head, 24, b"V4.5")
    head[193] = 3
    for i in range(3):
        struct.pack_into(">3BxII4f", head, 196 + 28 * i, 0, i + 1, 10, WIDTH, HEIGHT, 0, 0, 1023, 2)
    struct.pack_into(">4B", head, 680, 0, 5, 0, 0)
    struct.pack_into(">f", head, 1072, rate)
    path.write_bytes(bytes(head) + words)
    return path


def save(path: Path, pixels: np.ndarray, kind: str, **attributes: Any) -> Path:
    """(H, W, C) float through OpenImageIO; colour under alpha as given."""
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels, np.float32)), output.geterror()
    output.close()
    return path


def oiio_files(folder: Path) -> None:
    """TIFF in many types, and orientations."""
    pixels = ramp() / 255
    for kind in ("uint8", "uint16", "half", "float", "double", "int8", "int16"):
        save(folder / f"{kind}.tif", pixels, kind)
    save(folder / "five.tif", np.concatenate([pixels, pixels[..., :2]], -1), "uint8")
    save(folder / "planes.tif", pixels, "uint8", planarconfig="separate")
    save(folder / "grey.tif", pixels[..., :1], "uint16")
    save(folder / "turned.tif", pixels, "uint8", Orientation=6)
    save(folder / "ten.tif", pixels, "uint16", oiio__BitsPerSample=10)


def pillow_files(folder: Path) -> None:
    """What Pillow writes: palettes, single bits, inks, profiles, texts, several pictures."""
    from PIL import Image, ImageCms, PngImagePlugin

    picture = Image.fromarray(ramp())
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    palette, bits, grey = picture.quantize(64), picture.convert("1"), picture.convert("L")
    for kind in ("png", "tif", "bmp"):
        palette.save(folder / f"palette.{kind}")
        bits.save(folder / f"bits.{kind}")
        grey.save(folder / f"grey_pillow.{kind}")
    palette.save(folder / "palette.gif")
    picture.quantize(7).save(folder / "palette4.png", bits=4)
    picture.quantize(16).save(folder / "transparent_palette.png", transparency=3)
    for kind in ("png", "tif", "jpg"):
        picture.save(folder / f"profile.{kind}", icc_profile=profile)
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "Jürgen")
    picture.save(folder / "latin_text.png", pnginfo=text)
    exif = Image.Exif()
    exif[0x013B], exif[0x0112] = "Jürgen".encode("latin-1"), 6
    picture.save(folder / "latin_artist_turned.jpg", exif=exif)
    picture.convert("CMYK").save(folder / "inks.jpg", quality=100)
    picture.convert("CMYK").save(folder / "inks.tif")
    picture.convert("YCbCr").save(folder / "ycbcr.tif")
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"),
                                  "RGB", "LAB")  # fmt: skip
    converted = ImageCms.applyTransform(picture, lab)
    assert converted is not None
    converted.save(folder / "lab.tif")
    Image.fromarray((ramp()[..., 0] * 200).astype(np.int32)).save(folder / "int32.tif")
    picture.save(folder / "pages.tif", save_all=True, append_images=[picture.rotate(180)])
    with_alpha = picture.copy()
    with_alpha.putalpha(grey)
    for kind in ("png", "tif", "tga", "webp"):
        with_alpha.save(folder / f"rgba.{kind}", **({"lossless": True} if kind == "webp" else {}))


def lying_files(folder: Path) -> None:
    """A few bytes that announce far too many pixels."""
    path = write(folder / "lying.exr", planes())
    data = bytearray(path.read_bytes())
    at = data.index(b"dataWindow\0box2i\0") + 21
    struct.pack_into("<4i", data, at, 0, 0, 2_000_000_000, 2_000_000_000)
    path.write_bytes(bytes(data))
    packed = zlib.compress(bytes(1000))
    (folder / "lying.png").write_bytes(png(100_000, 100_000, packed))
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 + 3 * 20_000)) for _ in range(20_000)) + rows.flush()
    (folder / "bomb.png").write_bytes(png(20_000, 20_000, body))
    (folder / "lying.tga").write_bytes(struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 65535,
                                                   65535, 32, 8) + bytes(100))  # fmt: skip
    (folder / "lying.ppm").write_bytes(b"P6\n60000 60000\n255\n" + bytes(300))


def png(width: int, height: int, body: bytes) -> bytes:
    """An RGB PNG of 8 bits with a body that is compressed already."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def movies(folder: Path) -> None:
    """A few movies, one of them cut short."""
    import av

    for name, codec, form, rate in (("prores.mov", "prores_ks", "yuv422p10le", 24),
                                    ("ffv1.mkv", "ffv1", "yuv420p", 50)):  # fmt: skip
        with av.open(str(folder / name), "w") as container:
            container.metadata["timecode"] = "01:00:00:40" if rate == 50 else "01:00:00:00"
            stream: Any = container.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, form
            for _ in range(8):
                frame = av.VideoFrame.from_ndarray(ramp(), format="rgb24")
                container.mux(stream.encode(frame.reformat(format=form)))
            container.mux(stream.encode())
    whole = (folder / "prores.mov").read_bytes()
    (folder / "cut_short.mov").write_bytes(whole[: len(whole) // 2])
