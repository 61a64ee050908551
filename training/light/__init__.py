"""The light network trained on stores of composites made once."""
