"""Networks measured on pictures that training never saw."""
