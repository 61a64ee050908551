"""A run: a shot and its settings in, mattes on disk out."""
