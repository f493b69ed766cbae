"""ONNX Runtime. `run` is for boards, `make` and `quantize` are for the converter."""
