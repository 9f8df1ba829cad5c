"""One image tower as an ONNX graph, in each precision, and how it computes."""
