"""Movie files: frames by number as RGB floats, with their rate, time code and colour tags."""
