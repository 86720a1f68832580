"""The commands that this package adds to `evface-edge`, as its entry points name them."""

from evface_training.command_ablate import ablate
from evface_training.command_calibration_set import calibration_set
from evface_training.command_evaluate import evaluate
from evface_training.command_finalize import finalize
from evface_training.command_simulate import simulate
from evface_training.command_train import train

__all__ = ["ablate", "calibration_set", "evaluate", "finalize", "simulate", "train"]
