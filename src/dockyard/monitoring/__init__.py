"""What is wrong on this host, and who has been notified of it: pure rules, and what feeds and carries them out."""
