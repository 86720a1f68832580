"""What a prediction is, and what can be made of it: tables, JSON, images, videos.

Nothing here runs a network. `evface_edge.results.drawing` and `.video` need Pillow, and are
imported only by what draws.
"""

from evface_edge.results.aspect_ratios import Blink, BlinkRule
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.predictions import Predictions

__all__ = ["Blink", "BlinkRule", "FaceLandmarks", "FaceState", "Predictions"]
