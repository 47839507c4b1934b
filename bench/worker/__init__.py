"""What runs inside a backend's environment: keras, numpy and pytest; never pandas."""
