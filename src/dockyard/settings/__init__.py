"""Settings of a service: reading, checking, and the source of each value."""
