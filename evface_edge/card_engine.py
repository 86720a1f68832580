"""The model card of a TensorRT engine, in the file beside it: `<engine>.json`.

    {"engine":  for what it was built, with the engine's SHA-256 (evface_runtimes.tensorrt_engine)
     "evface_card": the model card
     "evface_sha256": of the two entries above, so that neither can be changed unseen}

The engine's own bytes stay as TensorRT wrote them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from evface_edge.card import CARD_KEY, ModelCard
from evface_edge.errors import ModelError

HASH_KEY = "evface_sha256"
_ENGINE = "engine"
_REBUILD = "build the engine again with `evface-edge build-engine`"


def sidecar_text(engine: dict[str, Any], card: ModelCard) -> str:
    """The text of a sidecar.

    Args:
        engine: `EngineFacts` as a dictionary.
    """
    entries = {_ENGINE: engine, CARD_KEY: json.loads(card.to_json())}
    return json.dumps(entries | {HASH_KEY: _hash(entries)}, indent=1)


def read_engine_card(path: Path) -> tuple[bytes, str, str]:
    """The card beside an engine, the engine's hash as the sidecar states it, and as it is.

    Raises:
        ModelError: engine or sidecar is missing or damaged.
    """
    sidecar = path.with_name(f"{path.name}.json")
    try:
        engine = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        entries = json.loads(sidecar.read_bytes())
        card, stated = entries[CARD_KEY], entries[_ENGINE]["engine_sha256"]
        found, actual = entries[HASH_KEY], _hash({key: entries[key] for key in (_ENGINE, CARD_KEY)})
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no model card beside it ({sidecar.name}): copy both files, or {_REBUILD}"
        ) from None
    except OSError as error:
        raise ModelError(f"{sidecar}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{sidecar}: damaged, or not of this SDK ({error}); {_REBUILD}") from None
    if found != actual:
        raise ModelError(f"{sidecar}: it was changed after the engine was built; {_REBUILD}")
    return json.dumps(card).encode(), str(stated), hashlib.sha256(engine).hexdigest()


def _hash(entries: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
