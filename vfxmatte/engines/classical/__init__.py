"""Classical matting as engines: a frame at a time, without weights and without torch."""
