"""Where the head points: a mouse pointer for the face, or a ROS 2 topic.

    python examples/head_pointer.py [RECORDING]
    python examples/head_pointer.py --camera camera:inivation --ros2

Prints the pose at 10 Hz and where it points on a screen of 1920 × 1080 pixels 60 cm away. With
--ros2 it publishes `geometry_msgs/PoseStamped` on `/head_pose` instead, in the optical frame of
the camera (needs a sourced ROS 2 with rclpy; that has not been run by us).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import typer

from evface_edge import FaceLandmarks, Predictor, open_events
from evface_edge.cli.demo import RECORDING
from evface_edge.head_pose import HeadPose, Intrinsics

SCREEN_PX = (1920, 1080)
SCREEN_MM = (600.0, 340.0)
EYES_TO_SCREEN_MM = 600.0


def pointer_px(pose: HeadPose) -> tuple[int, int]:
    """Where the nose of a head at the middle of the screen points, kept on the screen."""
    x_mm = EYES_TO_SCREEN_MM * math.tan(math.radians(pose.yaw_deg))
    y_mm = -EYES_TO_SCREEN_MM * math.tan(math.radians(pose.pitch_deg))
    place = []
    for mm, length_mm, length_px in zip((x_mm, y_mm), SCREEN_MM, SCREEN_PX, strict=True):
        place.append(round(min(max(mm / length_mm + 0.5, 0.0), 1.0) * (length_px - 1)))
    return place[0], place[1]


def ros2_publisher() -> Callable[[int, HeadPose], None]:
    """A function that publishes one pose; needs ROS 2."""
    try:
        import rclpy
        from geometry_msgs.msg import PoseStamped
    except ImportError:
        raise typer.BadParameter(
            "rclpy is not there; source the setup.bash of a ROS 2 installation first"
        ) from None
    from scipy.spatial.transform import Rotation

    rclpy.init()
    node = rclpy.create_node("evface_head_pose")
    topic = node.create_publisher(PoseStamped, "/head_pose", 10)

    def publish(t_us: int, pose: HeadPose) -> None:
        message = PoseStamped()
        message.header.frame_id = "camera_optical_frame"
        message.header.stamp.sec, rest_us = divmod(t_us, 1_000_000)
        message.header.stamp.nanosec = rest_us * 1000
        place, turn = message.pose.position, message.pose.orientation
        place.x, place.y, place.z = (value / 1000 for value in place_mm(pose))
        turn.x, turn.y, turn.z, turn.w = Rotation.from_matrix(pose.rotation).as_quat()
        topic.publish(message)

    return publish


def place_mm(pose: HeadPose) -> list[float]:
    """x, y and distance of the head in front of the camera."""
    return [] if pose.translation_mm is None else pose.translation_mm.tolist()


def show(t_us: int, pose: HeadPose) -> None:
    x, y = pointer_px(pose)
    typer.echo(
        f"{t_us / 1e6:7.2f} s  yaw {pose.yaw_deg:6.1f}°  pitch {pose.pitch_deg:6.1f}°  "
        f"roll {pose.roll_deg:6.1f}°  {place_mm(pose)[2] / 10:4.0f} cm  → {x:4d}, {y:4d}"
    )


def main(
    recording: Annotated[str, typer.Argument(help="A recording.")] = str(RECORDING),
    camera: Annotated[str | None, typer.Option(help="A camera instead, by its URI.")] = None,
    focal_px: Annotated[
        float | None, typer.Option(help="Focal length; default 1.4 × width.")
    ] = None,
    ros2: Annotated[bool, typer.Option("--ros2", help="Publish on /head_pose.")] = False,
) -> None:
    report = ros2_publisher() if ros2 else show
    with open_events(camera or recording) as source, Predictor("evface-s", rate_hz=10) as predictor:
        size = source.size
        intrinsics = Intrinsics(
            focal_px or 1.4 * size.width, (size.width - 1) / 2, (size.height - 1) / 2
        )
        for t_us, faces in predictor.stream(source):
            face: FaceLandmarks | None = faces[0] if faces else None
            if face is not None:
                report(t_us, face.head_pose(intrinsics))


if __name__ == "__main__":
    typer.run(main)
