"""All services of a host at once."""
