"""Kinds of files that are not read, by their first bytes, so that a refusal can name them; and files with several pictures."""

from __future__ import annotations

import contextlib
import io

from PIL import Image

AS_PICTURE = "save it as PNG or JPEG"
BRANDS = {
    "a HEIC picture": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
    "an AVIF picture": (b"avif", b"avis"),
}


def named_kind(content: bytes) -> tuple[str, str] | None:
    """Return what ``content`` is, such as 'a PDF document', and how to mend it; None where it is nothing known."""
    if content[4:8] == b"ftyp":
        for kind, brands in BRANDS.items():
            if content[8:12] in brands:
                return kind, AS_PICTURE
    if content.startswith(b"%PDF-"):
        return "a PDF document", "save its page as PNG or JPEG"
    if content.startswith(b"PK\x03\x04"):
        if b".npy" in content[:100]:
            return "an NPZ archive", "write one of its arrays with numpy.save"
        return "a ZIP archive", "unpack it, and name the files in it"
    if b"<svg" in content[:1000]:
        return "an SVG drawing", AS_PICTURE
    return None


def several_pictures(content: bytes) -> str | None:
    """Return how many pictures a file holds, such as 'has 3 pages'; None for one. The content has been decoded before."""
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as image:
        if getattr(image, "is_animated", False):
            return f"has {image.n_frames} pages" if image.format == "TIFF" else "is animated"  # type: ignore[attr-defined]
    return None
