"""What the parent starts in a backend's environment, each a program of its own."""
