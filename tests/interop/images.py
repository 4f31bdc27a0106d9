#!/usr/bin/env python3
"""Compares worker/images with Pillow and Transformers' ViTImageProcessorPil, pixel by pixel.

    images.py [--driver=PROGRAM] [--size=N] [--filters=2,3] [--most=N] [FOLDER...]
    images.py --fixtures=tests/worker/images/fixtures

FOLDER holds image files at any depth; without one, files of every kind that both sides read are made.
--fixtures makes the files of the unit tests. Exit code 1 if a byte or a float differs.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.pop(0)  # a module beside this file has the name of a library
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402


# ---- files of every kind -----------------------------------------------------

def picture(rng, width, height, channels=3):
    """Waves and noise, uint8 [height, width, channels]."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        a, b, c = rng.uniform(0.02, 0.6), rng.uniform(0.02, 0.6), rng.uniform(0, 6)
        planes.append(127 + 100 * np.sin(a * x + b * y + c) + rng.uniform(0, 20) * np_noise(rng, height, width))
    return np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8)


def np_noise(rng, height, width):
    return np.random.default_rng(rng.getrandbits(32)).normal(size=(height, width))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width, height, depth, colour, rows, extra=b"", interlace=0):
    """A PNG of rows of packed bytes, whose filter is none."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def adam7(width, height, depth, channels, samples):
    """Rows of the seven passes. samples: [height][width] lists of `channels` numbers."""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        for y in range(y0, height, dy):
            row = [samples[y][x] for x in range(x0, width, dx)]
            if row:
                yield pack(row, depth)


def pack(row, depth):
    bits = "".join(format(v, f"0{depth}b") for pixel in row for v in pixel)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def png_kinds(rng, width, height):
    """(name, bytes): every depth and colour type, plain, interlaced, with transparency."""
    for colour, channels, depths in ((0, 1, (1, 2, 4, 8, 16)), (2, 3, (8, 16)), (3, 1, (1, 2, 4, 8)), (4, 2, (8, 16)), (6, 4, (8, 16))):
        for depth in depths:
            samples = [[[rng.getrandbits(depth) if depth < 16 or rng.random() < .5 else rng.randrange(300) for _ in range(channels)]
                        for _ in range(width)] for _ in range(height)]
            extra = b""
            if colour == 3:  # some places are behind the end of the palette
                most = max(1, (1 << depth) * 3 // 4)
                extra = chunk(b"PLTE", bytes(rng.getrandbits(8) for _ in range(3 * most)))
            name = f"png-{'grey rgb- rgb pal greya rgb- rgba'.split()[colour]}-{depth}"
            yield name, raw_png(width, height, depth, colour, [pack(row, depth) for row in samples], extra)
            yield name + "-adam7", raw_png(width, height, depth, colour, list(adam7(width, height, depth, channels, samples)), extra, 1)
            if colour in (0, 2, 3):
                clear = bytes(rng.getrandbits(8) for _ in range(3)) if colour == 3 else struct.pack(f">{channels}H", *samples[0][0])
                if colour == 3 and depth == 1:
                    clear = clear[:1]
                yield name + "-trns", raw_png(width, height, depth, colour, [pack(row, depth) for row in samples], extra + chunk(b"tRNS", clear))


def encoded(image, form, **how):
    with tempfile.TemporaryFile() as file:
        image.save(file, form, **how)
        file.seek(0)
        return file.read()


def jpeg_kinds(rng, width, height):
    for sampling in (0, 1, 2):
        for progressive in (False, True):
            name = f"jpeg-{('444', '422', '420')[sampling]}{'-progressive' if progressive else ''}"
            yield name, encoded(Image.fromarray(picture(rng, width, height)), "JPEG", quality=rng.randrange(30, 96),
                                subsampling=sampling, progressive=progressive)
    yield "jpeg-grey", encoded(Image.fromarray(picture(rng, width, height)[..., 0]), "JPEG", quality=80)
    yield "jpeg-cmyk", encoded(Image.fromarray(picture(rng, width, height, 4), "CMYK"), "JPEG", quality=80)
    rgb = encoded(Image.fromarray(picture(rng, width, height)), "JPEG", quality=90, keep_rgb=True)
    yield "jpeg-rgb", rgb
    cmyk = encoded(Image.fromarray(picture(rng, width, height, 4), "CMYK"), "JPEG", quality=90)
    at = cmyk.find(b"Adobe")
    yield "jpeg-ycck", cmyk[:at + 11] + b"\2" + cmyk[at + 12:]
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "jpeg-exif", encoded(Image.fromarray(picture(rng, width, height)), "JPEG", exif=turned)


def animated_png(rng, width, height):
    frames = [Image.fromarray(picture(rng, width, height)) for _ in range(3)]
    for default in (False, True):
        yield f"apng{'-default' if default else ''}", encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=default)


def refused(rng, width, height):
    image = Image.fromarray(picture(rng, width, height))
    for form in ("GIF", "WEBP", "BMP", "TIFF"):
        yield "refused-" + form.lower(), encoded(image, form)
    jpeg, png = encoded(image, "JPEG"), encoded(image, "PNG")
    yield "refused-empty", b""
    yield "refused-cut-jpeg", jpeg[:len(jpeg) * 2 // 3]
    yield "refused-cut-jpeg-head", jpeg[:40]
    yield "refused-cut-jpeg-end", jpeg[:-2]
    yield "refused-cut-png", png[:len(png) * 2 // 3]
    yield "refused-cut-png-head", png[:20]
    yield "refused-huge-png", raw_png(30000, 30000, 8, 2, [b""])
    yield "refused-text", b"not a picture\n"


def all_kinds(rng, width, height):
    for kinds in (png_kinds, jpeg_kinds, animated_png, refused):
        yield from kinds(rng, width, height)


def write_kinds(folder, seed):
    rng = random.Random(seed)
    os.makedirs(folder, exist_ok=True)
    for width, height in ((1, 1), (2, 3), (7, 5), (17, 33), (64, 48), (131, 97)):
        for name, data in all_kinds(rng, width, height):
            with open(os.path.join(folder, f"{name}-{width}x{height}"), "wb") as file:
                file.write(data)


# ---- the two sides ------------------------------------------------------------

def expected(path):
    """uint8 [height, width, 3], or None where it cannot be read or is of a format that is not read here."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB")) if image.format in ("JPEG", "PNG", "MPO") else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def processor(resample, size):
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil
    return ViTImageProcessorPil(resample=resample, size=dict(height=size, width=size), image_mean=[0.485, 0.456, 0.406],
                                image_std=[0.229, 0.224, 0.225])


class Ours:
    """The driver, fed a path at a time, so that nothing piles up."""

    def __init__(self, program, real, size, work):
        with open(os.path.join(work, "preprocessor_config.json"), "w", encoding="utf-8") as file:
            json.dump(dict(real.to_dict(), image_processor_type="ViTImageProcessor"), file)
        self.size = size
        self.log = open(os.path.join(work, "refused.txt"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([program, work, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)

    def batch(self, paths):
        self.process.stdin.write("".join(p + "\n" for p in paths).encode())
        self.process.stdin.flush()

    def read(self, dtype, *shape):
        n = int(np.prod(shape)) * np.dtype(dtype).itemsize
        data = self.process.stdout.read(n)
        if len(data) != n:
            raise SystemExit(f"the driver stopped with code {self.process.wait()}")
        return np.frombuffer(data, dtype).reshape(shape)

    def one(self):
        height, width = self.read(np.int32, 2)
        if height == 0:
            return None, None
        return self.read(np.uint8, height, width, 3), self.read(np.float32, 3, self.size, self.size)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def compare(program, name, paths, resample, size):
    real = processor(resample, size)
    different = most_byte = both_refuse = 0
    most_value = 0.0
    with tempfile.TemporaryDirectory() as work:
        ours = Ours(program, real, size, work)
        for path in paths:
            ours.batch([path])
            have, values = ours.one()
            want = expected(path)
            if want is None or have is None:
                both_refuse += want is None and have is None
                if (want is None) != (have is None):
                    different += 1
                    print(f"  {path}: {'only Pillow' if have is None else 'Pillow does not'} read it")
                continue
            wanted = np.asarray(real(Image.fromarray(want), return_tensors="np")["pixel_values"][0])
            byte = np.abs(want.astype(int) - have).max() if want.shape == have.shape else 255
            value = np.abs(wanted - values).max()
            most_byte, most_value = max(most_byte, byte), max(most_value, value)
            if byte or value:
                different += 1
                if different <= 5:
                    print(f"  {path}: decoded {want.shape} to {have.shape} differ by {byte}, values by {value:.3g}")
        ours.close()
    print(f"{name}: filter {resample}, size {size}: {len(paths)} files, {both_refuse} refused by both, {different} differ "
          f"(decoded by at most {most_byte} of 255, values by {most_value:.3g})", flush=True)
    return different


def files_under(folder, most):
    paths = sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if not name.endswith(".txt"))
    return paths[::max(1, len(paths) // most)] if most else paths


# ---- the unit tests' files ------------------------------------------------------

def fixtures(folder):
    """Small files, and beside each .rgb: width and height (uint32), then the bytes that Pillow makes of it."""
    rng = random.Random(5)
    os.makedirs(folder, exist_ok=True)
    for name, data in all_kinds(rng, 13, 10):
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        want = expected(path)
        if want is None:
            continue
        with open(path + ".rgb", "wb") as file:
            file.write(struct.pack("<II", want.shape[1], want.shape[0]) + want.tobytes())
    resampled(folder, rng)


def resampled(folder, rng):
    """resample.bin: rows of (box, width, height, filter) as 7 uint32 and the bytes, all of one source."""
    source = Image.fromarray(picture(rng, 37, 29))
    with open(os.path.join(folder, "resample.bin"), "wb") as file:
        file.write(struct.pack("<II", *source.size) + source.tobytes())
        for resample in range(6):
            for box, size in (((0, 0, 37, 29), (16, 16)), ((0, 0, 37, 29), (50, 41)), ((0, 0, 37, 29), (37, 8)),
                              ((0, 0, 37, 29), (5, 29)), ((3, 2, 20, 25), (24, 24)), ((0, 0, 37, 29), (1, 1)),
                              ((8, 0, 9, 29), (6, 6)), ((8, 0, 15, 29), (12, 12)), ((8, 0, 17, 29), (9, 13))):
                image = source.crop((box[0], box[1], box[0] + box[2], box[1] + box[3])).resize(size, resample)
                file.write(struct.pack("<7I", *box, *size, resample) + image.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", default="build/gcc-release/tests/interop/images_driver")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--filters", default="2")
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--fixtures")
    parser.add_argument("folders", nargs="*")
    options = parser.parse_args()
    if options.fixtures:
        fixtures(options.fixtures)
        return 0
    different = 0
    with tempfile.TemporaryDirectory() as work:
        folders = options.folders
        if not folders:
            write_kinds(os.path.join(work, "kinds"), 3)
            folders = [os.path.join(work, "kinds")]
        for folder in folders:
            paths = files_under(folder, options.most)
            for resample in options.filters.split(","):
                different += compare(options.driver, folder, paths, int(resample), options.size)
    return 1 if different else 0


sys.exit(main())
