"""The Deep Image Matting network and its weights files."""
