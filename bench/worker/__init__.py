"""The programs and modules that run inside a backend's environment, beside Keras; never pandas."""
