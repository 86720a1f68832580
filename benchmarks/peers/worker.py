"""Run the peers in an environment of their own: `python worker.py CLIPS ANSWERS --yunet FILE …`.

Imports nothing of evface-edge. Packages; what is missing is left out:

    pip install mediapipe                       MediaPipe Face Landmarker, and OpenCV for YuNet
    pip install torch==2.13.0 event-pienet      PIE-Net, which rebuilds images from events

Landmarks are computed on the RGB frame, on the frame with stretched contrast, on events summed with
exponential decay, and on frames rebuilt from events by PIE-Net. Times are CPU times of all threads,
which hardly depend on other programs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import sys
import time
from typing import Any

import numpy as np

FADES_MS = (30, 100, 300)
#: PIE-Net: window of its demo, bins of its input, and multiple of its image size.
PIE_NET_WINDOW_US, PIE_NET_BINS, PIE_NET_MULTIPLE = 33_000, 5, 20
YUNET_SIDE_PX, YUNET_SCORE = 320, 0.5


def stretched(frame: Any) -> Any:
    """Stretch the contrast of a dark image."""
    low, high = np.percentile(frame, [1, 99])
    return np.clip((frame - low) * (255 / max(high - low, 1.0)), 0, 255).astype(np.uint8)


def integrated(events: Any, side: int, fade_ms: float) -> Any:
    """Sum polarities with exponential decay: (side, side) uint8, grey without events."""
    if not len(events):
        return np.full((side, side), 128, np.uint8)
    age_ms = (events["t"][-1] - events["t"]) * 1e-3
    weight = np.exp(-age_ms / fade_ms) * (2.0 * events["p"] - 1)
    pixel = events["y"].astype(np.int64) * side + events["x"]
    total = np.bincount(pixel, weight, side * side).reshape(side, side)
    return (128 + 40 * np.clip(total, -3, 3)).astype(np.uint8)


def voxels(events: Any, side: int, bins: int) -> Any:
    """Return a voxel grid (bins, side, side) float32 of polarities, linear in time."""
    grid = np.zeros((bins, side * side), np.float32)
    if len(events):
        t = events["t"].astype(np.float64)
        position = (bins - 1) * (t - t[0]) / max(t[-1] - t[0], 1.0)
        low = np.minimum(position.astype(np.int64), bins - 2)
        fraction = position - low
        sign = 2.0 * events["p"] - 1
        pixel = events["y"].astype(np.int64) * side + events["x"]
        for at, weight in ((low, sign * (1 - fraction)), (low + 1, sign * fraction)):
            grid += np.bincount(at * side * side + pixel, weight, grid.size).reshape(grid.shape)
    return grid.reshape(bins, side, side)


class PieNet:
    """Frames rebuilt from events by a recurrent network (package event-pienet)."""

    def __init__(self) -> None:
        import torch
        from pie_net import load_model

        torch.set_num_threads(1)
        self._torch, self._network = torch, load_model(device="cpu").eval()

    def __call__(self, events: Any, side: int) -> Any:
        """Return the frame at the last event, after all windows of the clip."""
        torch = self._torch
        self._network.reset_states()
        image = np.zeros((side, side))
        if not len(events):
            return image.astype(np.uint8)
        last = int(events["t"][-1])
        windows = max(1, round((last - int(events["t"][0])) / PIE_NET_WINDOW_US))
        edges = last - PIE_NET_WINDOW_US * np.arange(windows, -1, -1)
        starts = np.searchsorted(events["t"], edges, side="right")
        starts[-1] = len(events)
        padded = -(-side // PIE_NET_MULTIPLE) * PIE_NET_MULTIPLE
        for start, stop in itertools.pairwise(starts):
            grid = np.zeros((PIE_NET_BINS, padded, padded), np.float32)
            grid[:, :side, :side] = voxels(events[start:stop], side, PIE_NET_BINS)
            with torch.inference_mode():
                image = self._network(torch.from_numpy(grid)[None])["image"][0, 0].numpy()
        return stretched(255 * image[:side, :side])


class MediaPipe:
    """Face mesh: (478, 2) pixels, or NaN without a face."""

    POINTS = 478

    def __init__(self, path: str) -> None:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=path),
            running_mode=vision.RunningMode.IMAGE,
            num_faces=1,
        )
        self._library = mediapipe
        self._network = vision.FaceLandmarker.create_from_options(options)

    def __call__(self, frame: Any) -> Any:
        image = self._library.Image(
            image_format=self._library.ImageFormat.SRGB, data=np.ascontiguousarray(frame)
        )
        faces = self._network.detect(image).face_landmarks
        if not faces:
            return np.full((self.POINTS, 2), np.nan)
        height, width = frame.shape[:2]
        return np.array([[p.x * width - 0.5, p.y * height - 0.5] for p in faces[0]])

    def close(self) -> None:
        self._network.close()


class YuNet:
    """Face with the highest score: (5, 2) pixels, or NaN; frames are enlarged for it."""

    POINTS = 5

    def __init__(self, path: str) -> None:
        import cv2

        cv2.setNumThreads(1)
        self._library = cv2
        self._network = cv2.FaceDetectorYN.create(path, "", (320, 320), YUNET_SCORE)

    def __call__(self, frame: Any) -> Any:
        cv2 = self._library
        scale = YUNET_SIDE_PX / max(frame.shape[:2])
        image = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        self._network.setInputSize((image.shape[1], image.shape[0]))
        _, faces = self._network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if faces is None or not len(faces):
            return np.full((self.POINTS, 2), np.nan)
        best = faces[np.argmax(faces[:, -1])]
        return (best[4:14].reshape(5, 2) + 0.5) / scale - 0.5

    def close(self) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips")
    parser.add_argument("answers")
    parser.add_argument("--yunet", help="ONNX file")
    parser.add_argument("--mediapipe", help=".task file")
    parser.add_argument("--pie-net", action="store_true", help="only frames of PIE-Net")
    given = parser.parse_args()
    with np.load(given.clips, allow_pickle=False) as stored:
        clips = {key: stored[key] for key in ("events", "starts", "rgb", "stills")}
    left_out: dict[str, str] = {}

    def create(name: str, kind: Any, *needs: Any) -> Any:
        if None in needs:
            left_out[name] = "no model file"
            return None
        try:
            return kind(*needs)
        except ImportError as error:
            left_out[name] = f"{type(error).__name__}: {error}"
            return None

    landmarkers = {
        "MediaPipe": create("MediaPipe", MediaPipe, given.mediapipe),
        "YuNet": create("YuNet", YuNet, given.yunet),
    }
    landmarkers = {name: one for name, one in landmarkers.items() if one is not None}
    if given.pie_net:
        pie_net = create("PIE-Net", PieNet) if landmarkers else None
        answers = run(clips, landmarkers, {} if pie_net is None else rebuilt(pie_net, clips))
    else:
        answers = run(clips, landmarkers, simple(clips))
        for name, one in landmarkers.items():
            answers[f"stills/{name}"] = np.stack([one(still) for still in clips["stills"]])
    for one in landmarkers.values():
        one.close()
    about = {"left_out": left_out, "versions": versions()}
    np.savez(given.answers, about=np.array(json.dumps(about)), **answers)
    return 0


def simple(clips: Any) -> dict[str, Any]:
    """Return name → function (index, events) → image: RGB frames and summed events."""
    side = clips["rgb"].shape[1]
    return {
        "RGB": lambda index, events: clips["rgb"][index],
        "RGB stretched": lambda index, events: stretched(clips["rgb"][index]),
        **{
            f"summed {fade} ms": lambda index, events, fade=fade: integrated(events, side, fade)
            for fade in FADES_MS
        },
    }


def rebuilt(pie_net: PieNet, clips: Any) -> dict[str, Any]:
    """Return the same for PIE-Net."""
    return {"PIE-Net": lambda index, events: pie_net(events, clips["rgb"].shape[1])}


def run(clips: Any, landmarkers: Any, makers: Any) -> dict[str, Any]:
    """Run every landmarker on every image of every clip."""
    count = len(clips["rgb"])
    answers: dict[str, Any] = {}
    for name in makers:
        answers[f"made_ms/{name}"] = np.zeros(count)
        for landmarker, one in landmarkers.items():
            answers[f"points/{name}/{landmarker}"] = np.zeros((count, one.POINTS, 2), np.float32)
            answers[f"found_ms/{name}/{landmarker}"] = np.zeros(count)
    for index in range(count if makers and landmarkers else 0):
        events = clips["events"][clips["starts"][index] : clips["starts"][index + 1]]
        for name, make in makers.items():
            before = time.process_time()
            frame = make(index, events)
            answers[f"made_ms/{name}"][index] = 1e3 * (time.process_time() - before)
            if frame.ndim == 2:
                frame = np.repeat(frame[..., None], 3, axis=-1)
            for landmarker, one in landmarkers.items():
                before = time.process_time()
                answers[f"points/{name}/{landmarker}"][index] = one(frame)
                took_ms = 1e3 * (time.process_time() - before)
                answers[f"found_ms/{name}/{landmarker}"][index] = took_ms
        if (index + 1) % 20 == 0:
            sys.stderr.write(f"peers: {index + 1} of {count} clips\n")
    return answers


def versions() -> dict[str, str]:
    installed = {}
    packages = ("mediapipe", "opencv-contrib-python", "opencv-python-headless", "event-pienet")
    for package in (*packages, "torch"):
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


if __name__ == "__main__":
    sys.exit(main())
