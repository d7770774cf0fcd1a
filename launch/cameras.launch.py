"""A cell of several cameras: ``ros2 launch ptad_ros cameras.launch.py cameras:=left,right params_file:=cell.yaml``.

Each camera has a process of its own in a namespace of its own; the settings file says under ``/left/inspection`` what
differs for one of them.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

PASSED_ON = ("params_file", "use_sim_time", "rviz", "device", "autostart")


def one_cell_each(context: LaunchContext) -> list[GroupAction]:
    """Return the cells of the cameras that the argument lists."""
    names = [name.strip() for name in LaunchConfiguration("cameras").perform(context).split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"cameras: expected different names such as left,right, got {','.join(names)!r}")
    inspection = PathJoinSubstitution([FindPackageShare("ptad_ros"), "launch", "inspection.launch.py"])
    return [GroupAction([IncludeLaunchDescription(  # a group, so that a camera's arguments stay its own
        PythonLaunchDescriptionSource(inspection),
        launch_arguments=[("namespace", [LaunchConfiguration("namespace"), "/", name]),
                          *((argument, LaunchConfiguration(argument)) for argument in PASSED_ON)])])
            for name in names]


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments, and a cell for each camera."""
    share = FindPackageShare("ptad_ros")
    return LaunchDescription([
        DeclareLaunchArgument("cameras", description="names of the cameras, separated by commas: their namespaces"),
        DeclareLaunchArgument("namespace", default_value="", description="of the cell; the cameras' are below it"),
        DeclareLaunchArgument("params_file", default_value=PathJoinSubstitution([share, "config", "inspection.yaml"]),
                              description="settings of all cameras"),
        DeclareLaunchArgument("use_sim_time", default_value="false", choices=["true", "false"],
                              description="take the time from /clock"),
        DeclareLaunchArgument("rviz", default_value="false", choices=["true", "false"],
                              description="show each camera in an RViz of its own"),
        DeclareLaunchArgument("device", default_value="auto", choices=["auto", "cpu", "cuda"],
                              description="where the heavy stages run"),
        DeclareLaunchArgument("autostart", default_value="true", choices=["true", "false"],
                              description="configure and activate at once; false leaves it to a lifecycle manager"),
        OpaqueFunction(function=one_cell_each),
    ])
