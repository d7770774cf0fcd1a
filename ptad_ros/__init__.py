"""ROS 2 nodes over ``ptad_core``: callbacks convert, hand over and publish; nothing here decides anything."""
