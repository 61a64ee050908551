"""Results measured and drawn."""
