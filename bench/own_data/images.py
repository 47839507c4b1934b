"""A folder of images, one sub-folder for each class."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.contract.errors import UsageError
from bench.own_data.samples import Array, Samples

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")


def read(folder: Path, size: str) -> tuple[Samples, Samples | None, list[str]]:
    """Training samples, test samples where the folder has them apart, and what has to be said of them.

    The images are uint8 of shape (height, width, channels), scaled to `size` by `size` pixels where that is given. The
    classes are numbered in the order of the alphabet. UsageError where a file is no image, or sizes differ.
    """
    parts = {one.name.lower(): one for one in _folders(folder)}
    train = next((parts[name] for name in TRAIN if name in parts), None)
    test = next((parts[name] for name in TEST if name in parts), None)
    if train is None or test is None:
        classes = sorted(one.name for one in parts.values())
        return _samples(folder, classes, size), None, _notes(classes, size)
    classes = sorted(one.name for one in _folders(train))
    return _samples(train, classes, size), _samples(test, classes, size), _notes(classes, size)


def decoded(source: Path | bytes, name: str, size: str) -> Array:
    """One image, of shape (height, width, channels): one channel where it is grey, else three."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            image = file.convert("L" if file.mode in ("1", "L", "I;16", "LA") else "RGB")
            if size:
                image = image.resize((int(size), int(size)), Image.Resampling.BILINEAR)
            found = np.asarray(image, np.uint8)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UsageError(f"{name}: is no image that can be read ({error}); take it out") from None
    return found[..., None] if found.ndim == 2 else found


def stacked(images: Iterable[tuple[str, Array]], folder: str) -> Array:
    """Images as one array; UsageError where they differ in shape."""
    found = list(images)
    if any(image.shape[-1] == 3 for _, image in found):  # grey ones among them become what the others are
        found = [(name, image if image.shape[-1] == 3 else image.repeat(3, axis=-1)) for name, image in found]
    first, shape = found[0][0], found[0][1].shape
    for name, image in found:
        if image.shape != shape:
            raise UsageError(
                f"{folder}: {first} has shape {shape} and {name} {image.shape}; say a size that all are scaled to, as "
                f"in {folder}:64"
            )
    return np.stack([image for _, image in found])


def _samples(folder: Path, classes: list[str], size: str) -> Samples:
    named = list(_files(folder, classes))
    if not named:
        raise UsageError(f"{folder}: has no images ({', '.join(SUFFIXES)}) in its sub-folders, one for each class")
    images = ((path.name, decoded(path, str(path), size)) for path, _ in named)
    return Samples(stacked(images, str(folder)), np.array([number for _, number in named], np.int32))


def _folders(folder: Path) -> list[Path]:
    """The folders in it, but for hidden ones, such as a notebook's checkpoints."""
    return [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]


def _files(folder: Path, classes: list[str]) -> Iterator[tuple[Path, int]]:
    for number, name in enumerate(classes):
        for path in sorted((folder / name).rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                yield path, number


def _notes(classes: list[str], size: str) -> list[str]:
    scaled = [f"its images are scaled to {size} by {size} pixels"] if size else []
    shown = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
    return [f"{len(classes)} classes in the order of the alphabet: {shown}", *scaled]
