"""Intrinsics that OpenCV, Kalibr and ROS wrote, as one record."""
