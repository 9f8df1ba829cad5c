"""Checkpoint and reference imagery in, ONNX encoders and a flyable bundle out."""
