"""How fast this machine mattes, measured on frames and shots made up for the purpose."""
