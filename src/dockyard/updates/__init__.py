"""What images a service is built on, what has changed upstream, and whether that may be applied."""
