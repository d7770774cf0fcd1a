"""The inspection cell: ``ros2 launch ptad_ros inspection.launch.py params_file:=cell.yaml``."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Describe the cell's node, and RViz beside it where it is asked for."""
    share = FindPackageShare("ptad_ros")
    large_images = {"FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
        "FASTRTPS_DEFAULT_PROFILES_FILE", default_value=PathJoinSubstitution([share, "config", "fastdds.xml"]))}
    return LaunchDescription([
        DeclareLaunchArgument("namespace", default_value="",
                              description="of the cell: the camera's namespace, where image_raw and camera_info are"),
        DeclareLaunchArgument("params_file", default_value=PathJoinSubstitution([share, "config", "inspection.yaml"]),
                              description="settings of the cell: part, segmentation, tolerances, frames"),
        DeclareLaunchArgument("use_sim_time", default_value="false", choices=["true", "false"],
                              description="take the time from /clock"),
        DeclareLaunchArgument("rviz", default_value="false", choices=["true", "false"],
                              description="show camera, overlay and aligned part"),
        DeclareLaunchArgument("device", default_value="auto", choices=["auto", "cpu", "cuda"],
                              description="where the heavy stages run"),
        DeclareLaunchArgument("autostart", default_value="true", choices=["true", "false"],
                              description="configure and activate at once; false leaves it to a lifecycle manager"),
        Node(
            package="ptad_ros", executable="inspection_node", name="inspection",
            namespace=LaunchConfiguration("namespace"), output="screen", emulate_tty=True,
            additional_env=large_images,
            parameters=[
                LaunchConfiguration("params_file"),
                {"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
                 "device": ParameterValue(LaunchConfiguration("device"), value_type=str),
                 "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)},
            ]),
        Node(
            package="rviz2", executable="rviz2", name="rviz2", namespace=LaunchConfiguration("namespace"),
            arguments=["-d", PathJoinSubstitution([share, "config", "ptad.rviz"])],
            parameters=[{"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)}],
            condition=IfCondition(LaunchConfiguration("rviz"))),
    ])
