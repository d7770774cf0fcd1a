"""A recording through the cell: ``ros2 launch ptad_ros replay.launch.py bag:=FOLDER params_file:=cell.yaml``."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PASSED_ON = ("namespace", "params_file", "use_sim_time", "rviz", "device", "autostart")


def generate_launch_description() -> LaunchDescription:
    """Describe the cell, the player of the recording, and the recorder of the results."""
    share = FindPackageShare("ptad_ros")
    large_images = {"FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
        "FASTRTPS_DEFAULT_PROFILES_FILE", default_value=PathJoinSubstitution([share, "config", "fastdds.xml"]))}
    namespace = LaunchConfiguration("namespace")
    return LaunchDescription([
        DeclareLaunchArgument("bag", description="the recording: a ROS 2 bag with image, camera_info and /tf"),
        DeclareLaunchArgument("results", default_value="ptad_results",
                              description="folder of the bag that the results are recorded in; must not exist"),
        DeclareLaunchArgument("rate", default_value="1.0", description="how much faster than recorded"),
        DeclareLaunchArgument("namespace", default_value="", description="of the cell"),
        DeclareLaunchArgument("params_file", default_value=PathJoinSubstitution([share, "config", "inspection.yaml"]),
                              description="settings of the cell: part, segmentation, tolerances, frames"),
        DeclareLaunchArgument("use_sim_time", default_value="true", choices=["true", "false"],
                              description="take the time from the recording"),
        DeclareLaunchArgument("rviz", default_value="false", choices=["true", "false"],
                              description="show camera, overlay and aligned part"),
        DeclareLaunchArgument("device", default_value="auto", choices=["auto", "cpu", "cuda"],
                              description="where the heavy stages run"),
        DeclareLaunchArgument("autostart", default_value="true", choices=["true", "false"],
                              description="configure and activate at once; false leaves it to a lifecycle manager"),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "inspection.launch.py"])),
            launch_arguments=[(name, LaunchConfiguration(name)) for name in PASSED_ON]),
        Node(
            package="ptad_ros", executable="player", name="player", namespace=namespace, output="screen",
            additional_env=large_images,
            arguments=[LaunchConfiguration("bag"), "--rate", LaunchConfiguration("rate"), "--clock"]),
        Node(
            package="ptad_ros", executable="recorder", name="recorder", namespace=namespace, output="screen",
            arguments=[LaunchConfiguration("results")]),
    ])
