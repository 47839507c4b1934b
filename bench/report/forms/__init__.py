"""What a page is written as: terminal, Markdown, HTML, CSV, TensorBoard."""
