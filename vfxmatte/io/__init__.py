"""Reading plates and writing results."""
