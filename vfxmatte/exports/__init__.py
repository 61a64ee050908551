"""The matting network as one file for other programs: TorchScript for Nuke, ONNX."""
