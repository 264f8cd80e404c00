"""Published numbers, each with its source and with what is known to make it comparable."""
