"""Nodes on the robot's side, to start from."""
