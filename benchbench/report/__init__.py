"""Records to the tables that people read."""
