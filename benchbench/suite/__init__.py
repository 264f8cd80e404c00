"""A suite: a YAML file to the runs it plans. No torch."""
