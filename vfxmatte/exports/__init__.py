"""Export of the matting network as one file: TorchScript for Nuke, or ONNX."""
