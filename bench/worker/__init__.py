"""What runs inside a backend's environment: Keras, the backend, and our clock; never pandas, never pytest."""
