"""The model card of a checkpoint, read without PyTorch and without running its pickle.

`torch.save` writes a zip archive with the stored mapping as `<name>/data.pkl`. Only the opcodes of
that pickle are walked over: the card is the text that follows the text "card".
"""

from __future__ import annotations

import itertools
import pickletools
import zipfile
import zlib
from pathlib import Path

from evface_edge.errors import ModelError

_KEY = "card"


def read_checkpoint_card(path: Path) -> bytes:
    """The text of the card.

    Raises:
        ModelError: missing, damaged (the archive's own checksums tell), or without a card.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            pickled = [name for name in names if name.endswith("/data.pkl")]
            if archive.testzip() is not None or len(pickled) != 1:
                raise zipfile.BadZipFile("not what torch.save writes, or changed since")
            content = archive.read(pickled[0])
        texts = [text for _, text, _ in pickletools.genops(content) if isinstance(text, str)]
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path}: not a checkpoint, or damaged ({error})") from None
    for key, text in itertools.pairwise(texts):
        if key == _KEY and text.startswith("{"):
            return text.encode()
    raise ModelError(f"{path}: no model card inside, so this is not a trained student")
