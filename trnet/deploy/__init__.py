"""From a trained run to use: one file to hand on, predictions on any audio, ONNX, the hub, a demo."""
