"""Print where a head points: a mouse pointer for the face, or a ROS 2 topic.

    python examples/head_pointer.py [RECORDING]
    python examples/head_pointer.py --camera camera:inivation --ros2

Prints the pose at 10 Hz and the pixel it points at on a screen of 1920 × 1080 pixels, 60 cm away.
With --ros2 it publishes `geometry_msgs/PoseStamped` on `/head_pose` instead, in the optical frame
of the camera (needs ROS 2 with rclpy; not tested).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import typer

from evface_edge import DEMO_RECORDING, HeadPose, Intrinsics, Predictor, open_events

SCREEN_PX = (1920, 1080)
SCREEN_MM = (600.0, 340.0)
EYES_TO_SCREEN_MM = 600.0


def pointer_px(pose: HeadPose) -> tuple[int, int]:
    """The pixel that the nose points at, clipped to the screen; the head is at its centre."""
    x_mm = EYES_TO_SCREEN_MM * math.tan(math.radians(pose.yaw_deg))
    y_mm = -EYES_TO_SCREEN_MM * math.tan(math.radians(pose.pitch_deg))
    x, y = (
        round(min(max(mm / length_mm + 0.5, 0.0), 1.0) * (length_px - 1))
        for mm, length_mm, length_px in zip((x_mm, y_mm), SCREEN_MM, SCREEN_PX, strict=True)
    )
    return x, y


def position_mm(pose: HeadPose) -> list[float]:
    """x, y and distance of the head from the camera; empty without intrinsics."""
    return [] if pose.translation_mm is None else pose.translation_mm.tolist()


def print_pose(t_us: int, pose: HeadPose) -> None:
    x, y = pointer_px(pose)
    typer.echo(
        f"{t_us / 1e6:7.2f} s  yaw {pose.yaw_deg:6.1f}°  pitch {pose.pitch_deg:6.1f}°  "
        f"roll {pose.roll_deg:6.1f}°  {position_mm(pose)[2] / 10:4.0f} cm  → {x:4d}, {y:4d}"
    )


def ros2_publisher() -> Callable[[int, HeadPose], None]:
    """A function that publishes one pose."""
    try:
        import rclpy
        from geometry_msgs.msg import PoseStamped
    except ImportError:
        raise typer.BadParameter(
            "rclpy is not installed; source the setup.bash of a ROS 2 installation first"
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
        position, orientation = message.pose.position, message.pose.orientation
        position.x, position.y, position.z = (value / 1000 for value in position_mm(pose))
        quaternion = Rotation.from_matrix(pose.rotation).as_quat()
        orientation.x, orientation.y, orientation.z, orientation.w = quaternion
        topic.publish(message)

    return publish


def main(
    recording: Annotated[str, typer.Argument(help="Recording to read.")] = str(DEMO_RECORDING),
    camera: Annotated[str | None, typer.Option(help="Use the camera with this URI.")] = None,
    focal_px: Annotated[
        float | None, typer.Option(help="Set the focal length; by default 1.4 × width.")
    ] = None,
    ros2: Annotated[bool, typer.Option("--ros2", help="Publish on /head_pose.")] = False,
) -> None:
    report = ros2_publisher() if ros2 else print_pose
    with open_events(camera or recording) as source, Predictor("evface-s", rate_hz=10) as predictor:
        size = source.size
        intrinsics = Intrinsics(
            focal_px or 1.4 * size.width, (size.width - 1) / 2, (size.height - 1) / 2
        )
        for t_us, faces in predictor.stream(source):
            if faces:
                report(t_us, faces[0].head_pose(intrinsics))


if __name__ == "__main__":
    typer.run(main)
