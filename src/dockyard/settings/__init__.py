"""What a service is to be launched with: read, checked, and traced to where each value was written."""
